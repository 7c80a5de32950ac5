package authorize

import (
	"slices"
	"testing"

	"github.com/blackdice/shipwarden/internal/identity"
	"github.com/blackdice/shipwarden/internal/policy"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
)

// TestTheProvidersGroupsTakeAwayAndGiveNothing (PD-A.4).
func TestTheProvidersGroupsTakeAwayAndGiveNothing(t *testing.T) {
	index := policy.NewIndex(&policyv1.Procedure{
		People: []*policyv1.Person{{Id: "anna", Aliases: []string{"anna@shop.example"}}, {Id: "ben"}},
		Groups: []*policyv1.Group{
			{Name: "managers", Members: []string{"anna"}, ProviderGroup: "app-managers"},
			{Name: "security", Members: []string{"ben"}, ProviderGroup: "app-security"},
			{Name: "sre", Members: []string{"anna"}},
		},
	})
	for name, c := range map[string]struct {
		caller identity.Caller
		want   []string
	}{
		"in it":                     {identity.Caller{Provided: true, Groups: []string{"app-managers"}}, []string{"managers", "sre"}},
		"taken out of it":           {identity.Caller{Provided: true}, []string{"sre"}},
		"in others of the provider": {identity.Caller{Provided: true, Groups: []string{"app-security", "managers"}}, []string{"sre"}},
		"by a certificate":          {identity.Caller{}, []string{"managers", "sre"}},
	} {
		c.caller.Names = []string{"Anna@shop.example"}
		actor, err := personOf(c.caller, index)
		if err != nil || actor.GetId() != "anna" || !slices.Equal(actor.GetGroups(), c.want) {
			t.Errorf("%s: %v, %v", name, actor, err)
		}
	}
}
