// Package gitrepotest serves real repositories to tests: Git itself has them, says what is in
// them, and takes or refuses what is pushed, over http as git-http-backend does and over ssh.
package gitrepotest

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/cgi" //nolint:gosec // What is wrong with it is mended since Go 1.6.3.
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
)

// Branch is the branch that a repository has at first, Signer who its commits are signed by as Git
// is told, and password what a server wants over http.
const (
	Branch   = "main"
	Signer   = "executor@shop.example"
	password = "correct horse"
)

// Repository is a bare repository, and a server that has it.
type Repository struct {
	// Folder is where it lies.
	Folder string
	// Server is the address of the server without a path.
	Server string
	// Before is asked before each request, where it is set; false ends it, as it has answered.
	Before atomic.Pointer[func(http.ResponseWriter, *http.Request) bool]
	// After is asked after each answer was made and before it is sent, where it is set; false
	// loses it.
	After atomic.Pointer[func(*http.Request) bool]

	home, key, public, password string
}

// New makes a repository with one file, and serves it over http until the test ends.
func New(t *testing.T) *Repository {
	t.Helper()
	home := t.TempDir()
	r := &Repository{Folder: filepath.Join(home, "config.git"), home: home, password: filepath.Join(home, "password")}
	r.key, r.public = Key(t, home, "executor")
	write(t, r.password, password+"\n")
	r.run(t, nil, home, "init", "--quiet", "--bare", "--initial-branch="+Branch, "--template=", r.Folder)
	// Nothing goes on in the background, and nothing waits for a disk.
	write(t, filepath.Join(r.Folder, "config"), "[core]\n\trepositoryformatversion = 0\n\tbare = true\n\tfsync = none\n[receive]\n\tautogc = false\n[maintenance]\n\tauto = false\n")
	r.Import(t, "commit refs/heads/"+Branch+"\ncommitter Ann <ann@shop.example> now\ndata 5\nbegin\nM 100644 inline README\ndata 14\nconfiguration\n\n")
	server := httptest.NewServer(r.handler(t))
	t.Cleanup(server.Close)
	r.Server = server.URL
	return r
}

// Config is how a repository is configured for an executor.
func (r *Repository) Config() *configv1.GitRepository {
	return &configv1.GitRepository{Url: r.Server + "/config.git", Branch: Branch, PasswordFile: r.password, SigningKeyFile: r.key}
}

// Signing are the files of the key that signs: the private one, and the public one.
func (r *Repository) Signing() (private, public string) { return r.key, r.public }

// Backend is Config by way of git-http-backend, which is slower.
func (r *Repository) Backend() *configv1.GitRepository {
	c := r.Config()
	c.Url = r.Server + "/backend/config.git"
	return c
}

// handler serves a repository to whoever has the password.
func (r *Repository) handler(t *testing.T) http.Handler {
	t.Helper()
	return http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		if before := r.Before.Load(); before != nil && !(*before)(w, request) {
			return
		}
		if _, got, _ := request.BasicAuth(); got != password {
			w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		answer := httptest.NewRecorder()
		if path, ok := strings.CutPrefix(request.URL.Path, "/backend"); ok {
			request.URL.Path = path
			r.backend(t).ServeHTTP(answer, request)
		} else {
			r.direct(t, answer, request)
		}
		if after := r.After.Load(); after != nil && !(*after)(request) {
			panic(http.ErrAbortHandler)
		}
		maps.Copy(w.Header(), answer.Header())
		w.WriteHeader(answer.Code)
		_, _ = w.Write(answer.Body.Bytes())
	})
}

func (r *Repository) backend(t *testing.T) http.Handler {
	t.Helper()
	return &cgi.Handler{
		Path: filepath.Join(strings.TrimSpace(r.run(t, nil, r.home, "--exec-path")), "git-http-backend"), Root: "/", Stderr: io.Discard,
		Env: append(environment(r.home), "GIT_PROJECT_ROOT="+r.home, "GIT_HTTP_EXPORT_ALL=1", "REMOTE_USER=executor"),
	}
}

// direct has the services of Git answer as git-http-backend would, without it.
func (r *Repository) direct(t *testing.T, w http.ResponseWriter, request *http.Request) {
	t.Helper()
	at, known := strings.CutPrefix(request.URL.Path, "/config.git/")
	service, args, kind := strings.TrimPrefix(at, "git-"), []string{"--stateless-rpc"}, "result"
	if at == "info/refs" {
		service, args, kind = strings.TrimPrefix(request.URL.Query().Get("service"), "git-"), append(args, "--advertise-refs"), "advertisement"
	}
	if !known || service != "upload-pack" && service != "receive-pack" {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	body, err := io.ReadAll(request.Body)
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/x-git-"+service+"-"+kind)
	if kind == "advertisement" {
		line := "# service=git-" + service + "\n"
		_, _ = fmt.Fprintf(w, "%04x%s0000", len(line)+4, line) //nolint:gosec // Nobody reads it as a page.
	}
	cmd := r.command(t, body, r.Folder, append(append([]string{service}, args...), r.Folder)...)
	cmd.Stdout = w
	_ = cmd.Run() // What it has to say of it, it has said.
}

func environment(home string) []string {
	return []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + home, "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0",
		"GIT_AUTHOR_NAME=Ann", "GIT_AUTHOR_EMAIL=ann@shop.example", "GIT_COMMITTER_NAME=Ann", "GIT_COMMITTER_EMAIL=ann@shop.example",
	}
}

func (r *Repository) command(t *testing.T, in []byte, folder string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", args...) //nolint:gosec // No shell reads it, and tests alone say what it is.
	cmd.Dir, cmd.Env, cmd.Stdin = folder, environment(r.home), bytes.NewReader(in)
	return cmd
}

func (r *Repository) run(t *testing.T, in []byte, folder string, args ...string) string {
	t.Helper()
	cmd := r.command(t, in, folder, args...)
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("git %s: %v: %s", strings.Join(args, " "), err, complaint.String())
	}
	return string(out)
}

// Git runs Git in the repository, and returns what it prints.
func (r *Repository) Git(t *testing.T, args ...string) string {
	t.Helper()
	return r.run(t, nil, r.Folder, args...)
}

// Verify asks Git whether a commit is signed by the executor's key, and returns what it says.
func (r *Repository) Verify(t *testing.T, commit string) error {
	t.Helper()
	public, err := os.ReadFile(r.public)
	if err != nil {
		t.Fatal(err)
	}
	allowed := filepath.Join(r.home, "allowed_signers")
	write(t, allowed, Signer+` namespaces="git" `+string(public))
	cmd := r.command(t, nil, r.Folder, "-c", "gpg.format=ssh", "-c", "gpg.ssh.allowedSignersFile="+allowed, "verify-commit", commit)
	if out, err := cmd.CombinedOutput(); err != nil || !bytes.Contains(out, []byte(`Good "git" signature for `+Signer)) {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// Head is the newest commit of the branch.
func (r *Repository) Head(t *testing.T) string {
	t.Helper()
	return strings.TrimSpace(r.Git(t, "rev-parse", "refs/heads/"+Branch))
}

// Commit is what a person commits; an empty content removes a file.
func (r *Repository) Commit(t *testing.T, message string, files map[string]string) string {
	t.Helper()
	return r.CommitOn(t, Branch, "", message, files)
}

// CommitOn commits on a branch, which begins at a commit where from is one.
func (r *Repository) CommitOn(t *testing.T, branch, from, message string, files map[string]string) string {
	t.Helper()
	ref := "refs/heads/" + branch
	if from == "" {
		if out, err := r.command(t, nil, r.Folder, "rev-parse", "--verify", "--quiet", ref).Output(); err == nil {
			from = strings.TrimSpace(string(out))
		}
	}
	var in strings.Builder
	fmt.Fprintf(&in, "commit %s\ncommitter Ann <ann@shop.example> now\ndata %d\n%s\n", ref, len(message), message)
	if from != "" {
		fmt.Fprintf(&in, "from %s\n", from)
	}
	for _, path := range slices.Sorted(maps.Keys(files)) {
		if files[path] == "" {
			fmt.Fprintf(&in, "D %s\n", path)
			continue
		}
		fmt.Fprintf(&in, "M 100644 inline %s\ndata %d\n%s\n", path, len(files[path]), files[path])
	}
	r.run(t, []byte(in.String()), r.Folder, "fast-import", "--quiet", "--force", "--date-format=now")
	return strings.TrimSpace(r.Git(t, "rev-parse", ref))
}

// CommitAt is Commit by somebody whose clock says another time.
func (r *Repository) CommitAt(t *testing.T, when time.Time, message string, files map[string]string) string {
	t.Helper()
	text := r.Git(t, "cat-file", "commit", r.Commit(t, message, files))
	text = regexp.MustCompile(`(?m)^(committer .*> )[0-9]+ `).ReplaceAllString(text, fmt.Sprintf("${1}%d ", when.Unix()))
	id := strings.TrimSpace(r.run(t, []byte(text), r.Folder, "hash-object", "-t", "commit", "-w", "--stdin"))
	r.Git(t, "update-ref", "refs/heads/"+Branch, id)
	return id
}

// CommitSigned is what a person commits and signs with a key of theirs, by Git.
func (r *Repository) CommitSigned(t *testing.T, key, message string, files map[string]string) string {
	t.Helper()
	head := r.Head(t)
	tree := strings.TrimSpace(r.Git(t, "rev-parse", r.CommitOn(t, "unsigned", head, message, files)+"^{tree}"))
	id := strings.TrimSpace(r.Git(t, "-c", "gpg.format=ssh", "-c", "user.signingkey="+key, "commit-tree", "-S", "-p", head, "-m", message, tree))
	r.Git(t, "update-ref", "refs/heads/"+Branch, id)
	return id
}

// Allow writes a file of those whose signatures count: the public keys in the files.
func (r *Repository) Allow(t *testing.T, publics ...string) string {
	t.Helper()
	var lines strings.Builder
	for n, public := range publics {
		key, err := os.ReadFile(public)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&lines, "signer-%d@shop.example namespaces=\"git\" %s", n, key)
	}
	path := filepath.Join(r.home, "signers")
	write(t, path, lines.String())
	return path
}

// Read is a file of the branch as Git has it; "" for none.
func (r *Repository) Read(t *testing.T, path string) string {
	t.Helper()
	out, err := r.command(t, nil, r.Folder, "cat-file", "blob", "refs/heads/"+Branch+":"+path).Output()
	if err != nil {
		return ""
	}
	return string(out)
}

// Key makes a pair of keys in a folder, and returns their files.
func Key(t *testing.T, folder, name string) (private, public string) {
	t.Helper()
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(key, name)
	if err != nil {
		t.Fatal(err)
	}
	line, err := ssh.NewPublicKey(pub)
	if err != nil {
		t.Fatal(err)
	}
	private, public = filepath.Join(folder, name), filepath.Join(folder, name+".pub")
	write(t, private, string(pem.EncodeToMemory(block)))
	write(t, public, string(ssh.MarshalAuthorizedKey(line)))
	return private, public
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Import has Git read a stream of its fast-import.
func (r *Repository) Import(t *testing.T, stream string) {
	t.Helper()
	r.run(t, []byte(stream), r.Folder, "fast-import", "--quiet", "--force", "--date-format=now")
}
