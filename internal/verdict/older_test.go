package verdict_test

import (
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/blackdice/shipwarden/internal/attest"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/sigstore"
	"github.com/blackdice/shipwarden/internal/sigstore/sigstoretest"
	"github.com/blackdice/shipwarden/internal/verdict"
	"github.com/blackdice/shipwarden/procedure"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// older is the same said in a statement of in-toto v0.1.
func older(statement string) string {
	return strings.Replace(statement, attest.StatementType, attest.StatementTypeV01, 1)
}

// said is a statement about web, as JSON.
func said(predicateType, predicate string) string {
	return `{"_type":"` + attest.StatementType + `","subject":[{"name":"web","digest":{"sha256":"` + digestOf("web")[7:] +
		`"}}],"predicateType":"` + predicateType + `","predicate":` + predicate + `}`
}

// TestAStatementOfV01CountsAsStrictlyAsOneOfV1: what one of the two is refused for, the other
// is, in the same words but for its digest.
func TestAStatementOfV01CountsAsStrictlyAsOneOfV1(t *testing.T) {
	good := rawStatement()
	for name, c := range map[string]struct {
		payload string
		key     string
		passes  bool
	}{
		"good":                          {good, "ci", true},
		"by an unknown key":             {good, "mallory", false},
		"by the key of another gate":    {good, "review", false},
		"by a revoked key":              {good, "leaked", false},
		"by a key that is over":         {good, "late", false},
		"about another artifact":        {strings.Replace(good, digestOf("web")[7:], digestOf("worker")[7:], 1), "ci", false},
		"by another kind of digest":     {strings.Replace(good, `"sha256"`, `"sha1"`, 1), "ci", false},
		"about nothing":                 {strings.Replace(good, `"subject"`, `"subjects"`, 1), "ci", false},
		"of another predicate type":     {strings.Replace(good, testType, "https://in-toto.io/attestation/test-result/v0.2", 1), "ci", false},
		"that says something else":      {strings.Replace(good, "PASSED", "FAILED", 1), "ci", false},
		"too old":                       {strings.Replace(good, "2026-12-01T12", "2026-12-01T10", 1), "ci", false},
		"with a name that occurs twice": {strings.Replace(good, `"_type"`, `"_type":"https://in-toto.io/Statement/v1","_type"`, 1), "ci", false},
	} {
		var words [2]string
		for i, payload := range []string{c.payload, older(c.payload)} {
			envelope := signRaw(payload, c.key)
			v := evaluate(document(), web(), envelope)[1]
			words[i] = strings.ReplaceAll(v.GetReason(), digestOf(string(envelope))[:19], "it")
			if (v.GetStatus() == passed) != c.passes {
				t.Errorf("%s: %s: %s", name, v.GetStatus(), v.GetReason())
			}
			if marked := len(v.GetOlder()) == 1 && v.GetOlder()[0] == digestOf(string(envelope)); marked != (i == 1 && v.GetSignedBy() != "") {
				t.Errorf("%s: on record as older are %v, signed by %q", name, v.GetOlder(), v.GetSignedBy())
			}
		}
		if words[0] != words[1] {
			t.Errorf("%s: it says %q of the one and %q of the other", name, words[0], words[1])
		}
	}
	if v := evaluate(document(), web(), tamper(t, signRaw(older(good), "ci")))[1]; v.GetStatus() != failed {
		t.Errorf("one that was changed: %s", v.GetReason())
	}
	if v := evaluate(document(), web(), []byte(strings.Replace(string(signRaw(older(good), "ci")), "in-toto+json", "in-toto", 1)))[1]; v.GetStatus() != failed {
		t.Errorf("in an envelope of another payload type: %s", v.GetReason())
	}
}

// TestAPredicateTypeIsTheSameInBothStatements: provenance of SLSA v0.2, which mostly comes in
// the older one, is taken by a gate that asks for it, and for v1 by none.
func TestAPredicateTypeIsTheSameInBothStatements(t *testing.T) {
	const v02 = "https://slsa.dev/provenance/v0.2"
	asks := func(predicateType, field string) *policyv1.Procedure {
		d := document()
		d.Gates = []*policyv1.Gate{{Name: "tests", PredicateType: predicateType, Field: field, Values: []string{builder}}}
		return d
	}
	v1, old := asks(provenanceType, "runDetails.builder.id"), asks(v02, "builder.id")
	both := `{"builder":{"id":"` + builder + `"},"runDetails":{"builder":{"id":"` + builder + `"}}}`
	for name, c := range map[string]struct {
		document  *policyv1.Procedure
		statement string
		passes    bool
	}{
		"v1 in v1":              {v1, said(provenanceType, both), true},
		"v1 in v0.1":            {v1, older(said(provenanceType, both)), true},
		"v0.2 for v1":           {v1, older(said(v02, both)), false},
		"v0.2 in v1 for v1":     {v1, said(v02, both), false},
		"v0.2 in v0.1":          {old, older(said(v02, both)), true},
		"v0.2 in v1":            {old, said(v02, both), true},
		"v1 for v0.2":           {old, older(said(provenanceType, both)), false},
		"one that nobody knows": {v1, older(said("https://slsa.dev/provenance", both)), false},
		"none":                  {v1, older(said("", both)), false},
	} {
		v := evaluate(c.document, web(), signRaw(c.statement, "ci"))[0]
		if (v.GetStatus() == passed) != c.passes || !c.passes && !strings.Contains(v.GetReason(), "there is no evidence of type") {
			t.Errorf("%s: %s: %s", name, v.GetStatus(), v.GetReason())
		}
	}
}

// TestWhatIsSaidInV01IsOnRecord: as evidence, by authors whom it names, in a bundle, as a
// waiver, where an emergency goes around the gate, and to rules.
func TestWhatIsSaidInV01IsOnRecord(t *testing.T) {
	one := signRaw(older(said(reviewType, `{"authors":["alice"],"reviewers":["bob"],"result":"APPROVED"}`)), "review")
	more := sign(t, "review", reviewType, object{"authors": []string{"bob"}, "reviewers": []string{"erin"}, "result": "APPROVED"}, "web")
	v := evaluate(document(), web(), more, one, signRaw(older(said(reviewType, `{"authors":["frank"]}`)), "mallory"))[0]
	if v.GetStatus() != passed || !slices.Equal(v.GetAuthors(), []string{"alice", "bob"}) || !slices.Equal(v.GetOlder(), []string{digestOf(string(one))}) {
		t.Errorf("authors: %v", v)
	}
	d := document()
	d.Gates[0].Waivable = &policyv1.Waivable{Max: durationpb.New(1 << 50)}
	d.Keys = append(d.Keys, &policyv1.Key{Id: "desk", Ed25519: publicOf("desk"), Waives: []string{"code-review"}})
	waiver := signRaw(older(said(attest.WaiverType, `{"gate":"code-review","environment":"prod","owner":"erin","reason":"r","issued":"2026-12-01T11:00:00Z","expires":"2026-12-01T13:00:00Z"}`)), "desk")
	if v := evaluate(d, web(), waiver)[0]; v.GetStatus() != releasev1.GateVerdict_STATUS_WAIVED || !slices.Equal(v.GetOlder(), []string{digestOf(string(waiver))}) {
		t.Errorf("a waiver: %v", v)
	}
	refused := signRaw(strings.Replace(older(rawStatement()), "PASSED", "FAILED", 1), "ci")
	state := procedure.State{Request: &releasev1.Request{Trigger: releasev1.Trigger_TRIGGER_EMERGENCY}}
	event := procedure.DecideGates(state, evaluate(document(), web(), refused)[1:], func(string) bool { return true })
	if v := event.GetGatesConfirmed().GetVerdicts(); len(v) != 1 || v[0].GetStatus() != releasev1.GateVerdict_STATUS_BYPASSED || len(v[0].GetOlder()) != 1 {
		t.Errorf("around the gate: %v", event)
	}
	only := document()
	only.Gates[1].Rules = []*policyv1.Rule{{Name: "v1", Expression: `attestation.statement_type == "` + attest.StatementType + `"`, Message: "it is an older statement"}}
	for payload, want := range map[string]releasev1.GateVerdict_Status{rawStatement(): passed, older(rawStatement()): failed} {
		if v := evaluate(only, web(), signRaw(payload, "ci"))[1]; v.GetStatus() != want {
			t.Errorf("by a rule: %s: %s", v.GetStatus(), v.GetReason())
		}
	}
	instance := sigstoretest.New(t)
	root, err := sigstore.ParseRoot(instance.Root(t))
	if err != nil {
		t.Fatal(err)
	}
	bundle := instance.Sign(t, workflow, provider, older(provenance(t, "web", builder)))
	trust := verdict.Trust{Index: policy.NewIndex(built()), Root: root}
	judge := func() []*releasev1.GateVerdict {
		return verdict.Evaluate(trust, trust.Index.Document().GetGates(), &releasev1.Request{Artifacts: web()}, [][]byte{bundle}, now)
	}
	if v := judge()[0]; v.GetStatus() != passed || !slices.Equal(v.GetOlder(), []string{digestOf(string(bundle))}) || verdict.OnlyV1(judge(), [][]byte{bundle}) {
		t.Errorf("a bundle: %v", v)
	}
	trust.OnlyV1 = true
	if v := judge()[0]; v.GetStatus() != failed || !verdict.OnlyV1(judge(), [][]byte{bundle}) {
		t.Errorf("a bundle, as it was judged before: %v", v)
	}
}

// TestVerdictsOfBeforeV01CountedAreToldByTheRecord, and judged as they were then.
func TestVerdictsOfBeforeV01CountedAreToldByTheRecord(t *testing.T) {
	trust := verdict.Trust{Index: policy.NewIndex(document()), OnlyV1: true}
	judge := func(trust verdict.Trust, envelopes ...[]byte) []*releasev1.GateVerdict {
		return verdict.Evaluate(trust, document().GetGates(), &releasev1.Request{Artifacts: web()}, envelopes, now)
	}
	old, plain := signRaw(older(rawStatement()), "ci"), signRaw(rawStatement(), "ci")
	then := judge(trust, old)
	if why := then[1].GetReason(); then[1].GetStatus() != failed || !strings.HasSuffix(why, `its payload is of type "`+attest.StatementTypeV01+`" instead of `+attest.StatementType) || len(then[1].GetOlder()) > 0 {
		t.Errorf("then: %v", then[1])
	}
	today := verdict.Trust{Index: trust.Index}
	for name, c := range map[string]struct {
		verdicts  []*releasev1.GateVerdict
		envelopes [][]byte
		want      bool
	}{
		"then":                       {then, [][]byte{old}, true},
		"then, beside another":       {judge(trust, old, plain), [][]byte{old, plain}, true},
		"today":                      {judge(today, old), [][]byte{old}, false},
		"today, beside another":      {judge(today, plain, old), [][]byte{plain, old}, false},
		"without an older statement": {judge(trust, plain), [][]byte{plain, []byte("{"), []byte(`{"payload":"%"}`), []byte(`{"payload":"e30="}`)}, false},
	} {
		if got := verdict.OnlyV1(c.verdicts, c.envelopes); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

// TestAReleaseOfBeforeV01CountedGoesOnWithoutIt: at its start its gates are judged as they were
// when it passed them; of one that passes today, older statements are heard at the start, too.
func TestAReleaseOfBeforeV01CountedGoesOnWithoutIt(t *testing.T) {
	review := sign(t, "review", reviewType, object{"authors": []string{"alice"}, "reviewers": []string{"bob"}, "result": "APPROVED"}, "web")
	result := sign(t, "ci", testType, testsPassed(0), "web")
	wrote := signRaw(older(said(reviewType, `{"authors":["bob"],"result":"APPROVED"}`)), "review")
	for name, c := range map[string]struct {
		older  []string
		fallen int
	}{"then": {nil, 0}, "today": {[]string{digestOf(string(wrote))}, 1}} {
		state := begins()
		state.Gates = []*releasev1.GateVerdict{{Gate: "code-review", Status: passed, Older: c.older}, {Gate: "tests", Status: passed}}
		fallen, _ := verdict.Again(state, [][]byte{review, result, wrote}, now, verdict.Trust{Index: policy.NewIndex(document())})
		if len(fallen) != c.fallen {
			t.Errorf("%s: %v", name, fallen)
		}
	}
}
