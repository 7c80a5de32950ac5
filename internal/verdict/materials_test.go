package verdict_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/verdict"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// room is how large a statement beside an image may be, in bytes.
const room = 64 << 10

// spdx is a bill of materials of that many packages, and one more.
func spdx(packages int, more object) object {
	all := []object{more}
	for i := range packages {
		all = append(all, object{
			"SPDXID": fmt.Sprintf("SPDXRef-%d", i), "name": fmt.Sprintf("golang.org/x/module-%d", i), "versionInfo": fmt.Sprintf("v0.%d.0", i),
			"licenseConcluded": "BSD-3-Clause",
		})
	}
	return object{"spdxVersion": "SPDX-2.3", "packages": all}
}

// cyclonedx is one of that many components, and one more.
func cyclonedx(components int, more object) object {
	all := []object{more}
	for i := range components {
		all = append(all, object{
			"type": "library", "name": fmt.Sprintf("module-%d", i), "version": fmt.Sprintf("0.%d.0", i),
			"licenses": []object{{"license": object{"id": "MIT"}}},
		})
	}
	return object{"bomFormat": "CycloneDX", "specVersion": "1.6", "components": all}
}

// TestABillOfMaterialsIsRead has gates read what an artifact is made of, with the rules of
// docs/evidence.md: as many packages as there is room for, within the cost of a rule.
func TestABillOfMaterialsIsRead(t *testing.T) {
	documents := []*policyv1.Rule{
		{Name: "licenses", Message: "it has a package without a license, or with one that we do not ship", Expression: `attestation.predicate.packages.all(p, has(p.licenseConcluded) && !(p.licenseConcluded in ["NOASSERTION", "NONE", "GPL-3.0-only", "AGPL-3.0-only"]))`},
		{Name: "banned", Message: "it has a package that must not be shipped any more", Expression: `!attestation.predicate.packages.exists(p, p.name == "log4j-core" && p.versionInfo in ["2.14.0", "2.14.1"])`},
	}
	boms := []*policyv1.Rule{
		{Name: "licenses", Message: "it has a component without a license, or with one that we do not ship", Expression: `attestation.predicate.components.all(c, has(c.licenses) && c.licenses.all(l, has(l.license.id) && !(l.license.id in ["GPL-3.0-only", "AGPL-3.0-only"])))`},
		{Name: "banned", Message: "it has a component that must not be shipped any more", Expression: `!attestation.predicate.components.exists(c, c.name == "log4j-core" && c.version in ["2.14.0", "2.14.1"])`},
	}
	const spdxType, cyclonedxType = "https://spdx.dev/Document/v2.3", "https://cyclonedx.org/bom"
	for _, test := range []struct {
		name      string
		kind      string
		rules     []*policyv1.Rule
		predicate object
		status    releasev1.GateVerdict_Status
		reason    string
	}{
		{"SPDX", spdxType, documents, spdx(300, object{"name": "log4j-core", "versionInfo": "2.24.0", "licenseConcluded": "Apache-2.0"}), passed, ""},
		{"SPDX with a license that is not shipped", spdxType, documents, spdx(300, object{"name": "x", "versionInfo": "1", "licenseConcluded": "AGPL-3.0-only"}), failed, "fails the rule licenses: it has a package without"},
		{"SPDX that asserts no license", spdxType, documents, spdx(3, object{"name": "x", "versionInfo": "1", "licenseConcluded": "NOASSERTION"}), failed, "fails the rule licenses"},
		{"SPDX without a license", spdxType, documents, spdx(3, object{"name": "x", "versionInfo": "1"}), failed, "fails the rule licenses"},
		{"SPDX with a banned package", spdxType, documents, spdx(300, object{"name": "log4j-core", "versionInfo": "2.14.1", "licenseConcluded": "Apache-2.0"}), failed, "fails the rule banned: it has a package that must not"},
		{"SPDX without packages", spdxType, documents, object{"spdxVersion": "SPDX-2.3"}, failed, "no such key: packages"},
		{"CycloneDX", cyclonedxType, boms, cyclonedx(300, object{"name": "x", "version": "1", "licenses": []object{{"license": object{"id": "MIT"}}}}), passed, ""},
		{"CycloneDX with a license that is not shipped", cyclonedxType, boms, cyclonedx(300, object{"name": "x", "version": "1", "licenses": []object{{"license": object{"id": "GPL-3.0-only"}}}}), failed, "fails the rule licenses"},
		{"CycloneDX without a license", cyclonedxType, boms, cyclonedx(3, object{"name": "x", "version": "1"}), failed, "fails the rule licenses"},
		{"CycloneDX with a banned component", cyclonedxType, boms, cyclonedx(300, object{"name": "log4j-core", "version": "2.14.0", "licenses": []object{{"license": object{"id": "Apache-2.0"}}}}), failed, "fails the rule banned"},
		{"a bill that costs too much", spdxType, []*policyv1.Rule{{Name: "quadratic", Message: "packages repeat", Expression: `attestation.predicate.packages.all(p, attestation.predicate.packages.exists_one(q, q.name == p.name))`}}, spdx(300, object{"name": "x"}), failed, "cost limit"},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := document()
			d.Gates = []*policyv1.Gate{{Name: d.GetGates()[0].GetName(), Title: "What it is made of", PredicateType: test.kind, Rules: test.rules}}
			statement := sign(t, "review", test.kind, test.predicate, "web")
			if len(statement) > room {
				t.Fatalf("a statement of %d bytes has no room", len(statement))
			}
			verdict := verdict.Evaluate(verdict.Trust{Index: policy.NewIndex(d)}, d.GetGates(), &releasev1.Request{Artifacts: web()}, [][]byte{statement}, now)[0]
			if verdict.GetStatus() != test.status || !strings.Contains(verdict.GetReason(), test.reason) {
				t.Errorf("%v: %s", verdict.GetStatus(), verdict.GetReason())
			}
		})
	}
}
