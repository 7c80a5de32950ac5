package execute_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/execute"
	"github.com/blackdice/shipwarden/services/executor/site/sitetest"
)

// Each class of target, and whether another executor may go on where one was lost.
var sealable = []struct {
	name   string
	target sitetest.Target
	heir   bool
}{
	{"noop", sitetest.Noop("eu1"), false},
	{"noop, another executor", sitetest.Noop("eu1"), true},
	{"host", sitetest.Host("eu1"), false},
	{"host, another executor", sitetest.Host("eu1"), true},
	{"command", sitetest.Command("eu1"), false},
}

// TestASealIsNotTakenForABeginning: an executor sealed a wave that must not begin any
// more, and was lost before that was on record. Whoever finds the seal must not say that
// the artifact ran there, for it would be remembered as taken back (PD-2.3).
func TestASealIsNotTakenForABeginning(t *testing.T) {
	t.Parallel()
	for _, test := range sealable {
		t.Run(test.name, func(t *testing.T) {
			w := sitetest.New(t, test.target)
			w.Carries(t, "eu1", 1)
			r := w.Release(t)
			r.To(t, procedure.PhaseExecute)
			cause := r.Cause(t)
			one := w.Executor(t, "one", nil)
			turn(t, one, r, cause, 1)
			r.Do(t, "eve", proceduretest.Abort())
			unrecorded(t, one, r, cause, 1)
			if test.heir {
				one = w.Executor(t, "heir", nil)
				turn(t, one, r, cause, 2)
			}
			turn(t, one, r, cause, 2)
			neverRan(t, w, r)
		})
	}
}

// TestASealWhoseReasonIsGoneIsNotTakenForABeginning: the artifact could not be had, was
// sealed as never begun, and is there again for whoever repeats it.
func TestASealWhoseReasonIsGoneIsNotTakenForABeginning(t *testing.T) {
	t.Parallel()
	for _, test := range sealable {
		if test.heir {
			continue // It has an attempt of its own, and begins.
		}
		t.Run(test.name, func(t *testing.T) {
			w := sitetest.New(t, test.target)
			w.Carries(t, "eu1", 1)
			r := w.Release(t)
			r.To(t, procedure.PhaseExecute)
			cause := r.Cause(t)
			one := w.Executor(t, "one", nil)
			turn(t, one, r, cause, 1)
			if err := os.Remove(filepath.Join(w.Artifacts(), sitetest.Location(2))); err != nil {
				t.Fatal(err)
			}
			unrecorded(t, one, r, cause, 1)
			w.Place(t, 2)
			turn(t, one, r, cause, 2)
			neverRan(t, w, r)
		})
	}
}

func turn(t *testing.T, e *sitetest.Executor, r *sitetest.Release, cause procedure.Entry, delivery int) {
	t.Helper()
	if _, err := e.Turn(t.Context(), execute.New(e.Site, time.Now), r.TaskBy(t, cause, delivery)); err != nil {
		t.Fatal(err)
	}
}

// unrecorded has an executor act and loses what it had to say of it.
func unrecorded(t *testing.T, e *sitetest.Executor, r *sitetest.Release, cause procedure.Entry, delivery int) {
	t.Helper()
	drafts, err := execute.New(e.Site, time.Now).Act(t.Context(), r.TaskBy(t, cause, delivery))
	if err != nil || len(drafts) != 1 || drafts[0].Event.GetExecutionFailed().GetResults()[0].GetStatus() != releasev1.TargetResult_STATUS_SKIPPED {
		t.Fatalf("%v, %v", drafts, err)
	}
}

func neverRan(t *testing.T, w *sitetest.World, r *sitetest.Release) {
	t.Helper()
	s := r.State(t)
	if s.Phase != procedure.PhaseRemedy || len(s.Begun) != 0 || s.Result("eu1").GetStatus() != releasev1.TargetResult_STATUS_SKIPPED {
		t.Errorf("phase %s, begun on %v, %v", s.Phase, s.Begun, s.Results)
	}
	if len(w.Effects(t, "eu1", r.ID)) != 0 || w.Running(t, "eu1") != 1 {
		t.Error("the effect was had all the same")
	}
}
