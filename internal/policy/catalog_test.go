package policy_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/blackdice/shipwarden/internal/policy"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
)

func TestTheCatalogHasBothDirections(t *testing.T) {
	mail := []*policyv1.Contact{{Kind: policyv1.Contact_KIND_MAIL, Address: "dev@shop.example"}}
	x := policy.NewIndex(&policyv1.Procedure{
		People: []*policyv1.Person{
			{Id: "alice", Contacts: mail}, {Id: "bob", Aliases: []string{"robert"}}, {Id: "gone", Inactive: true}, {Id: "bot", Machine: true}, {Id: "eve"},
		},
		Groups: []*policyv1.Group{{Name: "dev", Members: []string{"alice", "gone", "bot"}, Contacts: mail}},
		Services: []*policyv1.Service{
			{Name: "shop", OwnerGroups: []string{"dev"}, Owners: []string{"bob", "gone"}, Dependencies: []string{"billing"}},
			{Name: "app", Dependencies: []string{"billing", "shop"}},
			{Name: "billing"},
		},
	})
	if got := x.Owners("shop"); !slices.Equal(got, []string{"alice", "bob"}) {
		t.Errorf("owners %v", got)
	}
	for person, owns := range map[string]bool{"alice": true, "bob": true, "robert": false, "gone": false, "bot": false, "eve": false, "zoe": false} {
		if x.Owns(person, "shop") != owns {
			t.Errorf("%s owns the shop: %t", person, !owns)
		}
	}
	if x.Owns("alice", "app") || x.Owns("alice", "nothing") {
		t.Error("alice owns what nobody does")
	}
	var names []string
	for _, s := range x.Dependents("billing") {
		names = append(names, s.GetName())
	}
	if !slices.Equal(names, []string{"shop", "app"}) || len(x.Dependents("app")) != 0 {
		t.Errorf("on billing depend %v", names)
	}
	if got := x.OwnerContacts("shop"); len(got) != 2 || len(x.OwnerContacts("billing")) != 0 {
		t.Errorf("contacts %v", got)
	}
}

func TestRangesOfVersions(t *testing.T) {
	for _, test := range []struct {
		versions, version string
		takes, wrong      bool
	}{
		{">=2.1.0 <3.0.0", "2.9.9", true, false},
		{">=2.1.0 <3.0.0", "3.0.0", false, false},
		{"^2.1", "2.1.0", true, false},
		{"^2.1", "3.0.0", false, false},
		{"~2.1.3 || >=2.4", "2.1.9", true, false},
		{"~2.1.3 || >=2.4", "2.2.0", false, false},
		{">=1", "2.0.0-rc.1", false, false},
		{">=2.0.0-0", "2.0.0-rc.1", true, false},
		{"newest", "1.0.0", false, true},
		{">=1", "v1", false, true},
		{">=1", "1.0", false, true},
		{"", "1.0.0", false, true},
	} {
		takes, err := policy.Takes(test.versions, test.version)
		if takes != test.takes || (err != nil) != test.wrong {
			t.Errorf("%q takes %q: %t, %v", test.versions, test.version, takes, err)
		}
	}
}

// TestTheCatalogIsAmongWhatAnotherDocumentChanges: who proposes one is told whose rights
// it widens, and what it demands less of.
func TestTheCatalogIsAmongWhatAnotherDocumentChanges(t *testing.T) {
	document := func(change func(*policyv1.Procedure)) *policyv1.Procedure {
		d := &policyv1.Procedure{
			People:   []*policyv1.Person{{Id: "alice"}, {Id: "bob"}},
			Groups:   []*policyv1.Group{{Name: "dev", Members: []string{"alice"}}},
			Services: []*policyv1.Service{{Name: "shop", OwnerGroups: []string{"dev"}, Requirements: []*policyv1.Requirement{{Service: "billing", Versions: "^2"}}}},
		}
		change(d)
		return d
	}
	before := document(func(*policyv1.Procedure) {})
	after := document(func(d *policyv1.Procedure) {
		d.Services[0].Owners, d.Services[0].Requirements = []string{"bob"}, nil
		d.Quarantine = &policyv1.Quarantine{Group: "dev", Bypassable: true}
	})
	if got := policy.Loosened(before, after); !slices.Equal(got, []string{"an emergency may bypass a quarantine", "shop needs billing ^2 no more"}) {
		t.Errorf("loosened: %q", got)
	}
	widened := fmt.Sprint(policy.Widened(policy.NewIndex(before), policy.NewIndex(after)))
	for _, want := range []string{"own releases of shop", "let artifacts out of quarantine"} {
		if !strings.Contains(widened, want) {
			t.Errorf("%q is not among %s", want, widened)
		}
	}
}
