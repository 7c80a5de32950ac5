package verdict_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/blackdice/shipwarden/internal/attest/predicate"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/verdict"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// TestTheGatesOfTheExampleReadWhatToolsMake has the example's gates judge statements as
// scanners, verifiers and reviews make them, and refuse what they are there for.
func TestTheGatesOfTheExampleReadWhatToolsMake(t *testing.T) {
	data, err := os.ReadFile("../../examples/procedure.yaml")
	if err != nil {
		t.Fatal(err)
	}
	example, err := policy.Parse(data, "procedure.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range example.GetKeys() { // nobody has the private ones
		key.Ed25519 = publicOf(key.GetId())
	}
	at := func(age time.Duration) string { return now.Add(-age).Format(time.RFC3339) }
	day := 24 * time.Hour
	review := func(pushed any) object {
		return object{"result": "approved", "authors": []string{"alice"}, "reviewers": []string{"bob"}, "timestamp": at(time.Hour), "last_push": pushed}
	}
	const declarationType = "https://shop.example/predicates/declaration/v1"
	const secrets, analysis, level3 = "SHOP_NO_SECRETS", "SHOP_STATIC_ANALYSIS", "SLSA_BUILD_LEVEL_3"
	unrated := scan(at(0))
	unrated["scanner"].(object)["result"] = []object{{"id": "CVE-2026-1", "severity": []object{{"method": "cvss_score", "score": "9.8"}}}} //nolint:forcetypeassert // It is what scan makes.
	listless := scan(at(0))
	listless["scanner"].(object)["result"] = "none" //nolint:forcetypeassert // As above.
	late := scan(at(0))
	late["scanner"].(object)["db"] = object{"lastUpdate": at(2 * day)} //nolint:forcetypeassert // As above.
	for _, test := range []struct {
		name, gate, key, kind string
		predicate             object
		reason                string
	}{
		{"a scan that found nothing", "vulnerabilities", "ci-scanner", scanType, scan(at(time.Hour)), ""},
		{"one that found what is not bad", "vulnerabilities", "ci-scanner", scanType, scan(at(time.Hour), "low", "MEDIUM", "none"), ""},
		{"one that found what is", "vulnerabilities", "ci-scanner", scanType, scan(at(time.Hour), "low", "Critical"), "fails the rule severities: it has a vulnerability"},
		{"what nobody rated", "vulnerabilities", "ci-scanner", scanType, unrated, "fails the rule severities"},
		{"what is no list", "vulnerabilities", "ci-scanner", scanType, listless, "fails the rule severities"},
		{"a scan of the week before", "vulnerabilities", "ci-scanner", scanType, scan(at(7*day), "low"), "is of 2026-11-24T12:00:00Z and older than 48h0m0s"},
		{"a scan with an old database", "vulnerabilities", "ci-scanner", scanType, late, "fails the rule database"},
		{"a scan without a scanner", "vulnerabilities", "ci-scanner", scanType, with(scan(at(0)), object{"scanner": nil}), "no such key: scanner"},
		{"a scan that did not end", "vulnerabilities", "ci-scanner", scanType, with(scan(at(0)), object{"metadata": object{"scanStartedOn": at(0)}}), "has no metadata.scanFinishedOn"},
		{"the scan of somebody else", "vulnerabilities", "verifier", scanType, scan(at(0)), "not trusted for this gate"},

		{"all properties", "verified", "verifier", svrType, svr(at(day), level3, analysis, secrets), ""},
		{"one too few", "verified", "verifier", svrType, svr(at(day), level3, analysis), "fails the rule properties: it lacks one"},
		{"no list of properties", "verified", "verifier", svrType, with(svr(at(day)), object{"properties": secrets + " " + analysis}), "fails the rule properties"},
		{"another verifier", "verified", "verifier", svrType, with(svr(at(day), analysis, secrets), object{"verifier": object{"id": "https://x.example"}}), "says verifier.id"},
		{"a result of the month before", "verified", "verifier", svrType, svr(at(30*day), analysis, secrets), "older than 168h0m0s"},
		{"a result of tomorrow", "verified", "verifier", svrType, svr(at(-day), analysis, secrets), "in the future"},

		{"level 3", "build-level", "verifier", vsaType, vsa(at(day), level3, "SLSA_SOURCE_LEVEL_2"), ""},
		{"level 2", "build-level", "verifier", vsaType, vsa(at(day), "SLSA_BUILD_LEVEL_2"), "fails the rule level: it was not verified for level 3"},
		{"levels that are no list", "build-level", "verifier", vsaType, with(vsa(at(day)), object{"verifiedLevels": object{level3: true}}), "fails the rule level"},
		{"verified, and failed", "build-level", "verifier", vsaType, with(vsa(at(day), level3), object{"verificationResult": "FAILED"}), `says verificationResult = "FAILED"`},
		{"verified as something else", "build-level", "verifier", vsaType, with(vsa(at(day), level3), object{"resourceUri": "pkg:npm/x"}), "fails the rule resource"},
		{"verified by somebody else", "build-level", "verifier", vsaType, with(vsa(at(day), level3), object{"verifier": object{"id": "https://x.example"}}), "fails the rule verifier"},
		{"verified at no time", "build-level", "verifier", vsaType, with(vsa(nil, level3), object{"timeVerified": nil}), "has no timeVerified"},

		{"declared as the request does", "declaration", "review-system", declarationType, object{"areas": []string{}, "data": "unchanged"}, ""},
		{"more areas than the request declares", "declaration", "review-system", declarationType, object{"areas": []string{"secrets"}, "data": "unchanged"}, "fails the rule areas: its reviewers name other areas"},
		{"data that is changed", "declaration", "review-system", declarationType, object{"areas": []string{}, "data": "irreversible"}, "fails the rule data"},
		{"nothing of data", "declaration", "review-system", declarationType, object{"areas": []string{}}, "no such key: data"},
		{"declared by somebody else", "declaration", "verifier", declarationType, object{"areas": []string{}, "data": "unchanged"}, "not trusted for this gate"},

		{"approved after the last push", "code-review", "review-system", reviewType, review(at(2 * time.Hour)), ""},
		{"approved before it", "code-review", "review-system", reviewType, review(at(time.Minute)), "fails the rule after-the-push: it was approved before the last push"},
		{"approved as it was pushed", "code-review", "review-system", reviewType, review(at(time.Hour)), "after-the-push"},
		{"pushed at no time", "code-review", "review-system", reviewType, with(review(nil), object{"last_push": nil}), "no such key: last_push"},
	} {
		t.Run(test.name, func(t *testing.T) {
			index := policy.NewIndex(example)
			artifact := &releasev1.Artifact{Name: "web", Kind: releasev1.ArtifactKind_ARTIFACT_KIND_OCI_IMAGE, Digest: digestOf("web")}
			v := verdict.Evaluate(verdict.Trust{Index: index}, []*policyv1.Gate{index.Gate(test.gate)},
				&releasev1.Request{Artifacts: []*releasev1.Artifact{artifact}, Environment: "cards", Risk: &releasev1.Risk{Data: releasev1.Risk_DATA_UNCHANGED}}, [][]byte{sign(t, test.key, test.kind, test.predicate, "web")}, now)[0]
			if (v.GetStatus() == passed) != (test.reason == "") || !strings.Contains(v.GetReason(), test.reason) {
				t.Errorf("%v: %s\nwant %s", v.GetStatus(), v.GetReason(), test.reason)
			}
		})
	}
}

// TestThePredicatesOfTheExampleSatisfyItsGates: what a CI is shown to make is what the gates
// are shown to demand, of every type that has a short name.
func TestThePredicatesOfTheExampleSatisfyItsGates(t *testing.T) {
	data, err := os.ReadFile("../../examples/procedure.yaml")
	if err != nil {
		t.Fatal(err)
	}
	example, err := policy.Parse(data, "procedure.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range example.GetKeys() { // nobody has the private ones
		key.Ed25519 = publicOf(key.GetId())
	}
	index := policy.NewIndex(example)
	tried := map[string]bool{}
	for _, test := range []struct {
		name, gate, key, old, new string
		status                    releasev1.GateVerdict_Status
		reason                    string
	}{
		{"code-review", "code-review", "review-system", "", "", passed, ""},
		// Of an area that is sensitive.
		{"code-review", "code-review", "review-system", `["bob", "erin"]`, `["bob"]`, failed, "fails the rule security-review: nobody of security"},
		{"change-record", "change-approval", "change-desk", "", "", passed, ""},
		{"change-record", "change-approval", "change-desk", `"approved"`, `"submitted"`, failed, `says state = "submitted"`},
		{"change-record", "change-approval", "change-desk", "CARD-1042", "CARD-7", failed, "fails the rule the-same: it is another change"},
		{"change-record", "change-approval", "change-desk", `"billing"`, `"shop"`, failed, "fails the rule of-the-service"},
		{"change-record", "change-approval", "change-desk", "T18:00", "T11:00", failed, "fails the rule window: its window is over"},
		{"change-record", "change-approval", "risk-desk", "", "", failed, "not trusted for this gate"},
		{"test-result", "tests", "ci-tests", "", "", passed, ""},
		{"provenance", "provenance", "ci-builder", "", "", passed, ""},
		{"vulns", "vulnerabilities", "ci-scanner", "", "", passed, ""},
		{"svr", "verified", "verifier", "", "", passed, ""},
		{"vsa", "build-level", "verifier", "", "", passed, ""},
		{"waiver", "tests", "risk-desk", "", "", releasev1.GateVerdict_STATUS_WAIVED, ""},
	} {
		data, err := os.ReadFile("../../examples/predicates/" + test.name + ".json")
		if err != nil {
			t.Fatal(err)
		}
		said := strings.Replace(string(data), test.old, test.new, 1)
		predicateType, _ := predicate.Type(test.name)
		request := &releasev1.Request{
			Service: "billing", Environment: "cards", Requester: "ci-bot", Owner: "erin",
			ChangeRecord: &releasev1.ChangeRecord{System: "jira", Id: "CARD-1042"},
			Artifacts:    []*releasev1.Artifact{{Name: "web", Kind: releasev1.ArtifactKind_ARTIFACT_KIND_OCI_IMAGE, Digest: digestOf("web")}},
			// So that somebody of security has to have reviewed it.
			Risk: &releasev1.Risk{Areas: []string{"authentication"}},
		}
		if tried[test.name] = true; test.name == "waiver" {
			request.Service, request.Environment = "shop", "production"
		}
		v := verdict.Evaluate(verdict.Trust{Index: index}, []*policyv1.Gate{index.Gate(test.gate)}, request,
			[][]byte{sign(t, test.key, predicateType, json.RawMessage(said), "web")}, now)[0]
		if v.GetStatus() != test.status || !strings.Contains(v.GetReason(), test.reason) {
			t.Errorf("%s with %q: %v, %s", test.name, test.new, v.GetStatus(), v.GetReason())
		}
	}
	for _, name := range predicate.Names() {
		if !tried[name] {
			t.Errorf("no gate of the example reads %s", name)
		}
	}
}
