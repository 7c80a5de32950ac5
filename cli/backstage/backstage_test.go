package backstage_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/blackdice/shipwarden/cli/backstage"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/shaketest"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
)

const catalogInfo = `# the shop
apiVersion: backstage.io/v1alpha1
kind: Component
metadata:
  name: shop
  title: The shop
  annotations:
    shipwarden/tier: "1"
    github.com/project-slug: shop/shop
  labels: {a: b}
spec:
  type: service
  lifecycle: production
  owner: group:default/developers
  system: commerce
  dependsOn: [component:default/billing, resource:default/db, billing]
  consumesApis: [rates]
  providesApis: [orders]
---
apiVersion: backstage.io/v1alpha1
kind: API
metadata: {name: rates}
spec: {type: openapi, lifecycle: production, owner: user:alice, definition: "openapi: 3.1.0"}
---
apiVersion: backstage.io/v1beta1
kind: Component
metadata: {name: billing, namespace: default}
spec: {type: service, owner: developers}
---
apiVersion: backstage.io/v1alpha1
kind: System
metadata: {name: commerce}
spec: {owner: developers}
`

const org = `apiVersion: backstage.io/v1alpha1
kind: Group
metadata: {name: developers}
spec:
  type: team
  profile: {displayName: Developers, email: dev@shop.example}
  children: []
  members: [alice]
---
apiVersion: backstage.io/v1alpha1
kind: User
metadata: {name: alice}
spec: {profile: {displayName: Alice Adeyemi, email: alice@shop.example}, memberOf: [developers]}
---
apiVersion: backstage.io/v1alpha1
kind: User
metadata: {name: bob}
spec: {memberOf: [group:developers]}
---
`

func files(texts ...string) []backstage.File {
	var out []backstage.File
	for i, text := range texts {
		out = append(out, backstage.File{Name: []string{"catalog-info.yaml", "org.yaml"}[i], Data: []byte(text)})
	}
	return out
}

func TestACatalogBecomesServicesGroupsAndPeople(t *testing.T) {
	mail := func(address string) []*policyv1.Contact {
		return []*policyv1.Contact{{Kind: policyv1.Contact_KIND_MAIL, Address: address}}
	}
	got, notes, err := backstage.Import(files(catalogInfo, org)...)
	if err != nil {
		t.Fatal(err)
	}
	want := &policyv1.Procedure{
		People: []*policyv1.Person{
			{Id: "alice", Name: "Alice Adeyemi", Aliases: []string{"alice@shop.example"}, Contacts: mail("alice@shop.example")},
			{Id: "bob", Name: "bob"},
		},
		Groups: []*policyv1.Group{{Name: "developers", Members: []string{"alice", "bob"}, Contacts: mail("dev@shop.example")}},
		Services: []*policyv1.Service{
			{Name: "shop", Title: "The shop", Tier: 1, OwnerGroups: []string{"developers"}, Dependencies: []string{"billing", "rates"}},
			{Name: "rates", Owners: []string{"alice"}},
			{Name: "billing", OwnerGroups: []string{"developers"}},
		},
	}
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
	told := []string{
		"catalog-info.yaml:16: shop depends on resource:default/db, which is not imported: it is neither a service nor a target",
		"catalog-info.yaml:18: shop provides the API orders, which is not in these files: who consumes it depends on shop",
		"catalog-info.yaml:20: API rates becomes a service of its own: no component here provides it",
		"catalog-info.yaml:30: System commerce is not imported: a procedure document has no systems",
		"imported: people 2, groups 1, services 3, targets 0 with 0 customers, customer_contacts 0; left out: 1 of 7 entities",
	}
	if diff := cmp.Diff(told, notes); diff != "" {
		t.Error(diff)
	}
	for _, v := range policy.Check(got) {
		for _, section := range []string{"people", "groups", "services"} {
			if strings.HasPrefix(v.Field, section) {
				t.Errorf("a procedure document does not take it: %v", v)
			}
		}
	}
}

func TestWhatIsWrongIsToldWithItsLine(t *testing.T) {
	for name, test := range map[string]struct{ old, with, want string }{
		"an unknown kind":           {"kind: Component\nmetadata:\n  name: shop", "kind: Komponent\nmetadata:\n  name: shop", `catalog-info.yaml:2: kind "Komponent" is none of Backstage's`},
		"another version":           {"v1beta1", "v3", `catalog-info.yaml:25: apiVersion "backstage.io/v3"`},
		"an unknown field":          {"kind: API", "kind: API\nspecs: {}", `catalog-info.yaml:22: unknown field "specs" of an entity`},
		"a key twice":               {"  name: shop\n", "  name: shop\n  name: shop\n", `catalog-info.yaml:6: "name" is there twice`},
		"no name":                   {"metadata: {name: rates}", "metadata: {title: rates}", "catalog-info.yaml:22: metadata.name is missing"},
		"no metadata":               {"metadata: {name: rates}\n", "", "catalog-info.yaml:20: metadata is missing"},
		"a name that does not fit":  {"metadata: {name: rates}", "metadata: {name: Rates_v2}", `catalog-info.yaml:22: name "Rates_v2" cannot be used`},
		"a name twice":              {"metadata: {name: rates}", "metadata: {name: billing}", `catalog-info.yaml:27: "billing" is there already, in catalog-info.yaml:20`},
		"another namespace":         {"namespace: default", "namespace: eu", `catalog-info.yaml:27: namespace "eu"`},
		"no owner":                  {", owner: developers}\n---\napiVersion: backstage.io/v1alpha1\nkind: System", "}\n---\napiVersion: backstage.io/v1alpha1\nkind: System", "catalog-info.yaml:25: spec.owner is missing"},
		"an owner who is not there": {"owner: user:alice", "owner: user:zoe", `catalog-info.yaml:23: "user:zoe" leads nowhere in these files`},
		"an owner that is a system": {"owner: user:alice", "owner: system:commerce", `catalog-info.yaml:23: "system:commerce" is neither a group nor a user`},
		"a dependency on nothing":   {"resource:default/db, billing", "mailer", `catalog-info.yaml:16: "mailer" leads nowhere in these files`},
		"a dependency on itself":    {"resource:default/db, billing", "shop", "catalog-info.yaml:16: shop depends on itself"},
		"a dependency on a team":    {"resource:default/db, billing", "group:developers", `catalog-info.yaml:16: "group:developers" is no component, no API and no resource`},
		"a dependency elsewhere":    {"resource:default/db, billing", "component:eu/x", `catalog-info.yaml:16: "component:eu/x" leads to namespace "eu"`},
		"a tier that is none":       {`shipwarden/tier: "1"`, `shipwarden/tier: "high"`, `catalog-info.yaml:8: annotation shipwarden/tier is "high", must be 1 to 4`},
		"a list that is a text":     {"consumesApis: [rates]", "consumesApis: rates", "catalog-info.yaml:17: spec.consumesApis must be a list"},
		"a text that is a list":     {"owner: group:default/developers", "owner: [developers]", "catalog-info.yaml:14: spec.owner must be a text"},
		"a title without end":       {"title: The shop", "title: " + strings.Repeat("x", 257), "catalog-info.yaml:6: metadata.title is blank, or longer than 256 bytes"},
		"no mapping":                {catalogInfo, "- a\n", "catalog-info.yaml:1: an entity must be a mapping"},
		"no YAML":                   {catalogInfo, "a: b\nc: [\n", "catalog-info.yaml:2: "},
		"a file without end":        {catalogInfo, strings.Repeat("# abcdefghijklmno\n", 1<<18), "catalog-info.yaml:1: the file is larger than 4194304 bytes"},
	} {
		if !strings.Contains(catalogInfo, test.old) {
			t.Fatalf("%s: the catalog lacks %q", name, test.old)
		}
		got, _, err := backstage.Import(files(strings.Replace(catalogInfo, test.old, test.with, 1), org)...)
		var problems backstage.Problems
		if got != nil || !errors.As(err, &problems) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v\nwant %s", name, err, test.want)
		}
	}
	_, _, err := backstage.Import(files(strings.NewReplacer("user:alice", "user:zoe", "namespace: default", "namespace: eu").Replace(catalogInfo), org)...)
	if err == nil || strings.Count(err.Error(), "\n") < 1 {
		t.Errorf("one problem hides another: %v", err)
	}
	_, _, err = backstage.Import(files(catalogInfo, strings.Replace(org, "email: dev@shop.example", "email: dev", 1))...)
	if err == nil || !strings.Contains(err.Error(), `org.yaml:6: spec.profile.email is "dev"`) {
		t.Errorf("in the second file: %v", err)
	}
}

// FuzzNoCatalogBreaksTheImport holds that whatever a file holds, its import ends, and
// what it gives is what a procedure document takes; or everything that is wrong has a line.
func FuzzNoCatalogBreaksTheImport(f *testing.F) {
	shaketest.Add(f, []byte(catalogInfo), []byte(org))
	shaketest.Add(f, []byte("a: &a [*a]\n"), []byte("---\n---\n"))
	for _, name := range []string{"catalog-info.yaml", "org.yaml"} {
		if data, err := os.ReadFile(filepath.Join("testdata", name)); err == nil {
			shaketest.Add(f, data, []byte(org))
		}
	}
	f.Fuzz(func(t *testing.T, a, b []byte) {
		got, _, err := backstage.Import(backstage.File{Name: "a", Data: a}, backstage.File{Name: "b", Data: b})
		var problems backstage.Problems
		if err != nil {
			if !errors.As(err, &problems) || got != nil {
				t.Fatalf("%v, %v", got, err)
			}
			for _, p := range problems {
				if p.Line < 1 || p.File == "" || p.Message == "" {
					t.Errorf("without a place: %+v", p)
				}
			}
			return
		}
		for _, s := range got.GetServices() {
			if len(s.GetOwnerGroups())+len(s.GetOwners()) == 0 {
				t.Errorf("nobody owns %s", s.GetName())
			}
		}
		for _, target := range got.GetTargets() {
			if len(target.GetServices()) == 0 || len(target.GetKinds()) == 0 {
				t.Errorf("nothing is released to %v", target)
			}
		}
	})
}
