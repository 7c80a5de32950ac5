package authorize_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/internal/identity"
	"github.com/blackdice/shipwarden/procedure"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	"github.com/blackdice/shipwarden/services/approval/approvaltest"
	"github.com/blackdice/shipwarden/services/approval/authorize"
	"github.com/blackdice/shipwarden/services/approval/risk"
	"github.com/blackdice/shipwarden/services/approval/whatif"
)

// loggedIn is a call by whom the provider has in these groups of its own.
func loggedIn(t *testing.T, person string, groups ...string) context.Context {
	t.Helper()
	return identity.NewContext(t.Context(), identity.Caller{Names: []string{person}, Method: identity.MethodOIDC, Provided: true, Groups: groups})
}

// TestNobodyGoesAroundTheProvider (PD-A.4): whom the identity provider took out of a group
// decides nothing for it, and nobody decides for it in their place.
func TestNobodyGoesAroundTheProvider(t *testing.T) {
	r := newRig(t, standIns, func(d *policyv1.Procedure) {
		d.StandIns.Groups = nil
		for _, g := range d.GetGroups() {
			if slices.Contains([]string{"release-managers", "incident-commanders", "developers"}, g.GetName()) {
				g.ProviderGroup = "idp-" + g.GetName()
			}
		}
		d.Freezes = []*policyv1.Freeze{frozen("audit", time.Now().Add(time.Hour))}
	})
	desk := authorize.NewServer(r.Store, r.Procedures, approvaltest.ProcedureID, r.waiting, r.Evidence, whatif.World{}, time.Now)
	delegate := func(ctx context.Context, standIn string, groups ...string) error {
		_, err := desk.Delegate(ctx, &approvalv1.DelegateRequest{
			StandIn: standIn, Groups: groups, Until: timestamppb.New(time.Now().Add(24 * time.Hour)), Reason: "on leave",
		})
		return err
	}
	want(t, "taken out, with a stand-in", delegate(loggedIn(t, "anna"), "finn"), codes.PermissionDenied, "NOT_ALLOWED")
	// In it still, she has none either: tomorrow nobody could ask whether she is.
	want(t, "in it, with a stand-in", delegate(loggedIn(t, "anna", "idp-release-managers"), "finn"), codes.PermissionDenied, "NOT_ALLOWED")
	want(t, "for that group", delegate(loggedIn(t, "cleo", "idp-release-managers"), "finn", "release-managers"), codes.InvalidArgument, "INVALID_FIELD")
	// Cleo is in security as well, which has no group of the provider's.
	if err := delegate(loggedIn(t, "cleo"), "finn"); err != nil {
		t.Fatal(err)
	}
	s := r.pending(t)
	if _, err := desk.Approve(loggedIn(t, "finn"), inPlaceOf(s, "cleo")); err == nil {
		for _, a := range r.State(t, s.Release).Approvals {
			if slices.Contains(a.Groups, "release-managers") {
				t.Errorf("in her place he approves for %v", a.Groups)
			}
		}
	}

	release := r.Reach(t, procedure.PhaseRisk, key("held"))
	step := risk.New(r.Procedures, r.Store, risk.Watch{})
	if s, err := r.Act(t, step, release, time.Now()); err != nil || s.Phase != procedure.PhaseHeld {
		t.Fatalf("phase %s, %v", s.Phase, err)
	}
	call := &approvalv1.OverrideFreezeRequest{Release: release, Freeze: "audit", Reason: "customers cannot pay", Ticket: "INC-7"}
	_, err := desk.OverrideFreeze(loggedIn(t, "eve"), call)
	want(t, "an exception by whom the provider took out", err, codes.PermissionDenied, "NOT_ALLOWED")
	if _, err := desk.OverrideFreeze(loggedIn(t, "eve", "idp-incident-commanders"), call); err != nil {
		t.Fatal(err)
	}
	if o := r.State(t, release).Overrides; len(o) != 1 || !slices.Equal(o[0].Groups, []string{"incident-commanders"}) {
		t.Errorf("on record: %+v", o)
	}
	if s, err := r.Act(t, step, release, time.Now()); err != nil || s.Phase == procedure.PhaseHeld {
		t.Errorf("phase %s, %v", s.Phase, err)
	}
}
