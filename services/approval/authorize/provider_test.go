package authorize_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"

	"github.com/blackdice/shipwarden/internal/identity"
	"github.com/blackdice/shipwarden/internal/identity/providertest"
	"github.com/blackdice/shipwarden/internal/natstest"
	"github.com/blackdice/shipwarden/procedure"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	"github.com/blackdice/shipwarden/services/approval/authorize"
)

// TestPeopleOfARealProviderDecide (PD-A.1, PD-A.4): groups come from claims and are frozen
// into the decision, and whoever is a machine decides nothing however it is named.
func TestPeopleOfARealProviderDecide(t *testing.T) {
	real := providertest.Start(t, providertest.Build(t))
	provider, err := identity.NewProvider(&configv1.Oidc{Issuer: real.Issuer, Audience: providertest.Client, NameClaim: "sub"}, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	r := rigWith(t, natstest.Single(t), provider, func(d *policyv1.Procedure) {
		d.GetGroups()[0].ProviderGroup = "app-managers"
		d.GetPeople()[1].Aliases = []string{"ben@shop.example"}
		d.GetPeople()[3].Aliases = []string{"dan@shop.example"}
		d.GetPeople()[12].Aliases = []string{"robot@shop.example", "sid1"}
	})
	real.Tell(t, "person anna@shop.example app-managers,staff")
	real.Tell(t, "person ben@shop.example staff")
	real.Tell(t, "person dan@shop.example staff,release-managers")
	real.Tell(t, "person robot@shop.example app-managers")
	bearer := func(token string) context.Context {
		return metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+token)
	}
	login := func(person string) context.Context {
		return bearer(real.Login(t, providertest.Client, person+"@shop.example").ID)
	}
	s, desk := r.pending(t), r.dial(t)
	_, err = desk.Approve(login("robot"), approve(s))
	want(t, "a machine that logged in as people do", err, codes.PermissionDenied, "MACHINE")
	_, err = desk.Approve(bearer(real.Service(t)), approve(s))
	want(t, "a service", err, codes.PermissionDenied, "MACHINE")
	_, err = desk.Approve(login("dan"), approve(s))
	want(t, "the document's member whom the provider has in no such group", err, codes.PermissionDenied, "NOT_APPROVER")
	if _, err := desk.Approve(login("anna"), approve(s)); err != nil {
		t.Fatal(err)
	}
	actor := r.Task(t, s.Release, time.Now()).Cause.Event.GetActor()
	if actor.GetId() != "anna" || actor.GetMethod() != identity.MethodOIDC || !slices.Equal(actor.GetGroups(), []string{"release-managers"}) {
		t.Errorf("on record: %v", actor)
	}
	// What she was then stays what she was then; what she is now decides what she does now.
	real.Tell(t, "person anna@shop.example staff")
	next := r.pending(t, key("next"))
	_, err = desk.Approve(login("anna"), approve(next))
	want(t, "no manager any more", err, codes.PermissionDenied, "NOT_APPROVER")
	if got, err := desk.Approve(login("ben"), approve(s)); err != nil || !got.GetAuthorized() {
		t.Fatalf("%v, %v", got, err)
	}
	if after, err := r.Act(t, authorize.New(r.Procedures), s.Release, time.Now()); err != nil || after.Phase != procedure.PhaseNotify {
		t.Errorf("in phase %s, %v", after.Phase, err)
	}
}
