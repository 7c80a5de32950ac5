package procedure_test

import (
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// TestARecordThatIsWrittenIsDone: of a release that is closed no step is in work any more.
func TestARecordThatIsWrittenIsDone(t *testing.T) {
	h := proceduretest.New(proceduretest.Request())
	h.To(t, procedure.PhaseClosed)
	for _, stage := range procedure.Stages(h.State(), h.Now) {
		if stage.Standing != procedure.StandingDone {
			t.Errorf("step %s %s: standing %d", stage.Number, stage.Name, stage.Standing)
		}
	}
}

// TestAHoldIsExplainedBySinceWhenItHolds, by whom and why. The time of the next look is no end, and is
// not shown as one: what is paused ends with the time to start it.
func TestAHoldIsExplainedBySinceWhenItHolds(t *testing.T) {
	t.Parallel()
	h := proceduretest.New(proceduretest.Request())
	h.To(t, procedure.PhaseExecute)
	execute := func() procedure.Stage {
		t.Helper()
		i := slices.IndexFunc(procedure.Stages(h.State(), h.Now), func(s procedure.Stage) bool { return s.Standing == procedure.StandingNow })
		return procedure.Stages(h.State(), h.Now)[i]
	}
	is := func(name string, until time.Time, waits ...string) {
		t.Helper()
		if got := execute(); got.Number != "5" || !got.Until.Equal(until) || !slices.Equal(got.Waits, waits) {
			t.Errorf("%s: step %s until %s waits for %q, want until %s %q", name, got.Number, got.Until, got.Waits, until, waits)
		}
	}
	stamp := func(at time.Time) string { return at.UTC().Format(time.RFC3339) }
	until := h.Now.Add(time.Hour)
	holds := func(reasons ...*releasev1.HoldReason) {
		t.Helper()
		h.Do(t, "", &releasev1.Event{Data: &releasev1.Event_StartHeld{StartHeld: &releasev1.Held{Reasons: reasons, Until: timestamppb.New(until)}}})
	}
	again := func() {
		t.Helper()
		h.Advance(until.Sub(h.Now))
		h.Do(t, "", procedure.DecideDeadline(h.State(), h.Now))
		until = h.Now.Add(time.Hour)
	}
	busy := &releasev1.HoldReason{Rule: procedure.HoldTargetBusy, Subject: "eu1", Message: "shop-2 is under way"}
	holds(busy)
	since := h.State().Entered
	again()
	holds(busy)
	is("a busy target", time.Time{}, "target.busy eu1: shop-2 is under way", "held since "+stamp(since)+", looked at again "+stamp(until))
	again()
	freeze := &releasev1.HoldReason{Rule: procedure.HoldFreeze, Subject: "weekend", SetBy: "gina", Message: "nobody is there", Until: timestamppb.New(until)}
	holds(freeze)
	is("a freeze", until, "freeze weekend, set by gina: nobody is there")
	again()
	h.Do(t, "dan", proceduretest.Pause())
	since = h.State().Pause.Since
	is("a pause of what is not held yet", h.State().Entered.Add(h.State().Requested.GetTimeouts().GetStep().AsDuration()),
		"nothing new begins: paused by dan since "+stamp(since)+": customers call")
	holds(procedure.PauseHold(h.State()))
	again()
	holds(procedure.PauseHold(h.State()))
	h.Now = h.State().HeldUntil
	starts := h.State().Requested.GetStartBy().AsTime()
	if by := h.State().Authorized.GetValidUntil().AsTime(); by.Before(starts) {
		starts = by
	}
	until = starts.Add(time.Second)
	h.Do(t, "", procedure.DecideDeadline(h.State(), h.Now))
	holds(procedure.PauseHold(h.State()))
	is("a pause", starts, "paused by dan since "+stamp(since)+": customers call")
}
