package intake_test

import (
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/blackdice/shipwarden/internal/evidence"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/approval/approvaltest"
	"github.com/blackdice/shipwarden/services/approval/intake"
)

// bring sends evidence for a request, and returns the answer.
func (r *rig) bring(t *testing.T, m intake.Message) *releasev1.Answer {
	t.Helper()
	r.next++
	m.Sequence = 5000 + r.next
	if err := r.intake.Take(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	stream, err := r.JetStream().Stream(t.Context(), "ANSWERS")
	if err != nil {
		t.Fatal(err)
	}
	raw, err := stream.GetMsg(t.Context(), func() uint64 {
		info, err := stream.Info(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return info.State.LastSeq
	}())
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(raw.Subject, "answer.production.shop.") || !strings.HasSuffix(raw.Subject, ".evidence") {
		t.Errorf("answered on %s", raw.Subject)
	}
	answer := &releasev1.Answer{}
	if err := protojson.Unmarshal(raw.Data, answer); err != nil {
		t.Fatal(err)
	}
	return answer
}

func late(key string, pieces ...string) *releasev1.Evidence {
	e := &releasev1.Evidence{IdempotencyKey: key, Service: "shop", Environment: "production"}
	for _, p := range pieces {
		e.Evidence = append(e.Evidence, []byte(p))
	}
	return e
}

func body(t *testing.T, m proto.Message) []byte {
	t.Helper()
	b, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestEvidenceComesToTheReleaseThatWaitsForIt: it is kept, once, and the gates look again.
func TestEvidenceComesToTheReleaseThatWaitsForIt(t *testing.T) {
	r := newRig(t)
	release := r.Reach(t, procedure.PhaseGates)
	send := func(pieces ...string) *releasev1.Answer {
		return r.bring(t, intake.Message{Subject: subject + ".evidence", ContentType: "application/protobuf", Body: body(t, late("ci-4711", pieces...))})
	}
	if a := send("one", "two", "one"); a.GetOutcome() != accepted || a.GetRelease() != release {
		t.Fatalf("%v", a)
	}
	if a := send("two", "one"); a.GetOutcome() != repeated || a.GetRelease() != release {
		t.Errorf("again: %v", a)
	}
	if a := send("two", "three"); a.GetOutcome() != accepted {
		t.Errorf("one more: %v", a)
	}
	s := r.State(t, release)
	if len(s.LateEvidence) != 3 || s.Phase != procedure.PhaseGates {
		t.Fatalf("%v", s.LateEvidence)
	}
	for n, want := range []string{"one", "two", "three"} {
		if content, err := r.Evidence.Get(t.Context(), s.LateEvidence[n].GetDigest()); err != nil || string(content) != want || evidence.Digest(content) != s.LateEvidence[n].GetDigest() {
			t.Errorf("%q, %v", content, err)
		}
	}
	r.Do(t, release, "", &releasev1.Event{Data: &releasev1.Event_GatesHeld{GatesHeld: proceduretest.Hold(procedure.HoldEvidenceMissing, r.now.Add(72*3600e9))}})
	if a := send("four"); a.GetOutcome() != accepted || r.State(t, release).Phase != procedure.PhaseGates {
		t.Errorf("while it is held: %v, phase %s", a, r.State(t, release).Phase)
	}
	json, err := protojson.Marshal(late("ci-4711", "five"))
	if err != nil {
		t.Fatal(err)
	}
	if a := r.bring(t, intake.Message{Subject: subject + ".evidence", Body: json}); a.GetOutcome() != accepted {
		t.Errorf("as JSON: %v", a)
	}
	r.To(t, release, procedure.PhaseScope)
	if a := send("six"); a.GetOutcome() != refused || a.GetViolations()[0].GetRule() != "evidence.late" {
		t.Errorf("after the gates: %v", a)
	}
}

// TestEvidenceThatIsNotTakenSaysWhy, and the refusal stays on record.
func TestEvidenceThatIsNotTakenSaysWhy(t *testing.T) {
	r := newRig(t, func(d *policyv1.Procedure) { d.Environments[0].RequireSignedRequests = true })
	release := r.Reach(t, procedure.PhaseGates)
	sign := func(key string, with func(string, []byte) string) func([]byte) string {
		return func(b []byte) string { return with(key, b) }
	}
	evidenceBy := func(key string, b []byte) string { return intake.SignEvidence(key, approvaltest.Key(key), b) }
	requestBy := func(key string, b []byte) string { return intake.SignRequest(key, approvaltest.Key(key), b) }
	var many []string
	for i := range procedure.MaxLateEvidence {
		many = append(many, fmt.Sprint(i))
	}
	good := late("ci-4711", "one")
	for _, c := range []struct {
		name    string
		subject string
		message *releasev1.Evidence
		body    []byte
		sign    func([]byte) string
		rules   string
	}{
		{"unsigned", subject, good, nil, func([]byte) string { return "" }, "signature.missing"},
		{"signed as a request", subject, good, nil, sign("ci", requestBy), "signature.bad"},
		{"signed for another service", subject, good, nil, sign("billing-ci", evidenceBy), "signature.key"},
		{"of another service", "request.production.shop", late("ci-4711", "one"), nil, sign("ci", evidenceBy), ""},
		{"for nothing", subject, late("nothing", "one"), nil, sign("ci", evidenceBy), "idempotency_key.unknown"},
		{"that is none", subject, late("ci-4711"), nil, sign("ci", evidenceBy), "required"},
		{"of the largest size and one more", subject, late("ci-4711", strings.Repeat("x", 16385)), nil, sign("ci", evidenceBy), "bytes.max_len"},
		{"as garbage", subject, nil, []byte("{"), sign("ci", evidenceBy), "body.json"},
		{"as nothing", subject, nil, []byte{}, sign("ci", evidenceBy), "body.empty"},
		{"as many as are taken", subject, late("ci-4711", many[1:]...), nil, sign("ci", evidenceBy), ""},
		{"as one more", subject, late("ci-4711", "more"), nil, sign("ci", evidenceBy), "evidence.many"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := c.body
			if c.message != nil {
				b = body(t, c.message)
			}
			a := r.bring(t, intake.Message{Subject: c.subject + ".evidence", Body: b, Signature: c.sign(b)})
			if c.rules == "" {
				if a.GetOutcome() != accepted {
					t.Errorf("%v", a)
				}
				return
			}
			if a.GetOutcome() != refused || len(a.GetViolations()) != 1 || a.GetViolations()[0].GetRule() != c.rules {
				t.Errorf("%v, want %s", a, c.rules)
			}
		})
	}
	if n := len(r.State(t, release).LateEvidence); n != procedure.MaxLateEvidence {
		t.Errorf("%d pieces", n)
	}
}
