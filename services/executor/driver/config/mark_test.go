package config_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/driver/gitrepo/gitrepotest"
)

// TestWhatSomebodyCommittedIsSaidWithItsCommit (N-08), and no value: since when the file is another
// one, and by whom. A commit that changes another file is nothing.
func TestWhatSomebodyCommittedIsSaidWithItsCommit(t *testing.T) {
	t.Parallel()
	r := newRepository(t)
	d := r.open(t, nil)
	sees := func(when string, want ...string) {
		t.Helper()
		got, err := r.open(t, nil).Inspect(t.Context())
		ok := err == nil && len(got) == len(want)
		for i := range want {
			ok = ok && strings.HasPrefix(got[i], want[i]) && !strings.Contains(got[i], "4711")
		}
		if !ok {
			t.Errorf("%s: %q, %v; want %q", when, got, err, want)
		}
	}
	sees("before anything was placed")
	r.hand(t, "pin: 4711\n")
	sees("what was there before")
	r.release(t, d, 1, "pin: 4711\n")
	sees("as it was placed")
	r.Commit(t, "another file", map[string]string{"other": "1\n"})
	sees("another file")
	id := r.hand(t, "pin: 47112\n")
	r.Commit(t, "another file", map[string]string{"other": "2\n"})
	sees("by hand", fmt.Sprintf("%s: is not as it was placed, since commit %.12s by ", file, strings.TrimSpace(id)))
	r.hand(t, document(1))
	sees("put back")
	r.Git(t, "update-ref", "refs/heads/main", strings.TrimSpace(r.Git(t, "commit-tree", "-m", r.Git(t, "log", "-1", "--format=%B", "main~4"), "main^{tree}")))
	sees("rewritten", "commit ")
}

// TestABranchThatWasSetBackIsMissedByWhoWasNotThere: the file may be as it should be, and whom the
// branch had let in, or shut out, is forgotten. What the record has of it is held against the
// branch, also by an executor that was started since, until a person has said that nobody is at
// work.
func TestABranchThatWasSetBackIsMissedByWhoWasNotThere(t *testing.T) {
	t.Parallel()
	r := newRepository(t)
	old := r.open(t, nil)
	r.release(t, old, 1, "")
	r.release(t, old, 2, document(1))
	placed := strings.TrimSpace(r.Git(t, "rev-parse", "main"))
	asleep := driver.ApplyKey("shop-3", 0, 1)
	if _, err := old.Seal(t.Context(), asleep, at(30)); err != nil {
		t.Fatal(err)
	}
	mark, err := old.Mark(t.Context())
	if err != nil || mark == "" {
		t.Fatalf("%q, %v", mark, err)
	}
	fresh := r.open(t, nil)
	if err := fresh.Remembers(t.Context(), mark); err != nil {
		t.Error(err)
	}
	r.Commit(t, "another file", map[string]string{"other": "1\n"})
	if err := r.open(t, nil).Remembers(t.Context(), mark); err != nil {
		t.Errorf("after a commit of somebody's: %v", err)
	}
	r.reset(t, placed) // The seal is gone.
	next := from(document(2), 3)
	next.PreviousVersion, next.Mark = "2.0.0", mark
	missed := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, driver.ErrConflict) || !strings.Contains(err.Error(), "was set back or rewritten") {
			t.Errorf("%s: %v", what, err)
		}
	}
	missed("a look", r.open(t, nil).Remembers(t.Context(), mark))
	_, err = r.open(t, nil).Preview(t.Context(), next)
	missed("the preview", err)
	_, err = r.open(t, nil).Apply(t.Context(), asleep, at(29), next)
	missed("whoever was shut out", err)
	if got := strings.TrimSpace(r.Git(t, "rev-parse", "main")); got != placed {
		t.Errorf("%s was committed", got)
	}
	r.Commit(t, "begin anew\n\nShipwarden-File: "+file+"\nShipwarden-Record: {}\n", map[string]string{file: document(2)})
	if _, err := r.open(t, nil).Apply(t.Context(), driver.ApplyKey("shop-4", 0, 1), at(40), next); err != nil {
		t.Errorf("after a person has said so: %v", err)
	}
	next.Mark = "{"
	if _, err := r.open(t, nil).Apply(t.Context(), driver.ApplyKey("shop-5", 0, 1), at(50), next); !errors.Is(err, driver.ErrInvalid) {
		t.Errorf("a mark that is none: %v", err)
	}
}

// TestABranchThatWasSetBackToAnOlderWordIsMissed: the word of a person begins anew, the newest alone.
// Whoever sets a branch back to before it has another one there, by which nobody is let in again.
func TestABranchThatWasSetBackToAnOlderWordIsMissed(t *testing.T) {
	t.Parallel()
	r := newRepository(t)
	d := r.open(t, nil)
	word := func(ago time.Duration) {
		t.Helper()
		r.CommitAt(t, time.Now().Add(-ago), "begin anew\n\nShipwarden-File: "+file+"\nShipwarden-Record: {}\n", map[string]string{file: document(2)})
	}
	r.release(t, d, 1, "")
	word(3 * time.Hour)
	r.release(t, d, 2, document(2))
	before := strings.TrimSpace(r.Git(t, "rev-parse", "main"))
	word(2 * time.Hour)
	r.release(t, d, 3, document(2))
	mark, err := d.Mark(t.Context())
	if err != nil || mark == "" {
		t.Fatalf("%q, %v", mark, err)
	}
	r.reset(t, before)
	next := from(document(2), 4)
	next.PreviousVersion, next.Mark = "3.0.0", mark
	missed := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, driver.ErrConflict) || !strings.Contains(err.Error(), "rewritten") {
			t.Errorf("%s: %v", what, err)
		}
	}
	missed("a look of another", r.open(t, nil).Remembers(t.Context(), mark))
	_, err = d.Apply(t.Context(), driver.ApplyKey("shop-1", 1, 1), at(25), next)
	missed("who was there", err)
	// Also where somebody has written since.
	r.release(t, r.open(t, nil), 5, document(2))
	missed("a look of another, later", r.open(t, nil).Remembers(t.Context(), mark))
	_, err = d.Apply(t.Context(), driver.ApplyKey("shop-6", 0, 1), at(60), next)
	missed("who was there, later", err)
	word(time.Hour)
	if _, err := d.Apply(t.Context(), driver.ApplyKey("shop-7", 0, 1), at(70), next); err != nil {
		t.Errorf("after a newer word: %v", err)
	}
	if err := r.open(t, nil).Remembers(t.Context(), mark); err != nil {
		t.Errorf("after a newer word, by the record: %v", err)
	}
}

// TestAFenceThatNobodySignedWhoMayCountsForNothing: whoever may push can write one by hand, and let a
// stale executor in with it. Where it is said whose signatures count, it is passed over, and told of.
func TestAFenceThatNobodySignedWhoMayCountsForNothing(t *testing.T) {
	t.Parallel()
	for _, judged := range []bool{false, true} {
		r := newRepository(t)
		_, own := r.Signing()
		ann, public := gitrepotest.Key(t, t.TempDir(), "ann")
		mallory, _ := gitrepotest.Key(t, t.TempDir(), "mallory")
		c := inRepository(r.Config())
		if judged {
			c.File.Repository.AllowedSignersFile = r.Allow(t, own, public)
		}
		d := opened(t, c, nil)
		r.release(t, d, 1, "")
		r.release(t, d, 2, document(1))
		const anew = "Begin anew\n\nShipwarden-File: " + file + "\nShipwarden-Record: {}"
		r.Commit(t, anew, map[string]string{file: document(2)})
		r.CommitSigned(t, mallory, anew, map[string]string{"other": "1\n"})
		next := from(document(2), 3)
		stale := func() error {
			_, err := opened(t, c, nil).Apply(t.Context(), driver.ApplyKey("shop-1", 0, 2), at(15), next)
			return err
		}
		if !judged {
			if err := stale(); err != nil {
				t.Errorf("where nobody judges: %v", err)
			}
			continue
		}
		if err := stale(); !errors.Is(err, driver.ErrStaleFence) {
			t.Errorf("a stale executor is let in: %v", err)
		}
		lines, err := opened(t, c, nil).Inspect(t.Context())
		if err != nil || len(lines) != 2 || !strings.Contains(lines[0]+lines[1], "the key SHA256:") || !strings.HasPrefix(lines[0], "a fence counts for nothing: commit ") {
			t.Errorf("what is told: %q, %v", lines, err)
		}
		r.CommitSigned(t, ann, anew, map[string]string{"other": "2\n"})
		if err := stale(); err != nil {
			t.Errorf("after the word of somebody who may: %v", err)
		}
		if lines, err := opened(t, c, nil).Inspect(t.Context()); err != nil || len(lines) > 0 {
			t.Errorf("what is told then: %q, %v", lines, err)
		}
	}
}
