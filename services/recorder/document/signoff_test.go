package document_test

import (
	"testing"
	"time"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// TestWhatIsSignedOffOfAWayBackIsInItsRecord: whom its verification asked what, and what they said.
func TestWhatIsSignedOffOfAWayBackIsInItsRecord(t *testing.T) {
	ledger := &releasev1.Check{Name: "ledger", Probe: &releasev1.Check_SignOff{SignOff: &releasev1.SignOffProbe{
		Question: "Do the sums agree?", Groups: []string{"operators"},
	}}}
	h := history(t, procedure.PhaseVerify)
	h.Do(t, "", proceduretest.Verified(h.State(), releasev1.CheckResult_VERDICT_FAIL, false))
	h.To(t, procedure.PhaseVerifyRollback)
	h.Do(t, "", procedure.DecideSignOffWanted(h.State(), []*releasev1.Check{ledger}, time.Hour, h.Now))
	h.Do(t, "", &releasev1.Event{
		Actor: &releasev1.Actor{Id: "gina", Kind: releasev1.Actor_KIND_HUMAN, Method: "mtls", Groups: []string{"operators"}},
		Data: &releasev1.Event_SignedOff{SignedOff: &releasev1.SignedOff{
			Check: "ledger", Number: h.State().Verifications + 1, Passed: true, Comment: "they agree",
		}},
	})
	r, _ := rollback(t, h, 1)
	if len(r.Verifications) != 1 || r.Verifications[0].Type != "sign_off_wanted" {
		t.Errorf("its verifications are %+v", r.Verifications)
	}
	if len(r.Decisions) != 1 || r.Decisions[0].Type != "signed_off" {
		t.Errorf("its decisions are %+v", r.Decisions)
	}
}
