package intake_test

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/procedure/proceduretest"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/approval/approvaltest"
	"github.com/blackdice/shipwarden/services/approval/intake"
)

// signedOnly makes production take signed requests only, and adds keys that must not do.
func signedOnly(at time.Time) func(*policyv1.Procedure) {
	return func(d *policyv1.Procedure) {
		d.Environments[0].RequireSignedRequests = true
		for id, change := range map[string]func(*policyv1.Key){
			"revoked": func(k *policyv1.Key) { k.Revoked = true },
			"expired": func(k *policyv1.Key) { k.NotAfter = timestamppb.New(at.Add(-time.Nanosecond)) },
			"early":   func(k *policyv1.Key) { k.NotBefore = timestamppb.New(at.Add(time.Nanosecond)) },
			"last":    func(k *policyv1.Key) { k.NotAfter = timestamppb.New(at) },
		} {
			k := &policyv1.Key{Id: id, Ed25519: approvaltest.PublicKey(id), Services: []string{"shop"}}
			change(k)
			d.Keys = append(d.Keys, k)
		}
	}
}

func TestSignatures(t *testing.T) {
	at := time.Now().Truncate(time.Second)
	r := newRig(t, signedOnly(at))
	r.now = at
	sign := func(key, name string) func([]byte) string {
		return func(body []byte) string { return intake.SignRequest(name, approvaltest.Key(key), body) }
	}
	for _, c := range []struct {
		name   string
		header func([]byte) string
		rule   string
	}{
		{"good", sign("ci", "ci"), ""},
		{"by a key that is valid for the last moment", sign("last", "last"), ""},
		{"missing", func([]byte) string { return "" }, "signature.missing"},
		{"by an unknown key", sign("mallory", "mallory"), "signature.key"},
		{"by a key of another service", sign("billing-ci", "billing-ci"), "signature.key"},
		{"by a revoked key", sign("revoked", "revoked"), "signature.key"},
		{"by an expired key", sign("expired", "expired"), "signature.key"},
		{"by a key that is not valid yet", sign("early", "early"), "signature.key"},
		{"in another's name", sign("mallory", "ci"), "signature.bad"},
		{"of another body", func(b []byte) string { return sign("ci", "ci")(append(b, ' ')) }, "signature.bad"},
		{"that is no base64", func([]byte) string { return "ci !!!" }, "signature.malformed"},
		{"without a key id", func([]byte) string { return "ci" }, "signature.malformed"},
		{"that is too short", func([]byte) string { return "ci AAAA" }, "signature.bad"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := r.message(asJSON(t, proceduretest.Request(proceduretest.Key(strings.ReplaceAll(c.name, " ", "-")))))
			m.Signature = c.header(m.Body)
			got := r.take(t, m).answer
			if rules(got)[""] != c.rule || (got.GetOutcome() == accepted) != (c.rule == "") {
				t.Fatalf("%v, want %q", got, c.rule)
			}
			if c.rule != "" {
				return
			}
			key, _, _ := strings.Cut(m.Signature, " ")
			s := r.State(t, got.GetRelease())
			e := r.Task(t, s.Release, r.now).Cause.Event.GetActor()
			if s.Requested.GetSignedBy() != key || e.GetMethod() != "signature" || e.GetId() != "rita" {
				t.Errorf("signed by %q, actor %v", s.Requested.GetSignedBy(), e)
			}
		})
	}
}

func TestABadSignatureCountsAlsoWhereNoneIsDemanded(t *testing.T) {
	r := newRig(t)
	m := r.message(asJSON(t, proceduretest.Request()))
	m.Signature = intake.SignRequest("ci", approvaltest.Key("mallory"), m.Body)
	if got := r.take(t, m).answer; rules(got)[""] != "signature.bad" {
		t.Errorf("answer %v", got)
	}
}

func TestASignedRequestIsNotReplayedUnderAnotherKey(t *testing.T) {
	r := newRig(t, signedOnly(time.Now()))
	m := r.message(asJSON(t, proceduretest.Request()))
	m.Signature = intake.SignRequest("ci", approvaltest.Key("ci"), m.Body)
	r.take(t, m)
	again := r.message(asJSON(t, proceduretest.Request(func(q *releasev1.Request) { q.IdempotencyKey = "ci-9999" })))
	again.Signature = m.Signature
	if got := r.take(t, again).answer; rules(got)[""] != "signature.bad" {
		t.Errorf("answer %v", got)
	}
}
