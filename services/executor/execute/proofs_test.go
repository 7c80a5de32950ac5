package execute_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/execute"
	"github.com/blackdice/shipwarden/services/executor/preview"
	"github.com/blackdice/shipwarden/services/executor/site/sitetest"
)

// shown is a release to a target that version 1 was released to by a command, whose way
// back was shown and which was approved.
func shown(t *testing.T, w *sitetest.World, e *sitetest.Executor, changes ...func(*releasev1.Request)) *sitetest.Release {
	t.Helper()
	r := w.Release(t, changes...)
	r.Execute = 10 * time.Minute // for drivers that wait for a cluster
	r.To(t, procedure.PhasePreview)
	if _, err := e.Turn(t.Context(), preview.New(e.Site), r.Task(t, 1)); err != nil {
		t.Fatal(err)
	}
	r.To(t, procedure.PhaseExecute)
	return r
}

func proving(t *testing.T, more string) (*sitetest.World, *sitetest.Executor) {
	t.Helper()
	w := sitetest.New(t, sitetest.Command("eu1"))
	w.Digest = w.Keep(t, sitetest.Document(more))
	w.Earlier(t, "eu1", 1)
	return w, w.Executor(t, "one", nil)
}

const demandsProof = "rollback_readiness:\n  approvals: [{group: security, count: 1}]\n"

// TestAWayBackThatIsGoneHoldsTheStart: between approval and start somebody cleaned up. The
// start waits with the proof that fails, and goes on by itself when it is put right (N-05).
func TestAWayBackThatIsGoneHoldsTheStart(t *testing.T) {
	t.Parallel()
	w, e := proving(t, demandsProof)
	r := shown(t, w, e)
	lost := filepath.Join(w.Artifacts(), sitetest.Location(1))
	if err := os.Remove(lost); err != nil {
		t.Fatal(err)
	}
	turn := func() procedure.State {
		t.Helper()
		if _, err := e.Turn(t.Context(), execute.New(e.Site, time.Now), r.Task(t, 1)); err != nil {
			t.Fatal(err)
		}
		return r.State(t)
	}
	s := turn()
	if s.Phase != procedure.PhaseHeld || s.Holds[0].GetRule() != "rollback.unproved" || !strings.Contains(s.Holds[0].GetMessage(), "artifact not found") {
		t.Fatalf("in phase %s: %v", s.Phase, s.Holds)
	}
	if err := os.WriteFile(lost, []byte("other"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.Resume(t)
	if s = turn(); s.Phase != procedure.PhaseHeld || !strings.Contains(s.Holds[0].GetMessage(), "another digest") {
		t.Fatalf("in phase %s: %v", s.Phase, s.Holds)
	}
	w.Place(t, 1)
	r.Resume(t)
	if s = turn(); s.Phase != procedure.PhaseExecuting {
		t.Fatalf("in phase %s: %v, %s", s.Phase, s.Holds, s.EndReason)
	}
	tried := r.Find(t, "execution_claimed").GetExecutionClaimed().GetRollbackProofs()
	if len(tried) != 1 || tried[0].GetTarget() != "eu1" || tried[0].GetDigest() != sitetest.DigestOf(1) || !tried[0].GetObtainable() {
		t.Errorf("the claim names %v", tried)
	}
}

// TestOnlyWhatWasShownIsTriedAgain: an emergency goes on and says around what, and what was
// approved without a way back, or under a document that does not ask, is not asked for one.
func TestOnlyWhatWasShownIsTriedAgain(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, document string
		before         bool // whether it was gone before the release was approved
		lane           []func(*releasev1.Request)
		bypassed       string
	}{
		{"an emergency", demandsProof, false, []func(*releasev1.Request){proceduretest.Emergency}, "rollback readiness: target eu1"},
		{"approved without", demandsProof, true, nil, ""},
		{"a document that does not ask", "", false, nil, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			w, e := proving(t, test.document)
			lose := func() {
				if err := os.Remove(filepath.Join(w.Artifacts(), sitetest.Location(1))); err != nil {
					t.Fatal(err)
				}
			}
			if test.before {
				lose()
			}
			r := shown(t, w, e, test.lane...)
			if !test.before {
				lose()
			}
			if _, err := e.Turn(t.Context(), execute.New(e.Site, time.Now), r.Task(t, 1)); err != nil {
				t.Fatal(err)
			}
			s := r.State(t)
			if s.Phase != procedure.PhaseExecuting || !strings.Contains(strings.Join(s.Bypassed, "\n"), test.bypassed) {
				t.Errorf("in phase %s: %v, %s; bypassed %v", s.Phase, s.Holds, s.EndReason, s.Bypassed)
			}
		})
	}
}

// TestNoRoomForBothVersionsHoldsTheStart: there was room when people approved, and the target
// has filled up since. However old the proof that they were shown is, the start makes its own.
func TestNoRoomForBothVersionsHoldsTheStart(t *testing.T) {
	t.Parallel()
	w := sitetest.New(t, sitetest.Asking("eu1"))
	w.Digest = w.Keep(t, sitetest.Document(demandsProof))
	w.Earlier(t, "eu1", 1)
	w.Says(t, "eu1", "1 to change", "room for both versions")
	e := w.Executor(t, "one", nil)
	r := shown(t, w, e)
	w.Says(t, "eu1", "1 to change", "3 MiB are free and 40 needed\nfail")
	s := startOf(t, e, r)
	if s.Phase != procedure.PhaseHeld || len(s.Holds) != 1 || s.Holds[0].GetRule() != procedure.HoldRollbackUnproved || !strings.Contains(s.Holds[0].GetMessage(), "3 MiB are free and 40 needed") {
		t.Fatalf("in phase %s: %v, %s", s.Phase, s.Holds, s.EndReason)
	}
	w.Says(t, "eu1", "1 to change", "room for both versions")
	r.Resume(t)
	if s = startOf(t, e, r); s.Phase != procedure.PhaseExecuting {
		t.Errorf("in phase %s: %v, %s", s.Phase, s.Holds, s.EndReason)
	}
	tried := r.Find(t, "execution_claimed").GetExecutionClaimed().GetRollbackProofs()
	if len(tried) != 1 || !tried[0].GetPossible() {
		t.Errorf("the claim names %v", tried)
	}
}
