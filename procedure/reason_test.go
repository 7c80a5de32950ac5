package procedure_test

import (
	"strings"
	"testing"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// TestNobodyTakesACallOnWithoutAReason: an incident may end with it. Histories of before one
// was demanded fold as they did.
func TestNobodyTakesACallOnWithoutAReason(t *testing.T) {
	for comment, given := range map[string]bool{"": false, " \t\n": false, "looking at it": true} {
		for _, before := range []bool{false, true} {
			h := proceduretest.New(proceduretest.Request())
			first := proceduretest.Requested(h.Asked, h.Now)
			if !first.GetRequested().GetReasonsDemanded() {
				t.Fatal("a release is asked for without a word on reasons")
			}
			first.GetRequested().ReasonsDemanded = !before
			h.Do(t, "", first)
			h.To(t, procedure.PhaseVerify)
			h.Do(t, "", proceduretest.Verified(h.State(), releasev1.CheckResult_VERDICT_FAIL, false))
			e := proceduretest.Acknowledge(releasev1.Cause_CAUSE_VALIDATION_FAILED)
			e.GetAcknowledged().Comment = comment
			err := h.Store(h.Next(proceduretest.Person("eve"), e))
			if counts := given || before; counts != (err == nil) || !counts && !strings.Contains(err.Error(), "its comment names no reason") {
				t.Errorf("%q, in a history of before: %t: %v", comment, before, err)
			}
			if taken := h.State().Escalations[0].AcknowledgedBy == "eve"; taken != (given || before) {
				t.Errorf("%q, in a history of before: %t: taken on: %t", comment, before, taken)
			}
		}
	}
}
