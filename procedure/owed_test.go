package procedure_test

import (
	"slices"
	"testing"
	"time"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// TestAReviewThatIsOwedIsCalledForWhenItIsDue, by the clock: a nanosecond before nobody is
// called, from then on people are until somebody who had no part in the emergency has reviewed
// it. From when on the debt blocks is that time and the grace (N-04).
func TestAReviewThatIsOwedIsCalledForWhenItIsDue(t *testing.T) {
	h := proceduretest.New(proceduretest.Request(proceduretest.Emergency))
	h.To(t, procedure.PhaseFollowUp)
	due := h.State().ReviewDue
	called := func() bool {
		return slices.ContainsFunc(h.State().Escalations, func(e procedure.Escalation) bool { return e.Cause == releasev1.Cause_CAUSE_REVIEW_OVERDUE })
	}
	until := func(at time.Time) {
		t.Helper()
		for {
			next, is := procedure.NextDeadline(h.State())
			if !is || next.At.After(at) {
				break
			}
			if wait := next.At.Sub(h.Now); wait > 0 {
				h.Advance(wait)
			}
			h.Do(t, "", procedure.DecideDeadline(h.State(), h.Now))
		}
		if wait := at.Sub(h.Now); wait > 0 {
			h.Advance(wait)
		}
	}
	if until(due.Add(-time.Nanosecond)); called() || h.State().ReviewOverdue || !h.State().ReviewOwed() {
		t.Errorf("a nanosecond before: called %v, overdue %v, owed %v", called(), h.State().ReviewOverdue, h.State().ReviewOwed())
	}
	if until(due); !called() || !h.State().ReviewOverdue {
		t.Errorf("when it is due: called %v, overdue %v", called(), h.State().ReviewOverdue)
	}
	if err := h.Store(h.Next(&releasev1.Actor{Id: "eve", Kind: releasev1.Actor_KIND_HUMAN, Groups: []string{"security"}}, proceduretest.Review())); err == nil {
		t.Error("who authorized it reviews it")
	}
	h.Do(t, "ben", proceduretest.Review())
	if s := h.State(); s.ReviewOwed() || s.ReviewedBy != "ben" {
		t.Errorf("reviewed by %q, owed %v", s.ReviewedBy, s.ReviewOwed())
	}
}
