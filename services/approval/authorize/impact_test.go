package authorize_test

import (
	"slices"
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// Anybody whom the procedure knows says what they see, and people are called for it.
func TestAnybodyReportsAnImpact(t *testing.T) {
	r := newRig(t)
	desk := r.dial(t)
	call := &approvalv1.ReportImpactRequest{Release: r.Reach(t, procedure.PhaseExecute, key("early")), Description: "checkout fails"}
	_, err := desk.ReportImpact(as(t, "finn"), call)
	want(t, "before it began", err, codes.FailedPrecondition, "NO_IMPACT")
	call.Release = r.Reach(t, procedure.PhaseVerify, key("impact"), proceduretest.Waves([]string{"us1"}))
	_, err = desk.ReportImpact(as(t, "mallory"), call)
	want(t, "a stranger", err, codes.PermissionDenied, "UNKNOWN_PERSON")
	call.Customers = []string{"acme", "globex"}
	_, err = desk.ReportImpact(as(t, "finn"), call)
	want(t, "a customer of others", err, codes.InvalidArgument, "INVALID_FIELD")
	call.Customers = call.GetCustomers()[:1]
	if _, err := desk.ReportImpact(as(t, "finn"), call); err != nil {
		t.Fatal(err)
	}
	if s := r.State(t, call.GetRelease()); !slices.Contains(s.OpenEscalations(), releasev1.Cause_CAUSE_UNEXPECTED_IMPACT) || s.Impact.GetCustomers()[0] != "acme" {
		t.Errorf("open %v, impact %v", s.OpenEscalations(), s.Impact)
	}
}

// Who tries to authorize an emergency and may not is refused, and people hear of it, once
// for each; of a planned release nobody does.
func TestWhoTriesToAuthorizeAnEmergencyAndMayNotIsTold(t *testing.T) {
	r := newRig(t)
	desk := r.dial(t)
	s := r.pending(t, proceduretest.Emergency)
	for range 2 {
		_, err := desk.Approve(as(t, "anna"), approve(s))
		want(t, "anna", err, codes.PermissionDenied, "NOT_APPROVER")
	}
	after := r.State(t, s.Release)
	if !slices.Equal(after.Attempts, []string{"anna"}) || len(after.Wanted) != 1 || after.Wanted[0].Occasion != releasev1.Occasion_OCCASION_EMERGENCY {
		t.Errorf("attempts %v, wanted %v", after.Attempts, after.Wanted)
	}
	planned := r.pending(t, key("planned"))
	_, err := desk.Approve(as(t, "finn"), approve(planned))
	want(t, "finn", err, codes.PermissionDenied, "NOT_APPROVER")
	if after := r.State(t, planned.Release); after.Events != planned.Events {
		t.Errorf("of a planned release it is on record: %d events, were %d", after.Events, planned.Events)
	}
}
