package execute_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/internal/attest"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/execute"
	"github.com/blackdice/shipwarden/services/executor/site/sitetest"
)

// gate is a procedure document with the gate of the waivers.
func gate(bypassable string) string {
	return sitetest.Document("gates:\n  - {name: tests, bypassable: " + bypassable + "}\n")
}

// TestAWaiverThatIsOverStopsNoEmergency that could have gone around the gate without it:
// whoever answered for the gate has not put it in the way (PD-A.5). It is on record.
func TestAWaiverThatIsOverStopsNoEmergency(t *testing.T) {
	w := sitetest.New(t, sitetest.Noop("eu1"))
	w.Carries(t, "eu1", 1)
	for _, c := range []struct {
		name string
		lane func(*releasev1.Request)
		// own is the document of the release, now the one in effect at its start.
		own, now string
		starts   bool
	}{
		{"emergency", proceduretest.Emergency, gate("true"), gate("true"), true},
		{"emergency, and the waiver does not say where", proceduretest.Emergency, gate("true"), gate("true"), true},
		{"emergency, the gate is gone since", proceduretest.Emergency, gate("true"), sitetest.Document(""), true},
		{"emergency that may not go around it", proceduretest.Emergency, gate("false"), gate("true"), false},
		{"emergency that may not any more", proceduretest.Emergency, gate("true"), gate("false"), false},
		{"emergency whose document has no such gate", proceduretest.Emergency, sitetest.Document(""), gate("true"), false},
		{"planned", func(*releasev1.Request) {}, gate("true"), gate("true"), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			w.Digest = w.Activate(t, c.own+"# "+c.name+"\n")
			r := w.Release(t, c.lane, proceduretest.Key("over-"+strings.ReplaceAll(c.name, " ", "-")))
			r.To(t, procedure.PhaseGates)
			waived := proceduretest.Waived(r.State(t), "tests", "anna", time.Now().Add(4*time.Second))
			if strings.Contains(c.name, "does not say where") {
				for _, v := range waived.GetGatesConfirmed().GetVerdicts() {
					for _, waiver := range v.GetWaivers() {
						waiver.Environment, waiver.Expires = "", timestamppb.New(time.Now().Add(time.Hour))
					}
				}
			}
			r.Do(t, "", waived)
			r.To(t, procedure.PhaseExecute)
			w.Activate(t, c.now+"# now: "+c.name+"\n")
			one := w.Executor(t, "one", nil)
			events, err := one.Turn(t.Context(), execute.New(one.Site, time.Now), r.Task(t, 1))
			if err != nil || len(events) == 0 {
				t.Fatalf("%v, %v", events, err)
			}
			findings, bypassed := events[0].GetExecutionRefused().GetFindings(), events[0].GetExecutionClaimed().GetBypassed()
			if !c.starts {
				if len(findings) != 1 || findings[0].GetRule() != "waiver.expired" || r.State(t).Started() {
					t.Errorf("%v", events)
				}
				return
			}
			if s := r.State(t); !slices.Equal(bypassed, []string{"gate tests"}) || !s.Started() || !slices.Contains(s.Bypassed, "gate tests") {
				t.Errorf("%v", events)
			}
			w.Unlock(t, "eu1", r.ID, w.Standing(t, "eu1").State)
		})
	}
}

// TestAWaiverThatEndsAfterTheClaim keeps a planned release from beginning, and has an
// emergency say before the effect that it goes around the gate now.
func TestAWaiverThatEndsAfterTheClaim(t *testing.T) {
	for _, c := range []struct {
		name   string
		lane   func(*releasev1.Request)
		begins bool
	}{
		{"planned", func(*releasev1.Request) {}, false},
		{"emergency", proceduretest.Emergency, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := sitetest.New(t, sitetest.Noop("eu1"))
			w.Carries(t, "eu1", 1)
			w.Digest = w.Activate(t, signedGates(", bypassable: true"))
			r := w.Release(t, c.lane)
			ends := time.Now().Add(20 * time.Second)
			r.Evidence = proof(t, w, "desk", attest.WaiverType, map[string]any{
				"gate": "tests", "environment": r.Asked.GetEnvironment(), "owner": "anna", "reason": "the suite is being moved",
				"issued": ends.Add(-time.Hour).Format(time.RFC3339), "expires": ends.Add(time.Second).Format(time.RFC3339),
			})
			r.To(t, procedure.PhaseGates)
			r.Do(t, "", proceduretest.Waived(r.State(t), "tests", "anna", ends))
			r.To(t, procedure.PhaseExecute)
			cause := r.Cause(t)
			one := w.Executor(t, "one", nil)
			if events, err := one.Turn(t.Context(), execute.New(one.Site, time.Now), r.TaskBy(t, cause, 1)); err != nil || len(events[0].GetExecutionClaimed().GetBypassed()) != 0 {
				t.Fatalf("%v, %v", events, err)
			}
			for range 2 {
				if r.State(t).Phase != procedure.PhaseExecuting {
					break
				}
				task := r.TaskBy(t, cause, 1)
				task.Now = ends
				if _, err := one.Turn(t.Context(), execute.New(one.Site, time.Now), task); err != nil {
					t.Fatal(err)
				}
			}
			s, effects := r.State(t), len(w.Effects(t, "eu1", r.ID))
			if c.begins {
				if s.Phase != procedure.PhaseVerify || effects != 1 || !slices.Contains(s.Bypassed, "gate tests") {
					t.Errorf("phase %s, %d effects, bypassed %v: %s", s.Phase, effects, s.Bypassed, s.EndReason)
				}
				return
			}
			if s.Phase != procedure.PhaseRemedy || effects != 0 || !strings.Contains(s.EndReason, "the waiver by anna has expired") {
				t.Errorf("phase %s, %d effects: %s", s.Phase, effects, s.EndReason)
			}
		})
	}
}

// TestAWaiverThatDoesNotSayWhereIsLookedAtAfterTheClaim, too: an emergency that went around
// its gate when it was claimed does not begin where the document in effect now forbids that.
func TestAWaiverThatDoesNotSayWhereIsLookedAtAfterTheClaim(t *testing.T) {
	for _, c := range []struct {
		name, now string
		effects   int
	}{
		{"it still may", gate("true"), 1},
		{"it may not any more", gate("false"), 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := sitetest.New(t, sitetest.Noop("eu1"))
			w.Carries(t, "eu1", 1)
			w.Digest = w.Activate(t, gate("true"))
			r := w.Release(t, proceduretest.Emergency)
			r.To(t, procedure.PhaseGates)
			waived := proceduretest.Waived(r.State(t), "tests", "anna", time.Now().Add(time.Hour))
			for _, v := range waived.GetGatesConfirmed().GetVerdicts() {
				for _, waiver := range v.GetWaivers() {
					waiver.Environment = ""
				}
			}
			r.Do(t, "", waived)
			r.To(t, procedure.PhaseExecute)
			cause := r.Cause(t)
			one := w.Executor(t, "one", nil)
			if events, err := one.Turn(t.Context(), execute.New(one.Site, time.Now), r.TaskBy(t, cause, 1)); err != nil || events[0].GetExecutionClaimed() == nil {
				t.Fatalf("%v, %v", events, err)
			}
			w.Activate(t, c.now+"# now\n")
			if _, err := one.Turn(t.Context(), execute.New(one.Site, time.Now), r.TaskBy(t, cause, 1)); err != nil {
				t.Fatal(err)
			}
			s, effects := r.State(t), len(w.Effects(t, "eu1", r.ID))
			said := strings.Contains(s.EndReason, "the waiver by anna does not say for which environment it was given")
			if effects != c.effects || said != (c.effects == 0) {
				t.Errorf("phase %s, %d effects: %s", s.Phase, effects, s.EndReason)
			}
		})
	}
}
