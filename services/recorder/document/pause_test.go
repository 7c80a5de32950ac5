package document_test

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/recorder/document"
)

// TestTheSummaryOfARecordTellsOfPauses: while it is paused, and how long it was.
func TestTheSummaryOfARecordTellsOfPauses(t *testing.T) {
	h := proceduretest.New(proceduretest.Request(proceduretest.Waves([]string{"eu1"}, []string{"us1"})))
	says := func(want string, is bool) {
		t.Helper()
		text := string(document.Build(h.Release, messages(h)).Markdown())
		summary, _, _ := strings.Cut(text, "| What | Value |")
		if strings.Contains(summary, want) != is {
			t.Errorf("%q is there: %v, want %v\n%s", want, !is, is, summary)
		}
	}
	h.To(t, procedure.PhaseVerify)
	says("paused", false)
	h.Do(t, "dan", proceduretest.Pause())
	const still = "It is paused by dan, and begins nothing new until it is resumed: customers call."
	says(still, true)
	h.Do(t, "", proceduretest.Verified(h.State(), releasev1.CheckResult_VERDICT_PASS, false))
	hold := &releasev1.Held{Reasons: []*releasev1.HoldReason{procedure.PauseHold(h.State())}, Until: timestamppb.New(h.Now.Add(time.Minute))}
	h.Do(t, "", &releasev1.Event{Data: &releasev1.Event_StartHeld{StartHeld: hold}})
	says(still, true)
	says("It waits until", false)
	whole := string(document.Build(h.Release, messages(h)).Markdown())
	if !strings.Contains(whole, "| customers call | it is resumed |") || strings.Contains(whole, "looked at again") {
		t.Errorf("until when it is held is not said, or as of something that is looked at again:\n%s", whole)
	}
	h.Advance(time.Minute)
	h.Do(t, "eve", proceduretest.Resume())
	says("dan paused it for 1 min", true)
	says(still, false)
	h.Do(t, "dan", proceduretest.Pause())
	h.Advance(time.Hour)
	h.Do(t, "eve", proceduretest.Resume())
	h.To(t, procedure.PhaseClosed)
	says("It was paused 2 times, for 1 h", true)
}
