package verdict_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/blackdice/shipwarden/internal/attest"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/sigstore"
	"github.com/blackdice/shipwarden/internal/sigstore/sigstoretest"
	"github.com/blackdice/shipwarden/internal/verdict"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

const waived = releasev1.GateVerdict_STATUS_WAIVED

// waivable is the document with a desk that may waive the tests for three days.
func waivable() *policyv1.Procedure {
	d := document()
	d.Gates[1].Waivable = &policyv1.Waivable{Max: durationpb.New(72 * time.Hour)}
	d.Keys = append(d.Keys, &policyv1.Key{Id: "desk", Ed25519: publicOf("desk"), Waives: []string{"tests"}})
	return d
}

// waiver says that erin answers for the tests for a day, with some of it changed.
func waiver(changes object) object {
	p := object{
		"gate": "tests", "environment": "prod", "owner": "erin", "reason": "the suite is being moved",
		"issued": now.Add(-time.Hour).Format(time.RFC3339), "expires": now.Add(23 * time.Hour).Format(time.RFC3339),
	}
	for name, value := range changes {
		p[name] = value
	}
	return p
}

// TestAWaiverLetsAGateThroughWhileSomebodyAnswersForIt: signed by whoever may waive the
// gate, about the artifact, for no longer than the gate allows.
func TestAWaiverLetsAGateThroughWhileSomebodyAnswersForIt(t *testing.T) {
	at := func(d time.Duration) string { return now.Add(d).Format(time.RFC3339) }
	for _, test := range []struct {
		name     string
		key      string
		changes  object
		artifact string
		document func(*policyv1.Procedure)
		status   releasev1.GateVerdict_Status
		reason   string
	}{
		{"that counts", "desk", nil, "web", nil, waived, "waived for web by erin until 2026-12-02T11:00:00Z: the suite is being moved (there is no evidence of type " + testType + ")"},
		{"by an alias of the owner", "desk", object{"owner": "BBrandt"}, "web", nil, waived, "by bob until"},
		{"for as long as the gate allows", "desk", object{"expires": at(71 * time.Hour)}, "web", nil, waived, ""},
		{"for a second longer", "desk", object{"expires": at(71*time.Hour + time.Second)}, "web", nil, failed, "is for longer than 72h0m0s"},
		{"that ends just now", "desk", object{"expires": at(0)}, "web", nil, failed, "expired 2026-12-01T12:00:00Z"},
		{"of the day after tomorrow", "desk", object{"issued": at(48 * time.Hour), "expires": at(49 * time.Hour)}, "web", nil, failed, "in the future"},
		{"without an end", "desk", object{"expires": nil}, "web", nil, failed, "does not say when it was issued and when it expires"},
		{"without a beginning", "desk", object{"issued": "yesterday"}, "web", nil, failed, "does not say when it was issued"},
		{"without a reason", "desk", object{"reason": "  "}, "web", nil, failed, "gives no reason"},
		{"of nobody", "desk", object{"owner": "mallory"}, "web", nil, failed, `has the owner "mallory", who is no person`},
		{"of somebody who left", "desk", object{"owner": "gone"}, "web", nil, failed, "who is no person of the procedure that may decide"},
		{"of a machine", "desk", object{"owner": "bot"}, "web", nil, failed, "who is no person of the procedure that may decide"},
		{"of the requester", "desk", object{"owner": "frank"}, "web", nil, failed, "has the owner frank, who is the requester"},
		{"of an author", "desk", object{"owner": "alice@shop.example"}, "web", nil, failed, "has the owner alice, who is an author"},
		{"for another environment", "desk", object{"environment": "staging"}, "web", nil, failed, `was given for the environment "staging", and this is prod`},
		{"for no environment", "desk", object{"environment": nil}, "web", nil, failed, "does not say for which environment it was given (environment)"},
		{"for a list of environments", "desk", object{"environment": []string{"prod"}}, "web", nil, failed, "does not say for which environment it was given (environment)"},
		{"for the environment and the service", "desk", object{"service": "shop"}, "web", nil, waived, ""},
		{"for another service", "desk", object{"service": "billing"}, "web", nil, failed, `was given for the service "billing", and this is shop`},
		{"for a service that is no name", "desk", object{"service": nil}, "web", nil, failed, `was given for the service "", and this is shop`},
		{"about another artifact", "desk", nil, "worker", nil, failed, "is about something else"},
		{"of another gate", "desk", object{"gate": "code-review"}, "web", nil, failed, "there is no evidence of type"},
		{"by a key that proves the gate", "ci", nil, "web", nil, failed, `the key "ci", which is not trusted for waivers of this gate`},
		{"by nobody that is known", "mallory", nil, "web", nil, failed, `the key "mallory", which the procedure does not know`},
		{"by a key that is revoked", "desk", nil, "web", func(d *policyv1.Procedure) { d.Keys[len(d.GetKeys())-1].Revoked = true }, failed, "which is revoked"},
		{"of a gate that nobody may waive", "desk", nil, "web", func(d *policyv1.Procedure) { d.Gates[1].Waivable = nil }, failed, "the procedure lets nobody waive"},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := waivable()
			if test.document != nil {
				test.document(d)
			}
			request := &releasev1.Request{Artifacts: web(), Requester: "frank", Authors: []string{"alice"}, Environment: "prod", Service: "shop"}
			verdict := verdict.Evaluate(verdict.Trust{Index: policy.NewIndex(d)}, d.GetGates(), request,
				[][]byte{sign(t, test.key, attest.WaiverType, waiver(test.changes), test.artifact)}, now)[1]
			if verdict.GetStatus() != test.status || !strings.Contains(verdict.GetReason(), test.reason) {
				t.Errorf("%v: %s", verdict.GetStatus(), verdict.GetReason())
			}
			if test.status != waived {
				return
			}
			w := verdict.GetWaivers()
			if service, _ := test.changes["service"].(string); w[0].GetEnvironment() != "prod" || w[0].GetService() != service {
				t.Errorf("%v", w)
			}
			if len(w) != 1 || w[0].GetArtifact() != "web" || w[0].GetSignedBy() != "desk" || !slices.Contains(verdict.GetEvidence(), w[0].GetEvidence()) ||
				w[0].GetReason() != "the suite is being moved" || !now.Before(w[0].GetExpires().AsTime()) || verdict.GetSignedBy() != "desk" {
				t.Errorf("%v", verdict)
			}
		})
	}
}

// TestAWaiverIsNotUsedWhereTheEvidenceSuffices, and covers only what it is about.
func TestAWaiverIsNotUsedWhereTheEvidenceSuffices(t *testing.T) {
	d := waivable()
	both := []*releasev1.Artifact{web()[0], {Name: "worker", Kind: releasev1.ArtifactKind_ARTIFACT_KIND_FILE, Digest: digestOf("worker")}}
	proof, short := sign(t, "ci", testType, testsPassed(0), "web"), sign(t, "desk", attest.WaiverType, waiver(nil), "worker", "web")
	long := sign(t, "desk", attest.WaiverType, waiver(object{"owner": "frank", "expires": now.Add(40 * time.Hour).Format(time.RFC3339)}), "worker")
	for _, test := range []struct {
		artifacts []*releasev1.Artifact
		envelopes [][]byte
		status    releasev1.GateVerdict_Status
		owner     string
	}{
		{web(), [][]byte{short, proof}, passed, ""},
		{both, [][]byte{short, proof}, waived, "erin"},
		{both, [][]byte{short, long, proof}, waived, "frank"},
		{both, [][]byte{proof}, failed, ""},
		{both, [][]byte{long}, failed, ""},
	} {
		verdict := evaluate(d, test.artifacts, test.envelopes...)[1]
		var owner string
		for _, w := range verdict.GetWaivers() {
			owner += w.GetOwner()
		}
		if verdict.GetStatus() != test.status || owner != test.owner {
			t.Errorf("%d envelopes: %v by %q: %s", len(test.envelopes), verdict.GetStatus(), owner, verdict.GetReason())
		}
	}
	if rule := verdict.Rule(d.GetGates()[1]); !strings.HasSuffix(rule, ", or a waiver of at most 72h0m0s") {
		t.Errorf("rule %q", rule)
	}
}

// TestAnIdentityWaivesWhatItIsTrustedToWaive, and proves nothing by that.
func TestAnIdentityWaivesWhatItIsTrustedToWaive(t *testing.T) {
	instance := sigstoretest.New(t)
	root, err := sigstore.ParseRoot(instance.Root(t))
	if err != nil {
		t.Fatal(err)
	}
	statement := strings.NewReplacer("PREDICATE", attest.WaiverType, "DIGEST", digestOf("web")[7:], "UNTIL", now.Add(time.Hour).Format(time.RFC3339),
		"ISSUED", now.Format(time.RFC3339)).Replace(`{"_type":"https://in-toto.io/Statement/v1","predicateType":"PREDICATE",` +
		`"subject":[{"name":"web","digest":{"sha256":"DIGEST"}}],` +
		`"predicate":{"gate":"tests","environment":"prod","owner":"erin","reason":"the suite is being moved","issued":"ISSUED","expires":"UNTIL"}}`)
	bundle := instance.Sign(t, "erin@shop.example", provider, statement)
	for want, change := range map[releasev1.GateVerdict_Status]func(*policyv1.Identity){
		waived: func(i *policyv1.Identity) { i.Waives = []string{"tests"} },
		failed: func(i *policyv1.Identity) { i.Gates = []string{"tests"} },
	} {
		d := waivable()
		identity := &policyv1.Identity{Id: "erin-at-the-desk", Issuer: provider, Name: &policyv1.Identity_Subject{Subject: "erin@shop.example"}}
		change(identity)
		d.Sigstore = &policyv1.Sigstore{Identities: []*policyv1.Identity{identity}}
		verdict := verdict.Evaluate(verdict.Trust{Index: policy.NewIndex(d), Root: root}, d.GetGates()[1:], &releasev1.Request{Artifacts: web(), Environment: "prod"}, [][]byte{bundle}, now)[0]
		if verdict.GetStatus() != want {
			t.Errorf("want %s: %v: %s", want, verdict.GetStatus(), verdict.GetReason())
		}
	}
}
