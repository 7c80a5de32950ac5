package authorize_test

import (
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/approval/approvaltest"
	"github.com/blackdice/shipwarden/services/approval/authorize"
	"github.com/blackdice/shipwarden/services/approval/whatif"
)

// TestWhomTheProviderTookOutOwnsNothing (PD-A.4): Otto owns the service by a group of the
// document in which the identity provider has him no more. He asks for nothing to be let
// out that the service placed.
func TestWhomTheProviderTookOutOwnsNothing(t *testing.T) {
	r := newRig(t, func(d *policyv1.Procedure) {
		for _, g := range d.GetGroups() {
			if g.GetName() == "developers" {
				g.ProviderGroup = "idp-developers"
			}
		}
	})
	desk := authorize.NewServer(r.Store, r.Procedures, approvaltest.ProcedureID, r.waiting, r.Evidence, whatif.World{}, time.Now)
	release := r.Reach(t, procedure.PhaseVerify)
	r.Do(t, release, "", proceduretest.Verified(r.State(t, release), releasev1.CheckResult_VERDICT_FAIL, false))
	ask := &approvalv1.ProposeClearanceRequest{Digest: r.takenBack(t, release), Reason: "the probe was wrong"}
	_, err := desk.ProposeClearance(loggedIn(t, "otto", "idp-others"), ask)
	want(t, "taken out", err, codes.PermissionDenied, "NOT_ALLOWED")
	if _, err := desk.ProposeClearance(loggedIn(t, "otto", "idp-developers"), ask); err != nil {
		t.Error(err)
	}
}
