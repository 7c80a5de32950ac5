package gitrepo_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	"github.com/blackdice/shipwarden/services/executor/driver/gitrepo"
	"github.com/blackdice/shipwarden/services/executor/driver/gitrepo/gitrepotest"
)

func open(t *testing.T, c *configv1.GitRepository) *gitrepo.Repo {
	t.Helper()
	r, err := gitrepo.New(c, gitrepo.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

func head(t *testing.T, r *gitrepo.Repo) *gitrepo.Snapshot {
	t.Helper()
	s, err := r.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func change(path, content string) gitrepo.Write {
	return gitrepo.Write{
		Files:   map[string][]byte{path: []byte(content)},
		Message: gitrepo.Message{Subject: "Place " + path, Body: "because", Trailers: []gitrepo.Trailer{{Name: "Shipwarden-Target", Value: "shop"}, {Name: "Shipwarden-Key", Value: "r/0/1"}}},
	}
}

// TestACommitIsOneThatGitTakes: of what is committed Git itself says that it is whole, whose
// signature it has, what changed and what the trailers are, over both ways to a server.
func TestACommitIsOneThatGitTakes(t *testing.T) {
	t.Parallel()
	for _, over := range []string{"http", "git-http-backend", "ssh"} {
		t.Run(over, func(t *testing.T) {
			t.Parallel()
			g := gitrepotest.New(t)
			g.Git(t, "config", "receive.fsckObjects", "true")
			c := g.Config()
			switch over {
			case "ssh":
				c = g.OverSSH(t)
			case "git-http-backend":
				c = g.Backend()
			}
			before := g.Commit(t, "others", map[string]string{"a/b/one": "1\n", "a/b.c/two": "2\n", "z": "z\n"})
			r := open(t, c)
			s := head(t, r)
			id, err := s.Write(t.Context(), change("a/b/new/limits.yaml", "limits: 1\n"))
			if err != nil {
				t.Fatal(err)
			}
			if at := g.Head(t); at != id {
				t.Fatalf("the branch is at %s, and %s was pushed", at, id)
			}
			if err := g.Verify(t, id); err != nil {
				t.Error(err)
			}
			g.Git(t, "fsck", "--strict")
			if got := g.Git(t, "diff", "--name-status", before, id); got != "A\ta/b/new/limits.yaml\n" {
				t.Errorf("what changed: %q", got)
			}
			if got := g.Git(t, "log", "-1", "--format=%P|%s|%(trailers:key=Shipwarden-Target,valueonly,separator=%x2C)|%(trailers:key=Shipwarden-Key,valueonly,separator=%x2C)", id); got != before+"|Place a/b/new/limits.yaml|shop|r/0/1\n" {
				t.Errorf("what Git reads of it: %q", got)
			}
			again := head(t, r)
			f, there, err := again.File(t.Context(), "a/b/new/limits.yaml")
			if err != nil || !there || string(f.Data) != "limits: 1\n" {
				t.Errorf("read back: %q, %v, %v", f.Data, there, err)
			}
			if c := again.Commit(); c.ID != id || c.Trailer("shipwarden-key") != "r/0/1" || !c.Signed || c.Committer != "Shipwarden <shipwarden@localhost>" {
				t.Errorf("the commit: %+v", c)
			}
			// Removing the only file of folders removes them.
			if _, err := again.Write(t.Context(), gitrepo.Write{Files: map[string][]byte{"a/b/new/limits.yaml": nil, "z": []byte("y\n")}, Message: gitrepo.Message{Subject: "Remove"}}); err != nil {
				t.Fatal(err)
			}
			if got := g.Git(t, "ls-tree", "-r", "--name-only", "main"); got != "README\na/b.c/two\na/b/one\nz\n" {
				t.Errorf("what is there: %q", got)
			}
		})
	}
}

// TestAPushIsACompareAndSet: whoever read an older head is refused, by Git itself, also where he
// was told that it is the newest one, and nothing that was pushed in between is lost.
func TestAPushIsACompareAndSet(t *testing.T) {
	t.Parallel()
	g := gitrepotest.New(t)
	slow, quick := head(t, open(t, g.Config())), head(t, open(t, g.Config()))
	first, err := quick.Write(t.Context(), change("limits.yaml", "limits: 1\n"))
	if err != nil {
		t.Fatal(err)
	}
	if id, err := slow.Write(t.Context(), change("other.yaml", "limits: 2\n")); !errors.Is(err, gitrepo.ErrRaced) {
		t.Fatalf("the slow one: %s, %v", id, err)
	}
	if at := g.Head(t); at != first {
		t.Fatalf("the branch is at %s, not %s", at, first)
	}
	// The branch moves after the server has said where it is, and before the push is there.
	s := head(t, open(t, g.Config()))
	moved := ""
	before := func(_ http.ResponseWriter, request *http.Request) bool {
		if strings.HasSuffix(request.URL.Path, "/git-receive-pack") {
			moved = g.Commit(t, "in between", map[string]string{"unrelated": "1\n"})
		}
		return true
	}
	g.Before.Store(&before)
	if id, err := s.Write(t.Context(), change("limits.yaml", "limits: 3\n")); !errors.Is(err, gitrepo.ErrRaced) {
		t.Fatalf("pushed over what came in between: %s, %v", id, err)
	}
	g.Before.Store(nil)
	if at := g.Head(t); at != moved || moved == "" {
		t.Fatalf("the branch is at %s, not %s", at, moved)
	}
	// So it is where the branch went back: no push is forced either way.
	s = head(t, open(t, g.Config()))
	g.Git(t, "update-ref", "refs/heads/main", first)
	if id, err := s.Write(t.Context(), change("limits.yaml", "limits: 4\n")); !errors.Is(err, gitrepo.ErrRaced) {
		t.Fatalf("pushed onto what is not there any more: %s, %v", id, err)
	}
	if at := g.Head(t); at != first {
		t.Fatalf("the branch is at %s, not %s", at, first)
	}
}

// TestWhatBecameOfAPush: a lost answer is no refusal, a refusal has the server's words, and a
// server that is away is asked again.
func TestWhatBecameOfAPush(t *testing.T) {
	t.Parallel()
	g := gitrepotest.New(t)
	s := head(t, open(t, g.Config()))
	after := func(request *http.Request) bool { return !strings.HasSuffix(request.URL.Path, "/git-receive-pack") }
	g.After.Store(&after)
	id, err := s.Write(t.Context(), change("limits.yaml", "limits: 1\n"))
	g.After.Store(nil)
	if !errors.Is(err, gitrepo.ErrUnanswered) || g.Head(t) != id {
		t.Fatalf("an answer was lost: %s, %v", id, err)
	}
	hook := filepath.Join(g.Folder, "hooks", "update")
	if err := os.MkdirAll(filepath.Dir(hook), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(hook, []byte("#!/bin/sh\nexit 1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	r := open(t, g.Config())
	if _, err := head(t, r).Write(t.Context(), change("limits.yaml", "limits: 2\n")); !errors.Is(err, gitrepo.ErrRefused) || !strings.Contains(err.Error(), "hook declined") {
		t.Fatalf("a hook refuses: %v", err)
	}
	page := func(w http.ResponseWriter, request *http.Request) bool {
		push := strings.HasSuffix(request.URL.Path, "/git-receive-pack")
		if push {
			_, _ = io.WriteString(w, "<html>")
		}
		return !push
	}
	g.Before.Store(&page)
	if _, err := head(t, r).Write(t.Context(), change("limits.yaml", "limits: 2\n")); !errors.Is(err, gitrepo.ErrUnanswered) {
		t.Fatalf("a page in place of an answer: %v", err)
	}
	times := 0
	before := func(w http.ResponseWriter, _ *http.Request) bool {
		if times++; times > 2 {
			return true
		}
		w.WriteHeader(http.StatusBadGateway)
		return false
	}
	g.Before.Store(&before)
	if head(t, r); times < 3 {
		t.Fatal("it was not asked again")
	}
	away := func(w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(http.StatusServiceUnavailable)
		return false
	}
	g.Before.Store(&away)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := r.Head(ctx); !errors.Is(err, gitrepo.ErrUnavailable) {
		t.Fatalf("nobody is there: %v", err)
	}
}

// TestHistoryIsReadAsFarAsItIsNeeded: what is looked for may be far back, on a branch that was
// merged, or beyond what is looked through.
func TestHistoryIsReadAsFarAsItIsNeeded(t *testing.T) {
	t.Parallel()
	g := gitrepotest.New(t)
	ours := func(c gitrepo.Commit) bool { return c.Trailer("Shipwarden-Target") == "shop" }
	first, err := head(t, open(t, g.Config())).Write(t.Context(), change("limits.yaml", "limits: 1\n"))
	if err != nil {
		t.Fatal(err)
	}
	var in strings.Builder
	from := "from refs/heads/main^0\n"
	for i := range 300 {
		fmt.Fprintf(&in, "commit refs/heads/main\ncommitter Ann <ann@shop.example> now\ndata 5\nother\n%sM 100644 inline other\ndata 3\n%03d\n", from, i)
		from = ""
	}
	g.Import(t, in.String())
	tip := g.Head(t)
	r := open(t, g.Config())
	found, err := head(t, r).Find(t.Context(), ours)
	if err != nil || len(found) != 1 || found[0].ID != first {
		t.Fatalf("300 commits back: %+v, %v", found, err)
	}
	none, err := head(t, r).Find(t.Context(), func(gitrepo.Commit) bool { return false })
	if err != nil || none != nil {
		t.Fatalf("what is nowhere: %+v, %v", none, err)
	}
	few := g.Config()
	few.MaxCommits = 100
	if _, err := head(t, open(t, few)).Find(t.Context(), ours); !errors.Is(err, gitrepo.ErrTooOld) {
		t.Fatalf("beyond what is looked through: %v", err)
	}
	// A branch that began before our second commit is merged, with itself as the first parent.
	second, err := head(t, r).Write(t.Context(), change("limits.yaml", "limits: 2\n"))
	if err != nil {
		t.Fatal(err)
	}
	side := g.CommitOn(t, "side", tip, "aside", map[string]string{"aside": "1\n"})
	merge := strings.TrimSpace(g.Git(t, "commit-tree", "-p", side, "-p", second, "-m", "merge", second+"^{tree}"))
	g.Git(t, "update-ref", "refs/heads/main", merge)
	found, err = head(t, r).Find(t.Context(), ours)
	if err != nil || len(found) == 0 || found[0].ID != second {
		t.Fatalf("behind a merge: %+v, %v", found, err)
	}
	var past []string
	err = head(t, r).Past(t.Context(), "limits.yaml", func(_ gitrepo.Commit, f gitrepo.File) bool {
		past = append(past, string(f.Data))
		return false
	})
	if err != nil || strings.Join(past, "") != "limits: 2\nlimits: 1\n" {
		t.Fatalf("what the file was: %q, %v", past, err)
	}
	files, others, err := head(t, r).Files(t.Context(), "")
	if err != nil || len(files) != 3 || others != nil {
		t.Fatalf("all files: %d, %v, %v", len(files), others, err)
	}
	// A branch that was rewritten is read as it is now.
	g.Git(t, "update-ref", "refs/heads/main", first)
	if at := head(t, r).Commit().ID; at != first {
		t.Fatalf("after it was rewritten: %s", at)
	}
	fresh := g.CommitOn(t, "fresh", first, "fresh", map[string]string{"fresh": "1\n"})
	g.Git(t, "update-ref", "refs/heads/main", fresh)
	if at := head(t, r).Commit().ID; at != fresh {
		t.Fatalf("after it was rewritten anew: %s", at)
	}
}

// TestHistoryIsReadBeyondWhatOthersPushedMeanwhile: an executor that runs for long has read more
// commits one by one than it asked for at first.
func TestHistoryIsReadBeyondWhatOthersPushedMeanwhile(t *testing.T) {
	t.Parallel()
	g := gitrepotest.New(t)
	first, err := head(t, open(t, g.Config())).Write(t.Context(), change("limits.yaml", "limits: 1\n"))
	if err != nil {
		t.Fatal(err)
	}
	others := func(n int) {
		var in strings.Builder
		from := "from refs/heads/main^0\n"
		for i := range n {
			fmt.Fprintf(&in, "commit refs/heads/main\ncommitter Ann <ann@shop.example> now\ndata 5\nother\n%sM 100644 inline other\ndata 6\n%03d%03d\n", from, n, i)
			from = ""
		}
		g.Import(t, in.String())
	}
	others(40)
	r := open(t, g.Config())
	head(t, r)
	others(300)
	found, err := head(t, r).Find(t.Context(), func(c gitrepo.Commit) bool { return c.ID == first })
	if err != nil || len(found) != 1 {
		t.Fatalf("340 commits back, of which 300 came meanwhile: %+v, %v", found, err)
	}
}

// TestARepositoryIsBounded: by what it measures when it is unpacked.
func TestARepositoryIsBounded(t *testing.T) {
	t.Parallel()
	g := gitrepotest.New(t)
	c := g.Config()
	c.MaxBytes = 256 << 10
	r := open(t, c)
	head(t, r)
	noise := make([]byte, 300<<10)
	_, _ = rand.Read(noise)
	for name, content := range map[string]string{
		"small when it is packed": strings.Repeat("a", 8<<20),
		"large":                   fmt.Sprintf("%x", noise),
	} {
		was := g.Head(t)
		g.Commit(t, name, map[string]string{"large": content})
		if _, err := r.Head(t.Context()); !errors.Is(err, gitrepo.ErrTooLarge) {
			t.Errorf("%s: %v", name, err)
		}
		g.Git(t, "update-ref", "refs/heads/main", was)
	}
	head(t, r)
}

// TestWhoIsAskedAndByWhom: no password goes elsewhere or into an error, and a server that is not
// the configured one learns nothing.
func TestWhoIsAskedAndByWhom(t *testing.T) {
	t.Parallel()
	g := gitrepotest.New(t)
	refused := func(c *configv1.GitRepository, says string) {
		t.Helper()
		_, err := open(t, c).Head(t.Context())
		if !errors.Is(err, gitrepo.ErrRefused) || !strings.Contains(err.Error(), says) {
			t.Errorf("want %q: %v", says, err)
		}
	}
	wrong := g.Config()
	wrong.PasswordFile = filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(wrong.GetPasswordFile(), []byte("battery staple"), 0o600); err != nil {
		t.Fatal(err)
	}
	refused(wrong, "does not take the user and the password")
	nowhere := g.Config()
	nowhere.Url += "x"
	refused(nowhere, "no such repository")
	elsewhere := func(w http.ResponseWriter, request *http.Request) bool {
		http.Redirect(w, request, "http://localhost:1/", http.StatusFound)
		return false
	}
	g.Before.Store(&elsewhere)
	refused(g.Config(), "leads to another address")
	page := func(w http.ResponseWriter, _ *http.Request) bool {
		_, _ = w.Write([]byte("<html>"))
		return false
	}
	g.Before.Store(&page)
	refused(g.Config(), "something else than a server of Git")
	g.Before.Store(nil)
	missing := g.Config()
	missing.Branch = "prod"
	if _, err := open(t, missing).Head(t.Context()); !errors.Is(err, gitrepo.ErrNoBranch) {
		t.Errorf("no branch: %v", err)
	}
	outside := g.Config()
	outside.Url = "https://169.254.169.254/config.git"
	refused(outside, "must not be reached")

	over := g.OverSSH(t)
	strange := g.OverSSH(t) // writes the key of another server into the file
	strange.Url = over.GetUrl()
	if _, err := gitrepo.New(over, gitrepo.Options{}); err == nil || !strings.Contains(err.Error(), "known_hosts_file") {
		t.Errorf("a server without a key: %v", err)
	}
	again := g.OverSSH(t)
	r := open(t, again)
	other := g.OverSSH(t)
	known, err := os.ReadFile(other.GetKnownHostsFile())
	if err != nil {
		t.Fatal(err)
	}
	line := strings.Replace(string(known), strings.SplitN(string(known), " ", 2)[0], "["+strings.Replace(strings.TrimPrefix(strings.TrimSuffix(again.GetUrl(), "/config.git"), "ssh://git@"), ":", "]:", 1), 1)
	if err := os.WriteFile(again.GetKnownHostsFile(), []byte(line), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Head(t.Context()); !errors.Is(err, gitrepo.ErrRefused) || !strings.Contains(err.Error(), "none of those in known_hosts_file") {
		t.Errorf("another server's key: %v", err)
	}
	stranger := g.OverSSH(t)
	stranger.SshKeyFile, _ = gitrepotest.Key(t, t.TempDir(), "stranger")
	refused(stranger, "does not take the user and the key")
	gone := g.OverSSH(t)
	gone.Url = strings.Replace(gone.GetUrl(), "config.git", "other.git", 1)
	refused(gone, "Repository not found")
}

// TestConfigurationsThatAreRefused names each field.
func TestConfigurationsThatAreRefused(t *testing.T) {
	t.Parallel()
	g := gitrepotest.New(t)
	for _, c := range []struct {
		change func(*configv1.GitRepository)
		says   string
	}{
		{func(c *configv1.GitRepository) { c.Url = "git://host/x" }, "url: invalid: it begins with"},
		{func(c *configv1.GitRepository) { c.Url = "file:///srv/x" }, "url: invalid: it begins with"},
		{func(c *configv1.GitRepository) { c.Url = "ext::sh -c x" }, "url: "},
		{func(c *configv1.GitRepository) { c.Url = "http://git.example/x" }, "url: invalid: http:// leads to this machine alone"},
		{func(c *configv1.GitRepository) { c.Url = "https://me:secret@host/x" }, "url: invalid: it has a password"},
		{func(c *configv1.GitRepository) { c.Url = "https://me@host/x" }, "url: invalid: it has a user"},
		{func(c *configv1.GitRepository) { c.Url = "https://host/../x" }, "url: invalid: its path"},
		{func(c *configv1.GitRepository) { c.Url = "ssh://git@host/x'%20y" }, "url: invalid: its path"},
		{func(c *configv1.GitRepository) { c.Url = "ssh://host/x" }, "url: invalid: over ssh it names the user"},
		{func(c *configv1.GitRepository) { c.Url = "ssh://git@host/x" }, "ssh_key_file: invalid: required"},
		{func(c *configv1.GitRepository) { c.Url = "ssh://git@host/x" }, "known_hosts_file: invalid: required"},
		{func(c *configv1.GitRepository) { c.Url = "ssh://git@host/x" }, "password_file: invalid: is for https"},
		{func(c *configv1.GitRepository) { c.KnownHostsFile = "/x" }, "known_hosts_file: invalid: is for ssh"},
		{func(c *configv1.GitRepository) { c.Branch = "a..b" }, "branch: invalid"},
		{func(c *configv1.GitRepository) { c.Branch = "-b" }, "branch: invalid"},
		{func(c *configv1.GitRepository) { c.Branch = "a.lock" }, "branch: invalid"},
		{func(c *configv1.GitRepository) { c.PasswordFile = t.TempDir() }, "password_file: "},
		{func(c *configv1.GitRepository) { c.PasswordFile, c.User = "", "me" }, "password_file: invalid: required beside user"},
		{func(c *configv1.GitRepository) { c.SigningKeyFile = "" }, "signing_key_file: required"},
		{func(c *configv1.GitRepository) { c.SigningKeyFile = c.GetPasswordFile() }, "signing_key_file: invalid"},
		{func(c *configv1.GitRepository) { c.AuthorName = "a <b>" }, "author_name: invalid"},
		{func(c *configv1.GitRepository) { c.AuthorEmail = "a\nb" }, "author_email: invalid"},
	} {
		config := g.Config()
		c.change(config)
		_, err := gitrepo.New(config, gitrepo.Options{})
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("want %q: %v", c.says, err)
		} else if strings.Contains(err.Error(), "secret@") {
			t.Errorf("it has a password: %v", err)
		}
	}
	for path, fine := range map[string]bool{
		"a": true, "a/b c.yaml": true, ".github/x": true, "": false, "/a": false, "a/": false, "a//b": false, "../a": false, "a/./b": false,
		".git/config": false, "a/.GIT/x": false, "git~1/x": false, "a\x00": false, "a\\b": false, "a./b": false, strings.Repeat("a", 600): false,
	} {
		if err := gitrepo.CheckPath(path); (err == nil) != fine {
			t.Errorf("path %q: %v", path, err)
		}
	}
}

// TestMessagesHaveNoTrailersOfOthers: what somebody else chose stays one value.
func TestMessagesHaveNoTrailersOfOthers(t *testing.T) {
	t.Parallel()
	g := gitrepotest.New(t)
	s := head(t, open(t, g.Config()))
	for _, m := range []gitrepo.Message{
		{},
		{Subject: "a\nb"},
		{Subject: strings.Repeat("a", 300)},
		{Subject: "a", Body: "b\x00"},
		{Subject: "a", Trailers: []gitrepo.Trailer{{Name: "A", Value: "b\nShipwarden-Key: x"}}},
		{Subject: "a", Trailers: []gitrepo.Trailer{{Name: "A b", Value: "c"}}},
		{Subject: "a", Trailers: []gitrepo.Trailer{{Name: "A", Value: strings.Repeat("b", 70<<10)}}},
	} {
		if _, err := s.Write(t.Context(), gitrepo.Write{Message: m}); !errors.Is(err, gitrepo.ErrInvalid) {
			t.Errorf("%.40q: %v", m.Subject, err)
		}
	}
	for message, want := range map[string]string{
		"a\n\nb\n\nK: v\n": "v", "a\n\nK: 1\nL: 2\nK: 3\n": "3", "K: v\n": "", "a\n\nK: v\n\nb\n": "", "a\n\nb\nK: v\n": "", "a\r\n\r\nk: v\r\n": "v",
	} {
		if got := (gitrepo.Commit{Message: message}).Trailer("K"); got != want {
			t.Errorf("%q: %q", message, got)
		}
	}
}

// TestABranchIsOnePlaceHoweverItIsWritten: two targets of it would be in each other's way.
func TestABranchIsOnePlaceHoweverItIsWritten(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]string{
		"https://git.example.com/shop/config.git":        "git.example.com/shop/config refs/heads/main",
		"https://Git.example.com:443/shop/config":        "git.example.com/shop/config refs/heads/main",
		"ssh://git@git.example.com:22/shop/config.git":   "git.example.com/shop/config refs/heads/main",
		"ssh://git@git.example.com:2222/shop/config.git": "git.example.com:2222/shop/config refs/heads/main",
		"https://git.example.com:8443/shop/config.git":   "git.example.com:8443/shop/config refs/heads/main",
		"https://git.example.com/shop/other.git":         "git.example.com/shop/other refs/heads/main",
	} {
		c := &configv1.GitRepository{Url: url, Branch: "main", SigningKeyFile: "/signing"}
		if strings.HasPrefix(url, "ssh") {
			c.SshKeyFile, c.KnownHostsFile = "/key", "/hosts"
		}
		if got := open(t, c).Place(); got != want {
			t.Errorf("%s is %s, want %s", url, got, want)
		}
	}
}
