package scope_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/blackdice/shipwarden/internal/standing"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// catalog is a document in which the shop needs billing, and the app needs the shop.
func catalog(billing, shop string) string {
	return strings.NewReplacer(
		"  - {name: shop, owner_groups: [shop-team]}\n", `  - {name: shop, owners: [olga], owner_groups: [shop-team], dependencies: [billing], requirements: [{service: billing, versions: `+billing+`}], tier: 3}
  - {name: billing, owner_groups: [shop-team]}
  - {name: app, owner_groups: [shop-team], dependencies: [shop], requirements: [{service: shop, versions: `+shop+`}]}
`,
		"  - {id: rita, name: Rita}\n", "  - {id: rita, name: Rita}\n  - {id: olga, name: Olga}\n",
		"targets:\n", `targets:
  - {id: bill1, environment: production, services: [billing], driver: host, customers: [acme]}
  - {id: bill2, environment: test, services: [billing], driver: host}
  - {id: app1, environment: production, services: [app], driver: host}
`,
		"services: [shop], driver: host}", "services: [shop], driver: host, customers: [zeta, acme]}",
	).Replace(document(""))
}

func carrying(service, version string) *releasev1.TargetState {
	d := deployment(version)
	d.Service = service
	return &releasev1.TargetState{Generation: 1, Deployed: d}
}

// TestAVersionThatNobodyKnowsIsNoneThatIsNeeded: the target cannot tell what it carries.
func TestAVersionThatNobodyKnowsIsNoneThatIsNeeded(t *testing.T) {
	w := newWorld(t, catalog(`"^2.1"`, `">=1.0.0"`))
	w.stands(t, "bill1", standing.Unknown(carrying("billing", "2.3.0"), "billing-lost"))
	found, s, err := w.look(t, w.place(t, "1.4.2"))
	if err != nil || !has(found, "dependency.version shop BLOCKING") || !strings.Contains(s.EndReason, "nobody knows since release billing-lost what bill1 carries") {
		t.Errorf("%v: %q, %s", err, found, s.EndReason)
	}
}

// TestVersionsThatDoNotGoTogether: what the service needs is not live, or what is live
// needs another version of it.
func TestVersionsThatDoNotGoTogether(t *testing.T) {
	const fine = `">=1.0.0"`
	for _, test := range []struct {
		name, billing, shop string
		billingLive         string
		appLive             bool
		lane                func(*releasev1.Request)
		refused             bool
		want                string
		says                string
	}{
		{"all in order", `"^2.1"`, fine, "2.3.0", true, nil, false, "dependency.version shop OK", "what it needs is live: billing ^2.1"},
		{"too old", `"^2.1"`, fine, "2.0.9", true, nil, true, "dependency.version shop BLOCKING", "shop needs billing ^2.1, and billing is 2.0.9 on bill1"},
		{"too new", `">=2.1 <3"`, fine, "3.0.0", true, nil, true, "dependency.version shop BLOCKING", "billing is 3.0.0 on bill1"},
		{"live in another environment only", `"^2.1"`, fine, "", true, nil, true, "dependency.version shop BLOCKING", "billing is live nowhere in production"},
		{"a pre-release", `">=2.1"`, fine, "2.2.0-rc.1", true, nil, true, "dependency.version shop BLOCKING", "billing is 2.2.0-rc.1"},
		{"in an emergency", `"^2.1"`, fine, "2.0.9", true, proceduretest.Emergency, false, "dependency.version shop WARNING", "billing is 2.0.9"},
		{"where that only warns", `"^2.1", severity: SEVERITY_WARNING`, fine, "2.0.9", true, nil, false, "dependency.version shop WARNING", "billing is 2.0.9"},
		{"not taken by what depends on it", `"^2.1"`, `"<1.4"`, "2.3.0", true, nil, true, "dependent.version shop BLOCKING", "app 7.0.0, live on app1, needs <1.4"},
		{"not taken by what is not live", `"^2.1"`, `"<1.4"`, "2.3.0", false, nil, false, "dependents shop OK", "others depend on: app"},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t, catalog(test.billing, test.shop))
			w.stands(t, "bill2", carrying("billing", "2.3.0"))
			if test.billingLive != "" {
				w.stands(t, "bill1", carrying("billing", test.billingLive))
			}
			if test.appLive {
				w.stands(t, "app1", carrying("app", "7.0.0"))
			}
			changes := []func(*releasev1.Request){w.place(t, "1.4.2"), func(r *releasev1.Request) { r.Owner = "olga" }}
			if test.lane != nil {
				changes = append(changes, test.lane)
			}
			found, s, err := w.look(t, changes...)
			if err != nil || (s.Outcome == releasev1.Outcome_OUTCOME_REJECTED) != test.refused || !has(found, test.want) {
				t.Fatalf("outcome %s, %v: %q is not among %q", s.Outcome, err, test.want, found)
			}
			if !slices.ContainsFunc(s.Findings, func(f *releasev1.Finding) bool { return strings.Contains(f.GetMessage(), test.says) }) {
				t.Errorf("nothing says %q: %v", test.says, s.Findings)
			}
			for _, want := range []string{"customers shop OK", "owner.unreachable shop WARNING", "owner olga OK"} {
				if !has(found, want) {
					t.Errorf("%q is not among %q", want, found)
				}
			}
			if !test.refused && s.Phase != procedure.PhasePreview {
				t.Errorf("in phase %s", s.Phase)
			}
		})
	}
}
