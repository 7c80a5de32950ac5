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

// TestWhatEndedAWaitForATargetIsOnRecord, in step 3 and at the start: beside the hold, in the
// timeline and in words.
func TestWhatEndedAWaitForATargetIsOnRecord(t *testing.T) {
	h := proceduretest.New(proceduretest.Request())
	h.To(t, procedure.PhaseRisk)
	busy := func() *releasev1.Held {
		return &releasev1.Held{
			Reasons: []*releasev1.HoldReason{{Rule: procedure.HoldTargetBusy, Subject: "shop-a|b"}}, Until: timestamppb.New(h.Now.Add(time.Hour)),
		}
	}
	free := func(sequence uint64) {
		h.Do(t, "", procedure.DecideFreed(h.State(), procedure.Freed{Release: "shop-a|b", Sequence: sequence}, []string{"eu1"}))
	}
	h.Do(t, "", &releasev1.Event{Data: &releasev1.Event_Held{Held: busy()}})
	free(1)
	h.To(t, procedure.PhaseExecute)
	h.Do(t, "", &releasev1.Event{Data: &releasev1.Event_StartHeld{StartHeld: busy()}})
	free(2)
	h.To(t, procedure.PhaseClosed)
	r := document.Build(h.Release, messages(h))
	var kinds []string
	for _, hold := range r.Holds {
		kinds = append(kinds, hold.Type)
	}
	if got := strings.Join(kinds, " "); got != "held target_freed start_held target_freed" {
		t.Errorf("holds %s", got)
	}
	told := 0
	for _, line := range r.Timeline {
		if line.Text == "release shop-a|b let go of eu1, for which it waited: it is looked at again" && line.Writer == procedure.ServiceExecutor {
			told++
		}
	}
	if told != 2 {
		t.Errorf("the timeline tells it %d times: %v", told, r.Timeline)
	}
	page := string(r.Markdown())
	step3, start, _ := strings.Cut(page, "## Step 5: execution")
	for where, text := range map[string]string{"step 3": step3, "the start": start} {
		if strings.Count(text, "because release shop-a\\|b let go of eu1.") != 1 {
			t.Errorf("of %s the document does not say what ended its wait, once:\n%s", where, text)
		}
	}
}
