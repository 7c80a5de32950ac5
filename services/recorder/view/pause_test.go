package view_test

import (
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/recorder/view"
)

// TestASummarySaysThatItIsPaused, by whom and why, as soon as it is, and names no time after which
// it would go on by itself.
func TestASummarySaysThatItIsPaused(t *testing.T) {
	const paused = "It is paused by dan, and begins nothing new until it is resumed: customers call."
	h := proceduretest.New(proceduretest.Request(proceduretest.Waves([]string{"eu1"}, []string{"us1"})))
	says := func(want string) {
		t.Helper()
		if got := view.Summary(h.State()); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	h.To(t, procedure.PhaseVerify)
	h.Do(t, "dan", proceduretest.Pause())
	says("Wave 1 of 2 is being verified. " + paused)
	h.Do(t, "", proceduretest.Verified(h.State(), releasev1.CheckResult_VERDICT_PASS, false))
	hold := &releasev1.Held{Reasons: []*releasev1.HoldReason{procedure.PauseHold(h.State())}, Until: timestamppb.New(h.Now.Add(time.Minute))}
	h.Do(t, "", &releasev1.Event{Data: &releasev1.Event_StartHeld{StartHeld: hold}})
	says(paused)
	h.Do(t, "eve", proceduretest.Resume())
	says("Wave 2 of 2 is about to start.")
}

// TestASummaryNamesNoEndThatNobodyKnows: what is held by something without an end is looked at again
// at that time, and need not go on then.
func TestASummaryNamesNoEndThatNobodyKnows(t *testing.T) {
	at := time.Date(2026, 11, 2, 10, 0, 0, 0, time.UTC)
	freeze := &releasev1.HoldReason{Rule: "freeze", Subject: "weekend", Message: "nobody is there", Until: timestamppb.New(at)}
	busy := &releasev1.HoldReason{Rule: "target.busy", Subject: "eu1", Message: "shop-2 is under way"}
	for want, holds := range map[string][]*releasev1.HoldReason{
		"It waits until 2026-11-02T10:00:00Z: freeze weekend: nobody is there.":                                                            {freeze},
		"It waits, and is looked at again at 2026-11-02T10:00:00Z: target.busy eu1: shop-2 is under way.":                                  {busy},
		"It waits, and is looked at again at 2026-11-02T10:00:00Z: freeze weekend: nobody is there; target.busy eu1: shop-2 is under way.": {freeze, busy},
	} {
		if got := view.Summary(procedure.State{Phase: procedure.PhaseHeld, Holds: holds, HeldUntil: at}); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
