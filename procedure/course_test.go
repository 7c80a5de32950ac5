package procedure_test

import (
	"strings"
	"testing"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// TestWhoSteeredAnEmergencyDoesNotReviewIt: who aborted it, made an exception for it or
// decided when it was escalated would judge what they did themselves (PD-A.5). Histories
// of before that was asked fold as they did.
func TestWhoSteeredAnEmergencyDoesNotReviewIt(t *testing.T) {
	for _, test := range []struct {
		name  string
		steer func(t *testing.T, h *proceduretest.History)
		why   string
	}{
		{"aborted", func(t *testing.T, h *proceduretest.History) {
			h.To(t, procedure.PhaseVerify)
			h.Do(t, "ben", proceduretest.Abort())
		}, "who decided about its course"},
		{"escalated", func(t *testing.T, h *proceduretest.History) {
			h.To(t, procedure.PhaseVerify)
			h.Do(t, "", proceduretest.Verified(h.State(), releasev1.CheckResult_VERDICT_FAIL, false))
			h.To(t, procedure.PhaseVerifyRollback)
			h.Do(t, "", proceduretest.Verified(h.State(), releasev1.CheckResult_VERDICT_FAIL, false))
			h.To(t, procedure.PhaseEscalated)
			h.Do(t, "ben", proceduretest.Intervene(releasev1.Intervened_ACTION_ACCEPT))
		}, "who decided about its course"},
		{"an exception", func(t *testing.T, h *proceduretest.History) {
			h.Do(t, "ben", proceduretest.Override("weekend"))
		}, "who made an exception for it"},
	} {
		for _, before := range []bool{false, true} {
			name := test.name
			if before {
				name += ", in a history of before that was asked"
			}
			t.Run(name, func(t *testing.T) {
				h := proceduretest.New(proceduretest.Request(proceduretest.Emergency))
				h.To(t, procedure.PhaseApprove)
				h.Do(t, "eve", proceduretest.Approval(h.State(), h.Now.Add(3600e9)))
				e := proceduretest.Authorize(h.State(), h.Now)
				if !e.GetAuthorized().GetCourseExcludes() {
					t.Fatal("an emergency is authorized without a word on who may not review it")
				}
				e.GetAuthorized().CourseExcludes = !before
				h.Do(t, "", e)
				test.steer(t, h)
				reviewable(t, h)
				err := h.Clone().Store(h.Next(proceduretest.Person("ben"), proceduretest.Review()))
				switch {
				case before && err != nil:
					t.Errorf("refused: %v", err)
				case !before && (err == nil || !strings.Contains(err.Error(), test.why)):
					t.Errorf("%v, want %s", err, test.why)
				}
				if err := h.Clone().Store(h.Next(proceduretest.Person("zoe"), proceduretest.Review())); err != nil {
					t.Errorf("by somebody who had no part in it: %v", err)
				}
			})
		}
	}
}
