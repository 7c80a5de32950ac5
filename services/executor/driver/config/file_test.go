package config_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/durationpb"

	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/driver/config"
	"github.com/blackdice/shipwarden/services/executor/driver/drivertest"
	"github.com/blackdice/shipwarden/services/executor/driver/gitrepo/gitrepotest"
)

// file is where the document lies in a repository.
const file = "shop/eu 1/limits.yaml"

func inRepository(c *configv1.GitRepository) *configv1.ConfigDriver {
	return &configv1.ConfigDriver{File: &configv1.ConfigFile{Repository: c, Path: file}}
}

// repository is one of its own, seen by Git.
type repository struct{ *gitrepotest.Repository }

func newRepository(t *testing.T) repository {
	t.Helper()
	return repository{gitrepotest.New(t)}
}

func (r repository) open(t *testing.T, at func(string)) *config.Driver {
	t.Helper()
	return opened(t, inRepository(r.Config()), at)
}

// release places a version under a fence of its own, and must succeed.
func (r repository) release(t *testing.T, d *config.Driver, version uint8, before string) {
	t.Helper()
	if _, err := d.Apply(t.Context(), driver.ApplyKey(fmt.Sprintf("shop-%d", version), 0, 1), at(10*uint64(version)), from(before, int(version))); err != nil {
		t.Fatal(err)
	}
}

func (r repository) hand(t *testing.T, content string) string {
	t.Helper()
	return r.Commit(t, "by hand", map[string]string{file: content})
}

func (r repository) reset(t *testing.T, to string) {
	t.Helper()
	r.Git(t, "update-ref", "refs/heads/main", strings.TrimSpace(r.Git(t, "rev-parse", strings.TrimSpace(to))))
}

// TestConformanceInARepository has executors die and sleep beside a server of Git.
func TestConformanceInARepository(t *testing.T) {
	t.Parallel()
	drivertest.Exercise(t, func(t *testing.T) drivertest.Harness { return newRepository(t).harness(t) })
}

// harness is what a file of the repository is to the suite.
func (r repository) harness(t *testing.T) drivertest.Harness {
	t.Helper()
	folder := t.TempDir()
	repository, err := protojson.Marshal(r.Config())
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(place{Repository: repository})
	if err == nil {
		err = os.WriteFile(filepath.Join(folder, "place.json"), data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return drivertest.Harness{
		Open: func(t *testing.T) driver.Driver { return r.open(t, nil) },
		Plan: func(_ *testing.T, version int) driver.Plan { return plan(version) },
		Effects: func(t *testing.T) int {
			return strings.Count(r.Git(t, "rev-list", "main", "--", file), "\n")
		},
		Carries: func(t *testing.T) string { return digest(r.Read(t, file)) },
		State:   func(t *testing.T) string { return r.Git(t, "for-each-ref") },
		Points:  config.Points,
		// The server keeps nothing that is older than the newest commit.
		Lose: func(t *testing.T, _ int) {
			if err := os.WriteFile(filepath.Join(r.Folder, "shallow"), []byte(r.Head(t)+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		},
		Crash: func(t *testing.T, point string, call drivertest.Call) bool {
			return drivertest.Kill(t, folder, point, call)
		},
		Sleep: func(t *testing.T, point string, call drivertest.Call) (func(), bool) {
			return drivertest.Sleep(t, folder, point, call)
		},
	}
}

// TestWhatACommitSays is what people and other tools read: one signed commit for a release, one for
// its way back, and an empty one for a seal.
func TestWhatACommitSays(t *testing.T) {
	t.Parallel()
	r := newRepository(t)
	d := r.open(t, nil)
	p := plan(1)
	p.Version = "1.0.0\nShipwarden-Key: other"
	if _, err := d.Apply(t.Context(), driver.ApplyKey("shop-1", 0, 1), at(10), p); err != nil {
		t.Fatal(err)
	}
	r.release(t, d, 2, document(1))
	back := from(document(1), 2)
	back.PreviousVersion = "1.0.0"
	if _, err := d.Rollback(t.Context(), driver.RollbackKey("shop-2", 0, 1), at(20), back); err != nil {
		t.Fatal(err)
	}
	if status, err := d.Seal(t.Context(), driver.ApplyKey("shop-3", 0, 1), at(30)); err != nil || status != driver.StatusNotStarted {
		t.Fatal(status, err)
	}
	got := r.Git(t, "log", "--format=%s|%(trailers:key=Shipwarden-Release,key=Shipwarden-Version,key=Shipwarden-Target,key=Shipwarden-Key,key=Shipwarden-Fence,key=Shipwarden-File,valueonly,separator=%x2C)", "main~4..main")
	want := `Seal shop/eu 1/limits.yaml|shop-3,shop-config,shop-3/0/1,e1:30,shop/eu 1/limits.yaml
Go back to 1.0.0 of shop/eu 1/limits.yaml|shop-2,1.0.0,shop-config,shop-2/0/rollback-1,e1:20,shop/eu 1/limits.yaml
Place 2.0.0 of shop/eu 1/limits.yaml|shop-2,2.0.0,shop-config,shop-2/0/1,e1:20,shop/eu 1/limits.yaml
Place 1.0.0 Shipwarden-Key: other of shop/eu 1/limits.yaml|shop-1,1.0.0 Shipwarden-Key: other,shop-config,shop-1/0/1,e1:10,shop/eu 1/limits.yaml
`
	if got != want {
		t.Errorf("Git reads\n%s\nwant\n%s", got, want)
	}
	for _, commit := range strings.Fields(r.Git(t, "rev-list", "main~4..main")) {
		if err := r.Verify(t, commit); err != nil {
			t.Errorf("%s: %v", commit, err)
		}
	}
	if changed := r.Git(t, "diff", "--stat", "main~1", "main"); changed != "" {
		t.Errorf("the seal changed %s", changed)
	}
}

// TestCommitsToOtherFilesDoNotDisturb: others push all the time, also in the middle of a call.
func TestCommitsToOtherFilesDoNotDisturb(t *testing.T) {
	t.Parallel()
	r := newRepository(t)
	n := 0
	d := r.open(t, func(point string) {
		n++
		r.Commit(t, "others "+point, map[string]string{"other.yaml": fmt.Sprint(n)})
	})
	r.release(t, d, 1, "")
	r.release(t, d, 2, document(1))
	if got := r.Read(t, file); got != document(2) {
		t.Errorf("the file is %q", got)
	}
	if got := r.Read(t, "other.yaml"); got != fmt.Sprint(n) || n < 2*len(config.Points) {
		t.Errorf("of the others is left %q, they wrote %d", got, n)
	}
	if _, err := r.open(t, nil).Apply(t.Context(), driver.ApplyKey("shop-1", 0, 2), at(11), from("", 1)); !errors.Is(err, driver.ErrStaleFence) {
		t.Errorf("an older fence, below commits of others: %v", err)
	}
}

// TestWhatWasCommittedByHandIsNotOverwritten: whoever approved saw something else.
func TestWhatWasCommittedByHandIsNotOverwritten(t *testing.T) {
	t.Parallel()
	r := newRepository(t)
	d := r.open(t, nil)
	r.release(t, d, 1, "")
	r.hand(t, "limits: {orders: 99}\n")
	calls := map[string]func(context.Context) error{
		"by the next release": func(ctx context.Context) error {
			_, err := d.Apply(ctx, driver.ApplyKey("shop-2", 0, 1), at(20), from(document(1), 2))
			return err
		},
		"by the release itself, again": func(ctx context.Context) error {
			_, err := d.Apply(ctx, driver.ApplyKey("shop-1", 0, 2), at(20), from("", 1))
			return err
		},
		"by the way back": func(ctx context.Context) error {
			_, err := d.Rollback(ctx, driver.RollbackKey("shop-2", 0, 1), at(20), from(document(1), 2))
			return err
		},
	}
	for name, call := range calls {
		before := r.Head(t)
		if err := call(t.Context()); !errors.Is(err, driver.ErrConflict) || !strings.Contains(err.Error(), "commit "+before) {
			t.Errorf("%s: %v", name, err)
		}
		if r.Head(t) != before {
			t.Errorf("%s: something was committed", name)
		}
	}
	// What was shown in the preview is replaced, and the fence has outlived it.
	if _, err := d.Apply(t.Context(), driver.ApplyKey("shop-0", 0, 1), at(5), from("limits: {orders: 99}\n", 2)); !errors.Is(err, driver.ErrStaleFence) {
		t.Errorf("an older fence: %v", err)
	}
	r.release(t, d, 2, "limits: {orders: 99}\n")
	// And in the middle of a call.
	for _, point := range []string{config.PointRead, config.PointAdmitted, config.PointChecked} {
		disturbed := r.open(t, func(p string) {
			if p == point {
				r.hand(t, "by: hand\n")
			}
		})
		if _, err := disturbed.Apply(t.Context(), driver.ApplyKey("shop-3", 0, 1), at(30), from(document(2), 3)); !errors.Is(err, driver.ErrConflict) {
			t.Errorf("at %s: %v", point, err)
		}
		if got := r.Read(t, file); got != "by: hand\n" {
			t.Errorf("at %s: the file is %q", point, got)
		}
		r.hand(t, document(2))
	}
}

// TestABranchThatWasRewrittenLetsNobodyIn: whoever was let in by what was thrown away is not known
// any more. A person says so, and it goes on.
func TestABranchThatWasRewrittenLetsNobodyIn(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		rewrite func(t *testing.T, r repository)
		says    string
	}{
		{"made anew with the document", func(t *testing.T, r repository) {
			t.Helper()
			r.reset(t, r.CommitOn(t, "fresh", "", "fresh", map[string]string{file: document(2)}))
		}, "no fence is there"},
		{"squashed with its message", func(t *testing.T, r repository) {
			t.Helper()
			r.reset(t, r.Git(t, "commit-tree", "-m", r.Git(t, "log", "-1", "--format=%B", "main"), "main^{tree}"))
		}, "is not its parent"},
		{"back to the release before", func(t *testing.T, r repository) { t.Helper(); r.reset(t, "main~1") }, "no commit has it: the branch was rewritten"},
		{"amended", func(t *testing.T, r repository) {
			t.Helper()
			r.reset(t, r.Git(t, "commit-tree", "-p", "main~1", "-m", "amended", "main^{tree}"))
		}, "that was written by hand"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := newRepository(t)
			old := r.open(t, nil)
			r.release(t, old, 1, "")
			r.release(t, old, 2, document(1))
			test.rewrite(t, r)
			next := from(document(2), 3)
			next.PreviousVersion = "2.0.0"
			before := r.Head(t)
			call := func(d *config.Driver) error {
				_, err := d.Apply(t.Context(), driver.ApplyKey("shop-3", 0, 1), at(30), next)
				return err
			}
			if strings.HasPrefix(test.name, "made") || strings.HasPrefix(test.name, "squashed") {
				if err := call(r.open(t, nil)); !errors.Is(err, driver.ErrConflict) || !strings.Contains(err.Error(), test.says) {
					t.Errorf("an executor that was not there: %v", err)
				}
			}
			if test.name != "amended" { // What it carries is what the record says, under an older fence.
				if _, err := r.open(t, nil).Preview(t.Context(), next); !errors.Is(err, driver.ErrConflict) || !strings.Contains(err.Error(), test.says) {
					t.Errorf("the preview: %v", err)
				}
			}
			if err := call(old); !errors.Is(err, driver.ErrConflict) || !strings.Contains(err.Error(), "rewritten") && !strings.Contains(err.Error(), test.says) {
				t.Errorf("an executor that was: %v", err)
			}
			if r.Head(t) != before {
				t.Fatal("something was committed")
			}
			r.Commit(t, "begin anew\n\nShipwarden-File: "+file+"\nShipwarden-Record: {}\n", map[string]string{file: document(2)})
			for name, d := range map[string]*config.Driver{"that was there": old, "that was not": r.open(t, nil)} {
				if err := call(d); err != nil {
					t.Errorf("after a person has said so, an executor %s: %v", name, err)
				}
			}
		})
	}
}

// TestAMergedBranchKeepsTheNewestFence: whichever parent has it.
func TestAMergedBranchKeepsTheNewestFence(t *testing.T) {
	t.Parallel()
	r := newRepository(t)
	d := r.open(t, nil)
	r.release(t, d, 1, "")
	side := r.CommitOn(t, "side", r.Head(t), "aside", map[string]string{"aside": "1\n"})
	r.release(t, d, 2, document(1))
	r.reset(t, r.Git(t, "commit-tree", "-p", side, "-p", "main", "-m", "merge", "main^{tree}"))
	for name, d := range map[string]*config.Driver{"that was there": d, "that was not": r.open(t, nil)} {
		if _, err := d.Apply(t.Context(), driver.ApplyKey("shop-1", 0, 2), at(11), from("", 1)); !errors.Is(err, driver.ErrStaleFence) {
			t.Errorf("an executor %s is let in with an older fence: %v", name, err)
		}
	}
	r.release(t, d, 3, document(2))
}

// TestANoteOfAFileThatCannotBeReadLetsNobodyIn, nor does that of another target.
func TestANoteOfAFileThatCannotBeReadLetsNobodyIn(t *testing.T) {
	t.Parallel()
	r := newRepository(t)
	for record, says := range map[string]string{`{"sequence":-1}`: "cannot be read", `{"target":"other"}`: "is target other"} {
		r.Commit(t, "x\n\nShipwarden-File: "+file+"\nShipwarden-Record: "+record+"\n", map[string]string{"other": record})
		if _, err := r.open(t, nil).Apply(t.Context(), driver.ApplyKey("shop-1", 0, 1), at(10), from("", 1)); !errors.Is(err, driver.ErrConflict) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", record, err)
		}
	}
}

// TestAFenceBeyondWhatIsLookedThroughLetsNobodyIn: it may be there.
func TestAFenceBeyondWhatIsLookedThroughLetsNobodyIn(t *testing.T) {
	t.Parallel()
	r := newRepository(t)
	r.release(t, r.open(t, nil), 1, "")
	for i := range 3 {
		r.Commit(t, "others", map[string]string{"other": fmt.Sprint(i)})
	}
	few := r.Config()
	few.MaxCommits = 2
	d := opened(t, inRepository(few), nil)
	if _, err := d.Apply(t.Context(), driver.ApplyKey("shop-2", 0, 1), at(20), from(document(1), 2)); !errors.Is(err, driver.ErrConflict) || !strings.Contains(err.Error(), "max_commits") {
		t.Errorf("got %v", err)
	}
	r.release(t, r.open(t, nil), 2, document(1))
}

// TestWhatBecameOfACommitIsFoundOut: by reading, where the answer is lost, and never by doing it
// again.
func TestWhatBecameOfACommitIsFoundOut(t *testing.T) {
	t.Parallel()
	r := newRepository(t)
	pushes := 0
	lose := func(request *http.Request) bool {
		if strings.HasSuffix(request.URL.Path, "/git-receive-pack") {
			pushes++
			return false
		}
		return true
	}
	r.After.Store(&lose)
	r.release(t, r.open(t, nil), 1, "")
	if pushes != 1 || r.Read(t, file) != document(1) {
		t.Fatalf("%d pushes, the file is %q", pushes, r.Read(t, file))
	}
	// The push does not arrive, and is made again.
	r.After.Store(nil)
	drops := 0
	drop := func(w http.ResponseWriter, request *http.Request) bool {
		if strings.HasSuffix(request.URL.Path, "/git-receive-pack") && drops == 0 {
			drops++
			panic(http.ErrAbortHandler)
		}
		return true
	}
	r.Before.Store(&drop)
	r.release(t, r.open(t, nil), 2, document(1))
	if drops != 1 || r.Read(t, file) != document(2) {
		t.Fatalf("%d lost, the file is %q", drops, r.Read(t, file))
	}
	// Nobody answers any more after a push: nobody knows.
	gone := false
	away := func(w http.ResponseWriter, request *http.Request) bool {
		gone = gone || strings.HasSuffix(request.URL.Path, "/git-receive-pack")
		if gone {
			w.WriteHeader(http.StatusBadGateway)
		}
		return !gone
	}
	r.Before.Store(&away)
	c := inRepository(r.Config())
	c.Patience = durationpb.New(15 * time.Second) // All that comes before the push is done in it.
	if _, err := opened(t, c, nil).Apply(t.Context(), driver.ApplyKey("shop-3", 0, 1), at(30), from(document(2), 3)); !errors.Is(err, driver.ErrUnknown) {
		t.Errorf("got %v, want %v", err, driver.ErrUnknown)
	}
	// And where nobody was there from the beginning, nothing happened.
	c = inRepository(r.Config())
	c.Patience = durationpb.New(time.Second)
	if _, err := opened(t, c, nil).Apply(t.Context(), driver.ApplyKey("shop-3", 0, 1), at(30), from(document(2), 3)); !errors.Is(err, driver.ErrBusy) {
		t.Errorf("got %v, want %v", err, driver.ErrBusy)
	}
}

// TestTheDocumentIsCheckedBeforeItIsCommitted, as in a bucket, and shown by its values.
func TestTheDocumentIsCheckedBeforeItIsCommitted(t *testing.T) {
	t.Parallel()
	r := newRepository(t)
	r.hand(t, "limits: {orders: 1}\n")
	c := inRepository(r.Config())
	c.SchemaFile = filepath.Join(t.TempDir(), "schema.json")
	if err := os.WriteFile(c.GetSchemaFile(), []byte(`{"properties":{"limits":{"additionalProperties":{"type":"integer"}}}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	d := opened(t, c, nil)
	good := planOf("2", "limits.yaml", "limits: {orders: 2}\n")
	good.Previous = digest("limits: {orders: 1}\n")
	p, err := d.Preview(t.Context(), good)
	if err != nil || !strings.Contains(p.Detail, "\n~ /limits/orders: 1 -> 2\n") || !strings.Contains(p.Detail, "\nfile:     "+file+" in ") || !p.RollbackReady {
		t.Errorf("%+v, %v", p, err)
	}
	head := r.Head(t)
	for content, says := range map[string]string{"limits: {orders: many}\n": "/limits/orders: is a string", "limits: {orders: 0777}\n": "line 1", strings.Repeat("#", 5<<20) + "\n": "at most"} {
		bad := planOf("2", "limits.yaml", content)
		bad.Previous = good.Previous
		_, shown := d.Preview(t.Context(), bad)
		_, placed := d.Apply(t.Context(), driver.ApplyKey("shop-2", 0, 1), at(10), bad)
		for _, err := range []error{shown, placed} {
			if !errors.Is(err, driver.ErrInvalid) || !strings.Contains(err.Error(), says) {
				t.Errorf("want %q: %v", says, err)
			}
		}
	}
	if r.Head(t) != head {
		t.Error("something was committed")
	}
	// A branch that takes nothing, and a key that is not there, are said.
	if err := os.Remove(c.GetFile().GetRepository().GetSigningKeyFile()); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Preview(t.Context(), good); !errors.Is(err, driver.ErrInvalid) || !strings.Contains(err.Error(), "signing_key_file") {
		t.Errorf("without a key: %v", err)
	}
}
