package execute_test

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/blackdice/shipwarden/internal/attest"
	"github.com/blackdice/shipwarden/internal/evidence"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/execute"
	"github.com/blackdice/shipwarden/services/executor/site"
	"github.com/blackdice/shipwarden/services/executor/site/sitetest"
)

const testType = "https://in-toto.io/attestation/test-result/v0.1"

func keyOf(id string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte(id))
	return ed25519.NewKeyFromSeed(seed[:])
}

// signedGates is a procedure document with a gate for tests of at most an hour ago, signed
// by ci, or waived by desk; more of the gate may be given.
func signedGates(more string) string {
	public := func(id string) string {
		public, _ := keyOf(id).Public().(ed25519.PublicKey)
		return base64.StdEncoding.EncodeToString(public)
	}
	return sitetest.Document(fmt.Sprintf("keys:\n  - {id: ci, ed25519: %q, gates: [tests]}\n  - {id: desk, ed25519: %q, waives: [tests]}\n"+
		"gates:\n  - {name: tests, predicate_type: %q, field: result, values: [PASSED], max_age: 1h, waivable: {max: 72h}%s}\n", public("ci"), public("desk"), testType, more))
}

// proof keeps a statement about version 2 as evidence.
func proof(t *testing.T, w *sitetest.World, key, predicateType string, predicate map[string]any) []*releasev1.EvidenceRef {
	t.Helper()
	content, err := attest.Sign(attest.Statement{
		PredicateType: predicateType, Predicate: predicate, Subjects: []attest.Subject{{Name: "shop", Digest: sitetest.DigestOf(2)}},
	}, key, keyOf(key))
	if err != nil {
		t.Fatal(err)
	}
	ref, err := evidence.New(w.JetStream()).Put(t.Context(), "application/json", "evidence", content)
	if err != nil {
		t.Fatal(err)
	}
	return []*releasev1.EvidenceRef{ref}
}

// tested keeps the statement that tests passed so long ago.
func tested(t *testing.T, w *sitetest.World, age time.Duration) []*releasev1.EvidenceRef {
	t.Helper()
	return proof(t, w, "ci", testType, map[string]any{"result": "PASSED", "timestamp": time.Now().Add(-age).Format(time.RFC3339Nano)})
}

// revoked is a document in which ci is trusted no more.
func revoked() string {
	return strings.Replace(signedGates(""), "gates: [tests]", "gates: [tests], revoked: true", 1)
}

// TestEvidenceIsJudgedAgainAtTheStart (PD-1.2, PD-1.3): a start may come a week after the
// gates. What is too old by then, or signed by somebody who was revoked since, starts nothing.
func TestEvidenceIsJudgedAgainAtTheStart(t *testing.T) {
	t.Parallel()
	w := sitetest.New(t, sitetest.Noop("eu1"))
	w.Carries(t, "eu1", 1)
	for i, c := range []struct {
		name     string
		own, now string
		lane     func(*releasev1.Request)
		proof    func(t *testing.T) []*releasev1.EvidenceRef
		// beside has it found by step 1 instead of sent with the request.
		beside   bool
		refused  string
		bypassed []string
	}{
		{name: "fresh", own: signedGates(""), proof: func(t *testing.T) []*releasev1.EvidenceRef { return tested(t, w, time.Minute) }},
		{name: "fresh, found beside the artifact", own: signedGates(""), beside: true, proof: func(t *testing.T) []*releasev1.EvidenceRef { return tested(t, w, time.Minute) }},
		{name: "too old", own: signedGates(""), proof: func(t *testing.T) []*releasev1.EvidenceRef { return tested(t, w, time.Hour+time.Second) }, refused: "older than 1h0m0s"},
		{name: "too old within the moment that a claim may take", own: signedGates(""), proof: func(t *testing.T) []*releasev1.EvidenceRef { return tested(t, w, time.Hour-time.Second) }, refused: "older than 1h0m0s"},
		{name: "by a signer who was revoked", own: signedGates(""), now: revoked(), proof: func(t *testing.T) []*releasev1.EvidenceRef { return tested(t, w, time.Minute) }, refused: `the key "ci", which is revoked`},
		{name: "where the document in effect has no such gate", own: signedGates(""), now: sitetest.Document(""), proof: func(t *testing.T) []*releasev1.EvidenceRef { return tested(t, w, time.Minute) }},
		{name: "that step 1 says and nobody has", own: signedGates(""), proof: func(*testing.T) []*releasev1.EvidenceRef { return nil }, refused: "there is no evidence of type"},
		{
			name: "too old, of an emergency that may go around the gate", own: signedGates(", bypassable: true"), lane: proceduretest.Emergency,
			proof: func(t *testing.T) []*releasev1.EvidenceRef { return tested(t, w, 2*time.Hour) }, bypassed: []string{"gate tests"},
		},
		{name: "too old, of an emergency that may not", own: signedGates(""), lane: proceduretest.Emergency, proof: func(t *testing.T) []*releasev1.EvidenceRef { return tested(t, w, 2*time.Hour) }, refused: "older than"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w.Digest = w.Activate(t, c.own+fmt.Sprintf("# own %d\n", i))
			changes := []func(*releasev1.Request){proceduretest.Key(fmt.Sprint("evidence-", i))}
			if c.lane != nil {
				changes = append(changes, c.lane)
			}
			r := w.Release(t, changes...)
			if refs := c.proof(t); c.beside {
				r.To(t, procedure.PhaseGates)
				e := proceduretest.Gates(r.State(t))
				e.GetGatesConfirmed().Found = refs
				r.Do(t, "", e)
			} else {
				r.Evidence = refs
			}
			r.To(t, procedure.PhaseExecute)
			active := w.Digest
			if c.now != "" {
				active = w.Activate(t, c.now+fmt.Sprintf("# now %d\n", i))
			}
			one := w.Executor(t, "one", nil)
			events, err := one.Turn(t.Context(), execute.New(one.Site, time.Now), r.Task(t, 1))
			if err != nil || len(events) == 0 {
				t.Fatalf("%v, %v", events, err)
			}
			if c.refused != "" {
				findings := events[0].GetExecutionRefused().GetFindings()
				if len(findings) != 1 || findings[0].GetRule() != "evidence.outdated" || findings[0].GetSubject() != "tests" ||
					!strings.Contains(findings[0].GetMessage(), c.refused) || r.State(t).Started() {
					t.Errorf("%v", events)
				}
				return
			}
			if claimed := events[0].GetExecutionClaimed(); claimed.GetTrustedBy() != active || !slices.Equal(claimed.GetBypassed(), c.bypassed) {
				t.Errorf("%v", events)
			}
			w.Unlock(t, "eu1", r.ID, w.Standing(t, "eu1").State)
		})
	}
}

// TestASignerWhoIsRevokedBetweenTheWaves keeps the next one from starting: a person decides
// what becomes of the release.
func TestASignerWhoIsRevokedBetweenTheWaves(t *testing.T) {
	t.Parallel()
	w := sitetest.New(t, sitetest.Noop("eu1"), sitetest.Noop("us1"))
	w.Carries(t, "eu1", 1)
	w.Carries(t, "us1", 1)
	w.Digest = w.Activate(t, signedGates(""))
	r := w.Release(t, proceduretest.Waves([]string{"eu1"}, []string{"us1"}))
	r.Evidence = tested(t, w, time.Minute)
	r.To(t, procedure.PhaseExecute)
	one := w.Executor(t, "one", nil)
	turn := func() []*releasev1.Event {
		t.Helper()
		events, err := one.Turn(t.Context(), execute.New(one.Site, time.Now), r.Task(t, 1))
		if err != nil || len(events) == 0 {
			t.Fatalf("%v, %v", events, err)
		}
		return events
	}
	if turn(); r.State(t).Phase != procedure.PhaseExecuting {
		t.Fatal(r.State(t).Phase)
	}
	began := r.State(t).Began
	turn()
	r.To(t, procedure.PhaseExecute)
	if s := r.State(t); s.Wave != 1 || !s.Began.Equal(began) || began.IsZero() {
		t.Fatalf("wave %d, began %s, was %s", s.Wave, s.Began, began)
	}
	w.Activate(t, revoked())
	refused := turn()[0].GetExecutionRefused().GetFindings()
	if s := r.State(t); len(refused) != 1 || refused[0].GetRule() != "evidence.outdated" || s.EscalatedFor != releasev1.Cause_CAUSE_EXECUTION_REFUSED {
		t.Errorf("%v, in phase %s", refused, s.Phase)
	}
}

// TestASignerWhoIsRevokedAfterTheClaim keeps the wave that was claimed from beginning.
func TestASignerWhoIsRevokedAfterTheClaim(t *testing.T) {
	t.Parallel()
	w := sitetest.New(t, sitetest.Noop("eu1"))
	w.Carries(t, "eu1", 1)
	w.Digest = w.Activate(t, signedGates(""))
	r := w.Release(t)
	r.Evidence = tested(t, w, time.Minute)
	r.To(t, procedure.PhaseExecute)
	one := w.Executor(t, "one", nil)
	for _, document := range []string{"", revoked()} {
		if document != "" {
			w.Activate(t, document)
		}
		if _, err := one.Turn(t.Context(), execute.New(one.Site, time.Now), r.Task(t, 1)); err != nil {
			t.Fatal(err)
		}
	}
	if s := r.State(t); len(w.Effects(t, "eu1", r.ID)) != 0 || !strings.Contains(s.EndReason, `the key "ci", which is revoked`) {
		t.Errorf("phase %s, %d effects: %s", s.Phase, len(w.Effects(t, "eu1", r.ID)), s.EndReason)
	}
}

// lost is a store of evidence of which one piece is gone.
type lost struct {
	site.Blobs
	digest string
	why    error
}

func (l lost) Get(ctx context.Context, digest string) ([]byte, error) {
	if digest == l.digest {
		return nil, fmt.Errorf("%w: %s", l.why, digest)
	}
	return l.Blobs.Get(ctx, digest)
}

// TestEvidenceThatIsGoneHoldsTheStart: nobody can tell whether it still counts. It is waited
// for, and the start is refused when a person would have had the time to decide. It is the
// same where the store does not answer.
func TestEvidenceThatIsGoneHoldsTheStart(t *testing.T) {
	t.Parallel()
	for name, why := range map[string]error{"gone": evidence.ErrNotFound, "not the same": evidence.ErrTampered, "no answer": errors.New("no responders")} {
		t.Run(name, func(t *testing.T) { goneHoldsTheStart(t, why) })
	}
}

func goneHoldsTheStart(t *testing.T, why error) {
	w := sitetest.New(t, sitetest.Noop("eu1"))
	w.Carries(t, "eu1", 1)
	w.Digest = w.Activate(t, signedGates(""))
	r := w.Release(t)
	r.Evidence = tested(t, w, time.Minute)
	requested := proceduretest.Requested(r.Asked, time.Now())
	requested.GetRequested().Evidence = r.Evidence
	requested.GetRequested().Timeouts.Decision = durationpb.New(time.Second)
	r.Do(t, "", requested)
	r.To(t, procedure.PhaseExecute)
	one := w.Executor(t, "one", nil)
	one.Blobs = lost{one.Blobs, r.Evidence[0].GetDigest(), why}
	turn := func() *releasev1.Event {
		events, err := one.Turn(t.Context(), execute.New(one.Site, time.Now), r.Task(t, 1))
		if err != nil || len(events) == 0 {
			t.Fatalf("%v, %v", events, err)
		}
		return events[0]
	}
	holds := turn().GetStartHeld().GetReasons()
	if len(holds) != 1 || holds[0].GetRule() != "evidence.unknown" || !strings.Contains(holds[0].GetMessage(), "cannot be judged again") {
		t.Fatalf("%v", holds)
	}
	r.Resume(t)
	end := turn()
	for range 3 {
		if end.GetStartHeld() == nil {
			break
		}
		// The hold was stored later than it was decided, and ended before its time was over.
		r.Resume(t)
		end = turn()
	}
	if findings := end.GetExecutionRefused().GetFindings(); len(findings) != 1 || findings[0].GetRule() != "evidence.unknown" {
		t.Errorf("%v", findings)
	}
}

// TestAStoreThatDoesNotAnswerStopsNoEmergency that may go around the gates: its claim says that
// it does.
func TestAStoreThatDoesNotAnswerStopsNoEmergency(t *testing.T) {
	t.Parallel()
	w := sitetest.New(t, sitetest.Noop("eu1"))
	w.Carries(t, "eu1", 1)
	w.Digest = w.Activate(t, signedGates(", bypassable: true"))
	r := w.Release(t, proceduretest.Emergency)
	r.Evidence = tested(t, w, time.Minute)
	requested := proceduretest.Requested(r.Asked, time.Now())
	requested.GetRequested().Evidence = r.Evidence
	r.Do(t, "", requested)
	r.To(t, procedure.PhaseExecute)
	one := w.Executor(t, "one", nil)
	one.Blobs = lost{one.Blobs, r.Evidence[0].GetDigest(), errors.New("no responders")}
	events, err := one.Turn(t.Context(), execute.New(one.Site, time.Now), r.Task(t, 1))
	if err != nil || len(events) == 0 || !slices.Contains(events[0].GetExecutionClaimed().GetBypassed(), "gate tests") {
		t.Errorf("%v, %v", events, err)
	}
}

// TestATrustedRootThatIsGoneHoldsTheStart: nobody can tell what it would say of the evidence.
func TestATrustedRootThatIsGoneHoldsTheStart(t *testing.T) {
	t.Parallel()
	w := sitetest.New(t, sitetest.Noop("eu1"))
	w.Carries(t, "eu1", 1)
	w.Digest = w.Activate(t, signedGates(""))
	r := w.Release(t)
	r.Evidence = tested(t, w, time.Minute)
	requested := proceduretest.Requested(r.Asked, time.Now())
	requested.GetRequested().Evidence = r.Evidence
	r.Do(t, "", requested)
	r.To(t, procedure.PhaseExecute)
	w.Activate(t, revoked()+"sigstore: {trusted_root: \"sha256:"+strings.Repeat("0", 64)+"\"}\n")
	one := w.Executor(t, "one", nil)
	events, err := one.Turn(t.Context(), execute.New(one.Site, time.Now), r.Task(t, 1))
	if err != nil || len(events) == 0 || len(events[0].GetStartHeld().GetReasons()) != 1 || events[0].GetStartHeld().GetReasons()[0].GetRule() != "evidence.unknown" {
		t.Errorf("%v, %v", events, err)
	}
}
