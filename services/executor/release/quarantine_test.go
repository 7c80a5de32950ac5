package release_test

import (
	"slices"
	"testing"
	"time"

	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/standing"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/execute"
	"github.com/blackdice/shipwarden/services/executor/release"
	"github.com/blackdice/shipwarden/services/executor/site/sitetest"
)

// TestWhatARollbackTookBackIsInQuarantine: a person asked for release 2 to be taken back,
// and release 1 is placed again. What release 2 placed goes into quarantine with the end,
// whatever somebody has filled its history with since.
func TestWhatARollbackTookBackIsInQuarantine(t *testing.T) {
	w := sitetest.New(t, sitetest.Noop("eu1"))
	w.Carries(t, "eu1", 1)
	end := func(r *sitetest.Release) {
		t.Helper()
		r.To(t, procedure.PhaseExecute)
		r.Do(t, "", proceduretest.Claim(r.State(t), "one", time.Now()))
		w.Lock(t, "eu1", r.ID, "one")
		r.Do(t, "", proceduretest.Executed(r.State(t), nil))
		r.To(t, procedure.PhaseRelease)
		e := w.Executor(t, "one", nil)
		if _, err := e.Turn(t.Context(), release.New(e.Site, time.Now), r.Task(t, 1)); err != nil {
			t.Fatal(err)
		}
	}
	standingOf := func(version int) standing.Artifact {
		t.Helper()
		a, err := standing.ReadArtifact(t.Context(), w.Store(procedure.ServiceApproval), sitetest.DigestOf(version))
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	forth := w.Release(t)
	end(forth)
	if standingOf(2).State != nil {
		t.Fatalf("after a good release it stands at %v", standingOf(2).State)
	}
	for range eventstore.MaxHistory {
		if _, err := w.JetStream().PublishAsync(procedure.Aggregate(forth.ID)+".approval.approval_given", []byte("noise")); err != nil {
			t.Fatal(err)
		}
	}
	<-w.JetStream().PublishAsyncComplete()
	back := w.Release(t, sitetest.Version(1), proceduretest.Key("back"), proceduretest.Rollback, func(r *releasev1.Request) { r.RollbackOf = forth.ID })
	end(back)
	gone := standingOf(2)
	if !gone.Held || gone.State.GetReasons()[0].GetRelease() != forth.ID || gone.State.GetReasons()[0].GetByRelease() != back.ID {
		t.Errorf("what was taken back stands at %v", gone.State)
	}
	if d := back.Find(t, "targets_released").GetTargetsReleased(); d.GetQuarantined() != sitetest.DigestOf(2) || standingOf(1).State != nil {
		t.Errorf("released with %q; what was placed again stands at %v", d.GetQuarantined(), standingOf(1).State)
	}
	// To roll that back would place again what was taken back: nobody does it in passing. An
	// emergency may, where the procedure document says so, and says that it does.
	now := w.Standing(t, "eu1").State
	w.Unlock(t, "eu1", back.ID, standing.Carrying(&releasev1.TargetState{
		Deployed: &releasev1.Deployment{Release: forth.ID, Version: "2.0.0", Digest: sitetest.DigestOf(2), Service: "shop"}, Generation: now.GetGeneration(),
	}, &releasev1.Deployment{Release: back.ID, Version: "1.0.0", Digest: sitetest.DigestOf(1), Service: "shop"}))
	const around = "quarantine: {bypassable: true}\n"
	for _, c := range []struct {
		name, document string
		lane           func(*releasev1.Request)
		bypassed       []string
	}{
		{"rollback", around, proceduretest.Rollback, nil},
		{"emergency", "", proceduretest.Emergency, nil},
		{"emergency-around", around, proceduretest.Emergency, []string{"quarantine of artifact shop"}},
	} {
		w.Digest = w.Activate(t, sitetest.Document(c.document+"# "+c.name+"\n"))
		r := w.Release(t, c.lane, proceduretest.Key(c.name), func(r *releasev1.Request) {
			if r.GetTrigger() == releasev1.Trigger_TRIGGER_ROLLBACK {
				r.RollbackOf = back.ID
			}
		})
		r.To(t, procedure.PhaseExecute)
		e := w.Executor(t, "two", nil)
		events, err := e.Turn(t.Context(), execute.New(e.Site, time.Now), r.Task(t, 1))
		if err != nil || len(events) == 0 {
			t.Fatalf("%s: %v, %v", c.name, events, err)
		}
		findings := events[0].GetExecutionRefused().GetFindings()
		if c.bypassed == nil && (len(findings) != 1 || findings[0].GetRule() != procedure.RuleQuarantined) ||
			!slices.Equal(events[0].GetExecutionClaimed().GetBypassed(), c.bypassed) {
			t.Errorf("%s: %v, of what stands at %v", c.name, events, w.Standing(t, "eu1").State)
		}
	}
}
