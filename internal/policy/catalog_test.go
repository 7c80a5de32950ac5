package policy_test

import (
	"fmt"
	"maps"
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

// TestATargetLiesDeeperThanAllItDependsOn: also by way of targets that are none of those asked
// for, which count for nothing themselves. Of targets that have nothing to do with each other
// none is deeper because of the other.
func TestATargetLiesDeeperThanAllItDependsOn(t *testing.T) {
	target := func(id string, dependencies ...string) *policyv1.Target {
		return &policyv1.Target{Id: id, Dependencies: dependencies}
	}
	x := policy.NewIndex(&policyv1.Procedure{Targets: []*policyv1.Target{
		target("web", "app", "cdn"), target("app", "bus"), target("bus", "db"), target("db"), target("cdn"), target("lone"),
	}})
	for _, test := range []struct {
		targets []string
		want    map[string]uint32
	}{
		{[]string{"web", "app", "bus", "db", "cdn", "lone"}, map[string]uint32{"web": 3, "app": 2, "bus": 1, "db": 0, "cdn": 0, "lone": 0}},
		{[]string{"web", "db", "lone"}, map[string]uint32{"web": 1, "db": 0, "lone": 0}},
		{[]string{"app", "cdn", "web"}, map[string]uint32{"web": 1, "app": 0, "cdn": 0}},
		{[]string{"bus"}, map[string]uint32{"bus": 0}},
		{[]string{"unknown"}, map[string]uint32{"unknown": 0}},
		{nil, map[string]uint32{}},
	} {
		if got := x.Depth(test.targets); !maps.Equal(got, test.want) {
			t.Errorf("of %v: %v, want %v", test.targets, got, test.want)
		}
	}
	// No document in effect has a circle. One that has gets an answer all the same.
	x = policy.NewIndex(&policyv1.Procedure{Targets: []*policyv1.Target{target("a", "b"), target("b", "a")}})
	if got := x.Depth([]string{"a", "b"}); len(got) != 2 {
		t.Errorf("in a circle: %v", got)
	}
}

// TestNoTargetDependsOnItself, by whatever way: of two in a circle no order is right.
func TestNoTargetDependsOnItself(t *testing.T) {
	target := func(id string, dependencies ...string) *policyv1.Target {
		return &policyv1.Target{Id: id, Dependencies: dependencies}
	}
	for name, test := range map[string]struct {
		targets []*policyv1.Target
		want    []string
	}{
		"a chain":             {[]*policyv1.Target{target("web", "app", "db"), target("app", "db"), target("db")}, nil},
		"itself":              {[]*policyv1.Target{target("web", "web")}, []string{"targets[0].dependencies[0]: web depends on itself: web on web, and neither goes back first"}},
		"what is not there":   {[]*policyv1.Target{target("web", "db")}, []string{`targets[0].dependencies[0]: there is no target "db"`}},
		"what is there twice": {[]*policyv1.Target{target("web", "db", "db"), target("db")}, []string{`targets[0].dependencies[1]: "db" is there already`}},
		"a circle": {
			[]*policyv1.Target{target("web", "app"), target("app", "db"), target("db", "web"), target("out", "web")},
			[]string{
				"targets[0].dependencies[0]: web depends on itself: web on app on db on web", "targets[1].dependencies[0]: app depends on itself: app on db on web on app",
				"targets[2].dependencies[0]: db depends on itself: db on web on app on db",
			},
		},
	} {
		var got []string
		for _, v := range policy.Check(&policyv1.Procedure{Targets: test.targets}) {
			if strings.Contains(v.Field, ".dependencies") {
				got = append(got, v.Field+": "+v.Message)
			}
		}
		if len(got) != len(test.want) {
			t.Errorf("%s: %q, want %q", name, got, test.want)
			continue
		}
		for i := range got {
			if !strings.HasPrefix(got[i], test.want[i]) {
				t.Errorf("%s: %q, want %q", name, got[i], test.want[i])
			}
		}
	}
}
