package gitops

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/driver/gitrepo"
	"github.com/blackdice/shipwarden/services/executor/driver/gitrepo/gitrepotest"
)

// commits has a driver commit a version, under a fence of its own, and waits for nobody.
func commits(t *testing.T, d *Driver, version int, fence uint64) error {
	t.Helper()
	text := fmt.Appendf(nil, "version: %d\n", version)
	a := of("shop.yaml", text)
	c := &change{
		key: driver.ApplyKey(fmt.Sprintf("shop-%d", version), 0, 1), fence: driver.Fence{Epoch: "e1", Sequence: fence}, digest: a.Digest,
		plan: driver.Plan{Target: d.target, Version: fmt.Sprintf("%d.0.0", version), Artifact: a}, files: map[string][]byte{"shop.yaml": text},
	}
	s, err := d.load(t.Context())
	if err != nil {
		return err
	}
	next, _, err := d.judge(t.Context(), s, c)
	if err != nil {
		return err
	}
	return d.write(t.Context(), s, next, c)
}

func beside(t *testing.T, r *gitrepotest.Repository, installation string) *Driver {
	t.Helper()
	d, err := New(&configv1.GitopsDriver{
		Repository: r.Config(), Path: "apps/shop", KubeconfigFile: "/kubeconfig", Namespace: "argocd", Installation: installation,
		Resource: &configv1.GitopsResource{Kind: configv1.GitopsResource_KIND_ARGOCD_APPLICATION, Name: "shop"},
	}, Options{Target: "shop-eu-1"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d
}

// TestAnOlderRecordComesBackByNobodysHand: whoever was let in since would be forgotten. A person
// says that nobody is at work, and it goes on.
func TestAnOlderRecordComesBackByNobodysHand(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		rewrite func(t *testing.T, r *gitrepotest.Repository)
		says    string
		// known says that only who has seen the newest record misses it.
		known bool
	}{
		"a cherry-pick of an older release": {func(t *testing.T, r *gitrepotest.Repository) {
			t.Helper()
			r.Commit(t, r.Git(t, "log", "-1", "--format=%B", "main~1"), map[string]string{"apps/shop/shop.yaml": "version: 1\n"})
		}, "is not its parent", false},
		"a rebase": {func(t *testing.T, r *gitrepotest.Repository) {
			t.Helper()
			said := r.Git(t, "log", "-1", "--format=%B", "main")
			r.Git(t, "update-ref", "refs/heads/main", "main~1")
			r.Commit(t, "another", map[string]string{"other": "1\n"})
			r.Commit(t, said, map[string]string{"apps/shop/shop.yaml": "version: 2\n"})
		}, "is not its parent", false},
		"back to the release before": {func(t *testing.T, r *gitrepotest.Repository) {
			t.Helper()
			r.Git(t, "update-ref", "refs/heads/main", strings.TrimSpace(r.Git(t, "rev-parse", "main~1")))
		}, "is not on the branch any more", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := gitrepotest.New(t)
			old := beside(t, r, "eu")
			for version := range 2 {
				if err := commits(t, old, version+1, uint64(10*(version+1))); err != nil {
					t.Fatal(err)
				}
			}
			mark, err := old.Mark(t.Context())
			if err != nil || mark == "" {
				t.Fatalf("%q, %v", mark, err)
			}
			if err := beside(t, r, "eu").Remembers(t.Context(), mark); err != nil {
				t.Errorf("before: %v", err)
			}
			c.rewrite(t, r)
			before := r.Head(t)
			if err := beside(t, r, "eu").Remembers(t.Context(), mark); !errors.Is(err, driver.ErrConflict) {
				t.Errorf("an executor that was not there, by the record: %v", err)
			}
			ds := map[string]*Driver{"that was there": old}
			if !c.known {
				ds["that was not"] = beside(t, r, "eu")
			}
			for who, d := range ds {
				// It has slept since before the second release.
				if err := commits(t, d, 3, 15); !errors.Is(err, driver.ErrConflict) || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), `{"target":"shop-eu-1"}`) {
					t.Errorf("an executor %s: %v", who, err)
				}
			}
			if r.Head(t) != before {
				t.Fatal("something was committed")
			}
			r.Commit(t, "Nobody is at work\n\n"+Trailer+`: {"target":"shop-eu-1"}`, map[string]string{"apps/shop/shop.yaml": ""})
			if err := commits(t, old, 3, 30); err != nil {
				t.Errorf("after a person's word: %v", err)
			}
			if err := commits(t, beside(t, r, "eu"), 4, 40); err != nil {
				t.Errorf("after a person's word, another executor: %v", err)
			}
			if err := beside(t, r, "eu").Remembers(t.Context(), mark); err != nil {
				t.Errorf("after a person's word, by the record: %v", err)
			}
			if err := commits(t, old, 5, 35); !errors.Is(err, driver.ErrStaleFence) {
				t.Errorf("after a person's word an older fence: %v", err)
			}
			if err := commits(t, beside(t, r, ""), 5, 50); !errors.Is(err, driver.ErrConflict) || !strings.Contains(err.Error(), `installation "eu"`) {
				t.Errorf("another installation: %v", err)
			}
		})
	}
}

// TestAnOlderWordOfAPersonComesBackByNobodysHand: a branch that was set back to before the newest one
// has it, and what was written behind it, and begins nothing anew. That an older executor does not
// write down when a word was made changes nothing of it.
func TestAnOlderWordOfAPersonComesBackByNobodysHand(t *testing.T) {
	t.Parallel()
	r := gitrepotest.New(t)
	old := beside(t, r, "eu")
	word := func(ago time.Duration) string {
		t.Helper()
		return r.CommitAt(t, time.Now().Add(-ago), "Nobody is at work\n\n"+Trailer+`: {"target":"shop-eu-1"}`, map[string]string{"apps/shop/shop.yaml": ""})
	}
	word(3 * time.Hour)
	// As an older executor has written it.
	s, err := old.load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	next := s.note
	next.Installation, next.Since = "eu", 0
	next.Serial++
	if err := old.write(t.Context(), s, next, nil); err != nil {
		t.Fatal(err)
	}
	before := r.Head(t)
	word(2 * time.Hour)
	if err := commits(t, old, 2, 20); err != nil {
		t.Fatal(err)
	}
	mark, err := old.Mark(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r.Git(t, "update-ref", "refs/heads/main", before)
	for who, err := range map[string]error{
		"was there": commits(t, old, 3, 15), "was not, by the record": beside(t, r, "eu").Remembers(t.Context(), mark),
	} {
		if !errors.Is(err, driver.ErrConflict) || !strings.Contains(err.Error(), "is not on the branch any more") {
			t.Errorf("an executor that %s: %v", who, err)
		}
	}
	word(time.Hour)
	if err := commits(t, old, 4, 40); err != nil {
		t.Errorf("after a newer word: %v", err)
	}
	if err := beside(t, r, "eu").Remembers(t.Context(), mark); err != nil {
		t.Errorf("after a newer word, by the record: %v", err)
	}
}

// TestARecordThatNobodySignedWhoMayCountsForNothing, nor keeps it anybody out, and that is said.
func TestARecordThatNobodySignedWhoMayCountsForNothing(t *testing.T) {
	t.Parallel()
	r := gitrepotest.New(t)
	_, own := r.Signing()
	ann, public := gitrepotest.Key(t, t.TempDir(), "ann")
	d := beside(t, r, "eu")
	if err := commits(t, d, 1, 10); err != nil {
		t.Fatal(err)
	}
	if err := commits(t, d, 2, 20); err != nil {
		t.Fatal(err)
	}
	const anew = "Nobody is at work\n\n" + Trailer + `: {"target":"shop-eu-1"}`
	r.Commit(t, "no JSON\n\n"+Trailer+": {", map[string]string{"other": "0\n"})
	r.Commit(t, anew, map[string]string{"other": "1\n"})
	r.Commit(t, strings.ReplaceAll(anew, "eu-1", "eu-2"), map[string]string{"other": "2\n"})
	c := r.Config()
	c.AllowedSignersFile = r.Allow(t, own, public)
	judging := beside(t, r, "eu")
	var err error
	if judging.repo, err = gitrepo.New(c, gitrepo.Options{}); err != nil {
		t.Fatal(err)
	}
	if err := commits(t, judging, 3, 15); !errors.Is(err, driver.ErrStaleFence) {
		t.Errorf("a stale executor is let in: %v", err)
	}
	s, err := judging.load(t.Context())
	if err != nil || len(s.uncounted) != 2 {
		t.Errorf("what is told: %q, %v", s.uncounted, err)
	}
	if err := judging.forgotten(state{uncounted: s.uncounted}, driver.Plan{PreviousVersion: "1.0.0"}); err == nil || !strings.Contains(err.Error(), "no signature that counts") || !strings.Contains(err.Error(), "signed by somebody of allowed_signers_file") {
		t.Errorf("where there is no other: %v", err)
	}
	r.CommitSigned(t, ann, anew, map[string]string{"apps/shop/shop.yaml": ""})
	if err := commits(t, judging, 3, 15); err != nil {
		t.Errorf("after the word of somebody who may: %v", err)
	}
	if err := commits(t, beside(t, r, "eu"), 4, 40); err != nil {
		t.Errorf("one who does not judge: %v", err)
	}
}

// TestAMergedBranchKeepsTheNewestRecord, whichever parent has it.
func TestAMergedBranchKeepsTheNewestRecord(t *testing.T) {
	t.Parallel()
	r := gitrepotest.New(t)
	d := beside(t, r, "")
	if err := commits(t, d, 1, 10); err != nil {
		t.Fatal(err)
	}
	side := r.CommitOn(t, "side", r.Head(t), "aside", map[string]string{"aside": "1\n"})
	if err := commits(t, d, 2, 20); err != nil {
		t.Fatal(err)
	}
	r.Git(t, "update-ref", "refs/heads/main", strings.TrimSpace(r.Git(t, "commit-tree", "-p", side, "-p", "main", "-m", "merge", "main^{tree}")))
	for who, d := range map[string]*Driver{"that was there": d, "that was not": beside(t, r, "")} {
		if err := commits(t, d, 3, 15); !errors.Is(err, driver.ErrStaleFence) {
			t.Errorf("an executor %s is let in with an older fence: %v", who, err)
		}
	}
	if err := commits(t, d, 3, 30); err != nil {
		t.Error(err)
	}
}

// TestAWayBackThatTheServerHasNoMoreIsNone, and no error: approvers are told.
func TestAWayBackThatTheServerHasNoMoreIsNone(t *testing.T) {
	t.Parallel()
	r := gitrepotest.New(t)
	d := beside(t, r, "")
	for version := range 2 {
		if err := commits(t, d, version+1, uint64(10*(version+1))); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(r.Folder, "shallow"), []byte(r.Head(t)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	d = beside(t, r, "")
	s, err := d.load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	out, err := d.dryRun(t.Context(), s, driver.Plan{Target: d.target, Previous: of("shop.yaml", []byte("version: 1\n")).Digest})
	if err != nil || out.Possible || !strings.Contains(out.Reason, "no more of them") {
		t.Errorf("got %+v, %v", out, err)
	}
}
