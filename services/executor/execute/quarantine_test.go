package execute_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/blackdice/shipwarden/internal/standing"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/execute"
	"github.com/blackdice/shipwarden/services/executor/site/sitetest"
)

// quarantine puts the artifact of version 2 into quarantine for a release.
func quarantine(t *testing.T, w *sitetest.World, release string) {
	t.Helper()
	a, err := standing.ReadArtifact(t.Context(), w.Store(procedure.ServiceExecutor), sitetest.DigestOf(2))
	if err != nil {
		t.Fatal(err)
	}
	event := procedure.DecideQuarantine(a.Quarantined, a.Digest, &releasev1.QuarantineReason{Release: release, Service: "mail", Reason: "it lost orders"})
	event.ProcedureDigest, event.Actor = w.Digest, proceduretest.Service(procedure.ServiceExecutor)
	w.Append(t, procedure.ServiceExecutor, a.Draft(event))
}

// TestAnArtifactThatWasTakenBackElsewhereMeanwhileDoesNotStart: people approved it, and
// then another release of the very same artifact failed.
func TestAnArtifactThatWasTakenBackElsewhereMeanwhileDoesNotStart(t *testing.T) {
	t.Parallel()
	const bypassable = "quarantine: {bypassable: true}\n"
	for _, test := range []struct {
		name, rules string
		lane        func(*releasev1.Request)
		by          string
		starts      bool
		bypassed    []string
	}{
		{"planned", bypassable, func(*releasev1.Request) {}, "mail-7", false, nil},
		{"emergency", "", proceduretest.Emergency, "mail-7", false, nil},
		{"emergency that may go around it", bypassable, proceduretest.Emergency, "mail-7", true, []string{"quarantine of artifact shop"}},
		{"what it did itself", "", func(*releasev1.Request) {}, "", true, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := sitetest.New(t, sitetest.Noop("eu1"))
			w.Carries(t, "eu1", 1)
			w.Digest = w.Activate(t, sitetest.Document(test.rules))
			r := w.Release(t, test.lane)
			r.To(t, procedure.PhaseExecute)
			if test.by == "" {
				test.by = r.ID
			}
			quarantine(t, w, test.by)
			e := w.Executor(t, "one", nil)
			if _, err := e.Turn(t.Context(), execute.New(e.Site, time.Now), r.Task(t, 1)); err != nil {
				t.Fatal(err)
			}
			if test.starts {
				if got := r.State(t); got.Phase != procedure.PhaseExecuting || !slices.Equal(r.Find(t, "execution_claimed").GetExecutionClaimed().GetBypassed(), test.bypassed) {
					t.Errorf("phase %s, bypassed %v", got.Phase, got.Bypassed)
				}
				return
			}
			findings := r.Find(t, "execution_refused").GetExecutionRefused().GetFindings()
			if len(findings) != 1 || findings[0].GetRule() != "artifact.quarantined" || !strings.Contains(findings[0].GetMessage(), "mail-7") {
				t.Errorf("refused for %v, in phase %s", findings, r.State(t).Phase)
			}
		})
	}
}

// TestAnArtifactThatIsTakenBackElsewhereAfterTheClaimDoesNotBegin: between a claim and its
// effect lies a night, where an executor was lost. An emergency that may go around says so
// on record before the effect, whoever has it.
func TestAnArtifactThatIsTakenBackElsewhereAfterTheClaimDoesNotBegin(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		changes []func(*releasev1.Request)
		claimer string
		starts  bool
	}{
		{"planned", nil, "heir", false},
		{"planned, by who claimed it", nil, "lost", false},
		{"emergency that may go around it", []func(*releasev1.Request){proceduretest.Emergency}, "heir", true},
		{"emergency, by who claimed it", []func(*releasev1.Request){proceduretest.Emergency}, "lost", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := sitetest.New(t, sitetest.Noop("eu1"))
			w.Carries(t, "eu1", 1)
			w.Digest = w.Activate(t, sitetest.Document("quarantine: {bypassable: true}\n"))
			r := w.Release(t, test.changes...)
			r.To(t, procedure.PhaseExecute)
			cause := r.Cause(t)
			lost := w.Executor(t, "lost", nil)
			if _, err := lost.Turn(t.Context(), execute.New(lost.Site, time.Now), r.TaskBy(t, cause, 1)); err != nil {
				t.Fatal(err)
			}
			quarantine(t, w, "mail-7")
			one := w.Executor(t, test.claimer, nil)
			for range 2 {
				if r.State(t).Phase != procedure.PhaseExecuting {
					break
				}
				if _, err := one.Turn(t.Context(), execute.New(one.Site, time.Now), r.TaskBy(t, cause, 2)); err != nil {
					t.Fatal(err)
				}
			}
			s, effects := r.State(t), len(w.Effects(t, "eu1", r.ID))
			if test.starts {
				if s.Phase != procedure.PhaseVerify || effects != 1 || !slices.Contains(s.Bypassed, "quarantine of artifact shop") {
					t.Errorf("phase %s, %d effects, bypassed %v: %s", s.Phase, effects, s.Bypassed, s.EndReason)
				}
				return
			}
			if s.Phase != procedure.PhaseRemedy || effects != 0 || len(s.Begun) > 0 || !strings.Contains(s.EndReason, "mail-7") {
				t.Errorf("phase %s, %d effects, begun %v: %s", s.Phase, effects, s.Begun, s.EndReason)
			}
		})
	}
}

// TestAnImageWhoseIndexWasTakenBackMeanwhileDoesNotStart: another release brought it with
// the images of other platforms, and failed.
func TestAnImageWhoseIndexWasTakenBackMeanwhileDoesNotStart(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		by     string
		starts bool
	}{"by another release": {"mail-7", false}, "by itself": {"", true}} {
		t.Run(name, func(t *testing.T) {
			w := sitetest.New(t, sitetest.Noop("eu1"))
			w.Carries(t, "eu1", 1)
			r := w.Release(t)
			r.To(t, procedure.PhaseExecute)
			if test.by == "" {
				test.by = r.ID
			}
			index, image := proceduretest.Digest('9'), sitetest.DigestOf(2)
			for digest, decide := range map[string]func(procedure.Quarantined) *releasev1.Event{
				index: func(q procedure.Quarantined) *releasev1.Event {
					return procedure.DecideQuarantine(q, index, &releasev1.QuarantineReason{Release: test.by, Service: "mail", Reason: "it lost orders"})
				},
				image: func(q procedure.Quarantined) *releasev1.Event {
					return procedure.DecideImage(q, nil, image, index, test.by)
				},
			} {
				a, err := standing.ReadArtifact(t.Context(), w.Store(procedure.ServiceExecutor), digest)
				if err != nil {
					t.Fatal(err)
				}
				event := decide(a.Quarantined)
				event.ProcedureDigest, event.Actor = w.Digest, proceduretest.Service(procedure.ServiceExecutor)
				w.Append(t, procedure.ServiceExecutor, a.Draft(event))
			}
			e := w.Executor(t, "one", nil)
			if _, err := e.Turn(t.Context(), execute.New(e.Site, time.Now), r.Task(t, 1)); err != nil {
				t.Fatal(err)
			}
			if test.starts {
				if got := r.State(t); got.Phase != procedure.PhaseExecuting {
					t.Errorf("phase %s", got.Phase)
				}
				return
			}
			findings := r.Find(t, "execution_refused").GetExecutionRefused().GetFindings()
			if len(findings) != 1 || findings[0].GetRule() != "artifact.quarantined" || !strings.Contains(findings[0].GetMessage(), "it is an image of the index "+index) {
				t.Errorf("refused for %v, in phase %s", findings, r.State(t).Phase)
			}
		})
	}
}
