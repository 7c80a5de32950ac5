package gitrepo_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/blackdice/shipwarden/services/executor/driver/gitrepo"
	"github.com/blackdice/shipwarden/services/executor/driver/gitrepo/gitrepotest"
)

// TestOnlySignaturesOfThoseWhoMayCount: those of Git and our own, on the very bytes of the commit,
// by a key that is in the file for commits and at that time.
func TestOnlySignaturesOfThoseWhoMayCount(t *testing.T) {
	t.Parallel()
	r := gitrepotest.New(t)
	_, own := r.Signing()
	folder := t.TempDir()
	ann, annPublic := gitrepotest.Key(t, folder, "ann")
	bob, bobPublic := gitrepotest.Key(t, folder, "bob")
	c := r.Config()
	c.AllowedSignersFile = r.Allow(t, own, annPublic)
	counts := func(what string, want bool) {
		t.Helper()
		repo := open(t, c)
		signers, err := repo.Signers()
		if err != nil {
			t.Fatal(err)
		}
		if err := signers.Counts(head(t, repo).Commit()); (err == nil) != want || err != nil && !errors.Is(err, gitrepo.ErrUnsigned) {
			t.Errorf("%s: %v", what, err)
		}
	}
	counts("no signature", false)
	if _, err := head(t, open(t, c)).Write(t.Context(), gitrepo.Write{Message: gitrepo.Message{Subject: "ours"}}); err != nil {
		t.Fatal(err)
	}
	counts("our own", true)
	id := r.CommitSigned(t, ann, "by Ann\n\nMore: of it", map[string]string{"a": "1\n"})
	counts("by Git with a key of the file", true)
	signed := r.Git(t, "cat-file", "commit", id)
	r.CommitSigned(t, bob, "by Bob", map[string]string{"a": "2\n"})
	counts("by Git with another key", false)

	forged := func(what, text string) {
		t.Helper()
		path := filepath.Join(t.TempDir(), "commit")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		r.Git(t, "update-ref", "refs/heads/"+gitrepotest.Branch, strings.TrimSpace(r.Git(t, "hash-object", "-t", "commit", "-w", "--literally", path)))
		counts(what, strings.HasPrefix(what, "as it is"))
	}
	forged("as it is", signed)
	forged("another message", strings.Replace(signed, "by Ann", "by ann", 1))
	forged("another committer", strings.Replace(signed, "committer Ann", "committer Amy", 1))
	headers, message, _ := strings.Cut(signed, "\n\n")
	forged("with a header more", headers+"\nx-more: 1\n\n"+message)
	_, signature, _ := strings.Cut(headers, "\ngpgsig ")
	forged("with a second signature", headers+"\ngpgsig "+signature+"\n\n"+message)
	forged("with one of another hash", headers+"\ngpgsig-sha256 "+signature+"\n\n"+message)

	forged("as it is again", signed)
	line, err := os.ReadFile(annPublic)
	if err != nil {
		t.Fatal(err)
	}
	for options, want := range map[string]bool{
		"": true, `namespaces="file,g*" `: true, `namespaces="file" `: false, `valid-after="20200101Z",valid-before="29990101" `: true,
		`valid-before="202001010000Z" `: false, `valid-after="29990101120000" `: false,
	} {
		text := fmt.Sprintf("# people\n\n\"ann, or so\" %s%sbob@shop.example,b* namespaces=\"git\" %s", options, line, read(t, bobPublic))
		if err := os.WriteFile(c.GetAllowedSignersFile(), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		counts("with "+options, want)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestAFileOfSignersThatCannotBeReadLetsNobodyIn: named by field and line, at the start and at every
// look; and an executor signs nothing that would count for nothing.
func TestAFileOfSignersThatCannotBeReadLetsNobodyIn(t *testing.T) {
	t.Parallel()
	r := gitrepotest.New(t)
	_, own := r.Signing()
	key := read(t, own)
	for what, text := range map[string]string{
		"nobody":              "# nobody\n",
		"for other things":    `a namespaces="file" ` + key,
		"no key":              "a ssh-ed25519 AAAA\n",
		"no principals":       key,
		"an authority":        "a cert-authority " + key,
		"an exception":        `a namespaces="git,!git" ` + key,
		"a time that is none": `a valid-after="tomorrow" ` + key,
		"too weak":            "a ssh-dss AAAAB3NzaC1kc3MAAACBAP==\n",
	} {
		c := r.Config()
		c.AllowedSignersFile = filepath.Join(t.TempDir(), "signers")
		repo, err := gitrepo.New(c, gitrepo.Options{})
		if err != nil {
			t.Fatalf("%s: a file that is not there yet: %v", what, err)
		}
		if _, err := repo.Signers(); !errors.Is(err, gitrepo.ErrInvalid) || !strings.HasPrefix(err.Error(), "allowed_signers_file: ") {
			t.Errorf("%s: it is not there: %v", what, err)
		}
		if err := os.WriteFile(c.GetAllowedSignersFile(), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := gitrepo.New(c, gitrepo.Options{}); err == nil || !strings.Contains(err.Error(), "allowed_signers_file: ") {
			t.Errorf("%s, at the start: %v", what, err)
		}
		if _, err := repo.Signers(); !errors.Is(err, gitrepo.ErrInvalid) {
			t.Errorf("%s, later: %v", what, err)
		}
	}
	_, other := gitrepotest.Key(t, t.TempDir(), "other")
	c := r.Config()
	c.AllowedSignersFile = r.Allow(t, other)
	repo := open(t, c)
	_, err := head(t, repo).Write(t.Context(), gitrepo.Write{Message: gitrepo.Message{Subject: "ours"}})
	for what, err := range map[string]error{"a write": err, "the key": repo.CheckKey()} {
		if !errors.Is(err, gitrepo.ErrInvalid) || !strings.Contains(err.Error(), "allowed_signers_file: ") {
			t.Errorf("%s: %v", what, err)
		}
	}
}
