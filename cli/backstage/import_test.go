package backstage_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"buf.build/go/protoyaml"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/blackdice/shipwarden/cli/backstage"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
)

var rewrite = flag.Bool("rewrite", false, "write what the import gives as what it should give")

func testdata(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func same(t *testing.T, name, got string) {
	t.Helper()
	if *rewrite {
		if err := os.WriteFile(filepath.Join("testdata", name), []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(string(testdata(t, name)), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

// TestARealCatalogIsTakenOverOrSaid imports a catalog as teams keep it: what becomes of it,
// and what is said of the rest, are in files beside it.
func TestARealCatalogIsTakenOverOrSaid(t *testing.T) {
	got, notes, err := backstage.Import(
		backstage.File{Name: "catalog-info.yaml", Data: testdata(t, "catalog-info.yaml")},
		backstage.File{Name: "org.yaml", Data: testdata(t, "org.yaml")})
	if err != nil {
		t.Fatal(err)
	}
	same(t, "notes.txt", strings.Join(notes, "\n")+"\n")
	if *rewrite {
		raw, err := protoyaml.MarshalOptions{UseProtoNames: true, Indent: 2}.Marshal(got)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join("testdata", "sections.yaml"), raw, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want := &policyv1.Procedure{}
	if err := protoyaml.Unmarshal(testdata(t, "sections.yaml"), want); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
}

// TestEverythingThatIsLeftOutHasAPlaceAndAReason takes one thing after the other out of what
// is imported: none of it may go without a word.
func TestEverythingThatIsLeftOutHasAPlaceAndAReason(t *testing.T) {
	catalog, org := string(testdata(t, "catalog-info.yaml")), string(testdata(t, "org.yaml"))
	for name, test := range map[string]struct{ old, with, want string }{
		"a member of a kind that is not imported":   {"members: [alice, user:default/bob]", "members: [alice, system:checkout]", `org.yaml:20: "system:checkout" is no user`},
		"a member that is nowhere and not imported": {"members: [alice, user:default/bob]", "members: [alice, resource:x]", `org.yaml:20: "resource:x" is no user`},
		"a membership in a kind not imported":       {"memberOf: [group:payments-team]", "memberOf: [system:checkout]", `"system:checkout" is no group`},
		"a membership in a template":                {"memberOf: [group:payments-team]", "memberOf: [template:x]", `"template:x" is no group`},
		"an owner of a kind that is not imported":   {"owner: web-team", "owner: domain:retail", `"domain:retail" is neither a group nor a user`},
		"a child that is not there":                 {"children: [web-team]", "children: [web-team, mobile-team]", `org.yaml:11: "mobile-team" leads nowhere in these files`},
		"a child that is a user":                    {"children: [web-team]", "children: [user:alice]", `org.yaml:11: "user:alice" is no group`},
		"groups in a circle":                        {"parent: shop-inc", "parent: web-team", "org.yaml:1: group commerce is below itself"},
		"a target without driver":                   {"    shipwarden/driver: command\n    shipwarden/kinds: OCI_IMAGE, HELM_CHART\n", "    shipwarden/kinds: OCI_IMAGE\n", "annotation shipwarden/driver is missing: host, command, config, kubernetes, helm, terraform or noop"},
		"a target with a driver that is none":       {"shipwarden/driver: command\n    shipwarden/kinds: OCI_IMAGE", "shipwarden/driver: ftp\n    shipwarden/kinds: OCI_IMAGE", "targets[0].driver"},
		"a target without kinds":                    {"    shipwarden/kinds: OCI_IMAGE, HELM_CHART\n", "", "annotation shipwarden/kinds is missing: what eu1 takes"},
		"a kind that is none":                       {"OCI_IMAGE, HELM_CHART", "OCI_IMAGE, DEB", `catalog-info.yaml:126: annotation shipwarden/kinds: "DEB" is no kind of artifact`},
		"a customer twice":                          {"acme, globex", "acme, acme", `catalog-info.yaml:127: annotation shipwarden/customers has "acme" twice`},
		"a customer without a name":                 {"acme, globex", "acme,, globex", "catalog-info.yaml:127: annotation shipwarden/customers has an empty place"},
		"an annotation without a value":             {"shipwarden/customers: acme, globex", `shipwarden/customers: ""`, "catalog-info.yaml:127: annotation shipwarden/customers is empty"},
		"an annotation that is misspelled":          {"shipwarden/customers: acme, globex", "shipwarden/customer: acme", "catalog-info.yaml:127: annotation shipwarden/customer is none of kind Resource, which has shipwarden/environment,"},
		"an annotation of another kind":             {`shipwarden/tier: "1"`, "shipwarden/environment: production", "annotation shipwarden/environment is none of kind Component"},
		"an annotation where there are none":        {"    backstage.io/managed-by-location: url:https", "    shipwarden/tier: url:https", "annotation shipwarden/tier is none of kind Location, which has none of shipwarden/"},
		"an environment with such a name":           {"shipwarden/environment: production", "shipwarden/environment: Production", `annotation shipwarden/environment is "Production", which no environment is called`},
		"a customer whom nobody serves":             {"shipwarden/customers: globex", "shipwarden/customers: initech", `org.yaml:27: customer_contacts[0].customer: no target serves the customer "initech"`},
		"two people with one address":               {"email: dana@shop.example", "email: alice@shop.example", `"alice@shop.example" names alice already`},
		"an address with a mark that is not seen":   {"email: dana@shop.example", `email: "da\u200bna@shop.example"`, "org.yaml:61: people[2].contacts[0].address"},
		"what depends on itself, from behind":       {"dependencyOf: [component:payments]\n  subcomponentOf", "dependencyOf: [search]\n  subcomponentOf", "search depends on itself"},
		"what a person depends on":                  {"dependencyOf: [component:payments]\n  subcomponentOf", "dependencyOf: [user:alice]\n  subcomponentOf", `"user:alice" is no component and no API`},
		"an API in another namespace":               {"providesApis: [payments, payouts]", "providesApis: [payments, eu/payouts]", `"eu/payouts" is no API of the namespace "default"`},
	} {
		if !strings.Contains(catalog+org, test.old) {
			t.Fatalf("%s: the files lack %q", name, test.old)
		}
		got, _, err := backstage.Import(
			backstage.File{Name: "catalog-info.yaml", Data: []byte(strings.Replace(catalog, test.old, test.with, 1))},
			backstage.File{Name: "org.yaml", Data: []byte(strings.Replace(org, test.old, test.with, 1))})
		if err == nil || got != nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v\nwant %s", name, err, test.want)
		}
	}
}

// TestATargetOfNothingAndAnOwnerOfEverybodyAreRefused holds what one catalog cannot show
// beside its mistakes: a target that no release leads to, and an owner with so many groups
// below it that all of a company would answer for a service.
func TestATargetOfNothingAndAnOwnerOfEverybodyAreRefused(t *testing.T) {
	resource := "apiVersion: backstage.io/v1alpha1\nkind: Resource\nmetadata:\n  name: eu1\n  annotations: {shipwarden/environment: production, shipwarden/driver: noop, shipwarden/kinds: FILE}\n"
	_, _, err := backstage.Import(backstage.File{Name: "a", Data: []byte(resource)})
	if want := "a:1: nothing is released to eu1: no component depends on it"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want %s", err, want)
	}
	groups := func(n int) []byte {
		out := "apiVersion: backstage.io/v1alpha1\nkind: Group\nmetadata: {name: all}\n"
		for i := range n {
			out += fmt.Sprintf("---\napiVersion: backstage.io/v1alpha1\nkind: Group\nmetadata: {name: g%d}\nspec: {parent: all}\n", i)
		}
		return []byte(out + "---\napiVersion: backstage.io/v1alpha1\nkind: Component\nmetadata: {name: shop}\nspec: {owner: all}\n")
	}
	got, _, err := backstage.Import(backstage.File{Name: "a", Data: groups(64)})
	if err != nil || len(got.GetServices()[0].GetOwnerGroups()) != 65 {
		t.Errorf("64 groups below the owner: %v, %v", got.GetServices(), err)
	}
	_, _, err = backstage.Import(backstage.File{Name: "a", Data: groups(65)})
	if want := `"all" has more than 64 groups below it: name the one that owns shop`; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want %s", err, want)
	}
}
