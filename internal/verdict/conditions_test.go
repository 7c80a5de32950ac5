package verdict_test

import (
	"strings"
	"testing"
	"time"

	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/sigstore"
	"github.com/blackdice/shipwarden/internal/sigstore/sigstoretest"
	"github.com/blackdice/shipwarden/internal/verdict"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

func TestRules(t *testing.T) {
	review := object{
		"authors": []string{"alice"}, "reviewers": []string{"bbrandt", "erin"}, "result": "approved",
		"pushed": now.Add(-2 * time.Hour).Format(time.RFC3339), "approved": now.Add(-time.Hour).Format(time.RFC3339),
	}
	afterThePush := &policyv1.Rule{
		Name: "after-the-push", Message: "it was approved before the last push",
		Expression: `timestamp(attestation.predicate.approved) > timestamp(attestation.predicate.pushed)`,
	}
	security := &policyv1.Rule{
		Name: "security-review", Message: "nobody of security reviewed a change of authentication",
		Expression: `!("authentication" in request.risk.areas) || reviewers.exists(r, r in groups["security"])`,
	}
	fresh := &policyv1.Rule{Name: "fresh", Message: "it is older than a day", Expression: `now - timestamp(attestation.predicate.approved) < duration("24h")`}
	with := func(changes object) object {
		out := object{}
		for k, v := range review {
			out[k] = v
		}
		for k, v := range changes {
			out[k] = v
		}
		return out
	}
	for _, test := range []struct {
		name      string
		rules     []*policyv1.Rule
		predicate object
		status    releasev1.GateVerdict_Status
		reasons   []string
	}{
		{"all hold", []*policyv1.Rule{afterThePush, security, fresh}, review, passed, nil},
		{"one does not", []*policyv1.Rule{afterThePush, fresh}, with(object{"approved": now.Add(-3 * time.Hour).Format(time.RFC3339)}), failed, []string{"fails the rule after-the-push: it was approved before the last push"}},
		{"two do not", []*policyv1.Rule{afterThePush, fresh}, with(object{"approved": now.Add(-25 * time.Hour).Format(time.RFC3339)}), failed, []string{"after-the-push", "fails the rule fresh: it is older than a day"}},
		{"nobody of security", []*policyv1.Rule{security}, with(object{"reviewers": []string{"bob"}}), failed, []string{"nobody of security"}},
		{"somebody of security who wrote it", []*policyv1.Rule{security}, with(object{"authors": []string{"erin"}, "reviewers": []string{"bob", "erin"}}), failed, []string{"nobody of security"}},
		{"somebody who has left", []*policyv1.Rule{{Name: "by-gone", Message: "gone does not count", Expression: `"gone" in reviewers`}}, with(object{"reviewers": []string{"bob", "gone"}}), failed, []string{"gone does not count"}},
		{"the machine that built it", []*policyv1.Rule{{Name: "by-bot", Message: "a machine does not count", Expression: `"bot" in reviewers`}}, with(object{"reviewers": []string{"bob", "bot"}}), failed, []string{"a machine does not count"}},
		{"reviewers that cannot be read", []*policyv1.Rule{{Name: "nobody-alone", Message: "alice reviewed it", Expression: `!reviewers.exists(r, r == "alice")`}}, with(object{"reviewers": []any{"alice", 3}}), failed, []string{"cannot be judged by the rules: reviewers is no list of names"}},
		{"by an alias", []*policyv1.Rule{{Name: "by-bob", Message: "not by bob", Expression: `"bob" in reviewers`}}, review, passed, nil},
		{"a field that is not there", []*policyv1.Rule{{Name: "depth", Message: "not deep enough", Expression: `attestation.predicate.depth > 3`}}, review, failed, []string{"fails the rule depth: not deep enough (cannot be evaluated: no such key: depth)"}},
		{"an expression that is none", []*policyv1.Rule{{Name: "slip", Message: "x", Expression: `attestation.`}}, review, failed, []string{"fails the rule slip: no condition: 1:"}},
		{"beside another failure", []*policyv1.Rule{afterThePush}, with(object{"reviewers": []string{"alice"}, "approved": "never"}), failed, []string{"names 0 of 1", "after-the-push"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := document()
			d.Gates = d.GetGates()[:1]
			d.Gates[0].Rules = test.rules
			verdict := verdict.Evaluate(verdict.Trust{Index: policy.NewIndex(d)}, d.GetGates(),
				&releasev1.Request{Artifacts: web(), Risk: &releasev1.Risk{Areas: []string{"authentication"}}},
				[][]byte{sign(t, "review", reviewType, test.predicate, "web")}, now)[0]
			if verdict.GetStatus() != test.status {
				t.Fatalf("%v: %s", verdict.GetStatus(), verdict.GetReason())
			}
			for _, want := range test.reasons {
				if !strings.Contains(verdict.GetReason(), want) {
					t.Errorf("%s\nlacks %s", verdict.GetReason(), want)
				}
			}
			for _, rule := range test.rules {
				if !strings.Contains(verdict.GetRule(), rule.GetName()) {
					t.Errorf("%s lacks %s", verdict.GetRule(), rule.GetName())
				}
			}
		})
	}
}

func TestRulesSeeTheCertificate(t *testing.T) {
	ours := sigstoretest.New(t)
	root, err := sigstore.ParseRoot(ours.Root(t))
	if err != nil {
		t.Fatal(err)
	}
	bundle := ours.Sign(t, workflow, provider, provenance(t, "web", builder))
	for expression, want := range map[string]releasev1.GateVerdict_Status{
		`attestation.signer.issuer == "` + provider + `" && attestation.signer.subject.endsWith("@refs/heads/main") && attestation.signer.id == "release-workflow"`: passed,
		`attestation.predicate.buildDefinition.externalParameters.workflow.ref == "refs/heads/main"`:                                                                passed,
		`attestation.predicate.buildDefinition.externalParameters.workflow.ref == "refs/heads/wip"`:                                                                 failed,
		`attestation.signed > timestamp("2026-01-01T00:00:00Z") && artifact.digest in attestation.subjects`:                                                         passed,
	} {
		d := built()
		d.Gates[0].Rules = []*policyv1.Rule{{Name: "rule", Message: "it does not hold", Expression: expression}}
		verdict := verdict.Evaluate(verdict.Trust{Index: policy.NewIndex(d), Root: root}, d.GetGates(), &releasev1.Request{Artifacts: web()}, [][]byte{bundle}, now)[0]
		if verdict.GetStatus() != want {
			t.Errorf("%s: %v: %s", expression, verdict.GetStatus(), verdict.GetReason())
		}
	}
}
