package procedure_test

import (
	"slices"
	"testing"
	"time"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// A start that waits for somebody's word, and does not get it in time, is late for all who
// were told of it; those who were told before that was followed are not told more than then.
func TestAStartThatNobodyAcknowledgesIsLate(t *testing.T) {
	for _, timed := range []bool{true, false} {
		h := proceduretest.New(proceduretest.Request())
		h.To(t, procedure.PhaseNotify)
		told := proceduretest.NotifyWaiting(h.State(), h.Now.Add(time.Hour), false, "ada")
		told.GetNotified().TimesFollowed = timed
		h.Do(t, "", told)
		h.Advance(time.Hour)
		h.Do(t, "", procedure.DecideDeadline(h.State(), h.Now))
		late := procedure.Notice{Occasion: releasev1.Occasion_OCCASION_CORRECTION, Number: 1}
		if s := h.State(); !s.NoticeOverdue || slices.Contains(s.Wanted, late) != timed {
			t.Errorf("timed %v: tell %v", timed, s.Wanted)
		}
	}
}
