package intake_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/blackdice/shipwarden/procedure/proceduretest"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// TestAnAnswerNamesEverythingAtOnce edits a good request in JSON, and wants exactly the
// violations that the edits are: none hides another, and none has followers.
func TestAnAnswerNamesEverythingAtOnce(t *testing.T) {
	r := newRig(t)
	for name, c := range map[string]struct {
		edits []string // old, new, old, new …
		want  map[string]string
	}{
		"faults of every kind beside what is wrong otherwise": {
			[]string{
				`"version":"1.4.2"`, `"version":5,"verzion":"1.4.2"`,
				`"TRIGGER_PLANNED"`, `"TRIGGER_SOON"`,
				`"bake":"`, `"bake":"a day","interval":"`,
				`"owner":"`, `"owner":"no`,
				`"requester":`, `"notBefore":"2030-01-01T00:00:00","evidence":["e30=","???"],"requester":`,
				`"sha256:`, `"md5:`,
			},
			map[string]string{
				"version": "field.value", "verzion": "field.unknown", "trigger": "field.value", "validation.bake": "field.value",
				"validation.interval": "field.twice", "owner": "person.unknown", "not_before": "field.value", "evidence[1]": "field.value",
				"artifacts[0].digest": "digest.sha256",
			},
		},
		"an element that cannot be read leaves the others their numbers": {
			[]string{`"artifacts":[`, `"artifacts":[7,`, `"sha256:`, `"md5:`, `"authors":[`, `"authors":[1,2,`},
			map[string]string{
				"artifacts[0]": "field.value", "artifacts[1].digest": "digest.sha256", "authors[0]": "field.value", "authors[1]": "field.value",
			},
		},
		"a part that cannot be read is not missing": {
			[]string{`"plan":{`, `"plan":"by hand","x":{`, `"changeRecord":{`, `"changeRecord":[],"y":{`},
			map[string]string{"plan": "field.value", "x": "field.unknown", "change_record": "field.value", "y": "field.unknown"},
		},
		"nothing is said of targets for the sake of an environment that cannot be read": {
			[]string{`"environment":"production"`, `"environment":{}`, `"service":"shop"`, `"service":7`},
			map[string]string{"environment": "field.value", "service": "field.value"},
		},
		"a rule over two fields is silent where one cannot be read, and is heard otherwise": {
			[]string{`"version":"1.4.2"`, `"version":5,"emergency":{"reason":"it burns here","incident":"INC-1"}`},
			map[string]string{"version": "field.value", "": "emergency.required"},
		},
		"two probes in one check": {
			[]string{`"http":{`, `"tcp":{},"http":{`},
			map[string]string{"validation.checks[0].http": "field.twice"},
		},
		"something under two names": {
			[]string{`"changeRecord":`, `"change_record":{},"changeRecord":`},
			map[string]string{"change_record": "field.twice"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			body := strings.ReplaceAll(string(asJSON(t, proceduretest.Request())), `": `, `":`)
			for i := 0; i < len(c.edits); i += 2 {
				if !strings.Contains(body, c.edits[i]) {
					t.Fatalf("nothing to edit: %s in %s", c.edits[i], body)
				}
				body = strings.Replace(body, c.edits[i], c.edits[i+1], 1)
			}
			got := r.take(t, r.message([]byte(body)))
			if diff := cmp.Diff(c.want, rules(got.answer)); diff != "" || got.answer.GetOutcome() != refused {
				t.Errorf("%v\n%s", got.answer, diff)
			}
			if len(got.answer.GetViolations()) != len(c.want) {
				t.Errorf("%d violations, want %d: %v", len(got.answer.GetViolations()), len(c.want), got.answer)
			}
			if want := answerTo + "ci-4711"; got.subject != want {
				t.Errorf("answer on %s, want %s: the key could be read", got.subject, want)
			}
		})
	}
	if n := r.count(t, "rel.>"); n != 0 {
		t.Errorf("%d events of releases", n)
	}
}

// TestASignatureIsLookedAtBesideFaults names a missing signature with the rest.
func TestASignatureIsLookedAtBesideFaults(t *testing.T) {
	r := newRig(t, func(d *policyv1.Procedure) {
		for _, e := range d.GetEnvironments() {
			e.RequireSignedRequests = true
		}
	})
	body := strings.Replace(string(asJSON(t, proceduretest.Request(func(q *releasev1.Request) { q.Version = "EDIT" }))), `"EDIT"`, `false`, 1)
	want := map[string]string{"version": "field.value", "": "signature.missing"}
	if diff := cmp.Diff(want, rules(r.take(t, r.message([]byte(body))).answer)); diff != "" {
		t.Error(diff)
	}
}
