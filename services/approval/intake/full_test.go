package intake_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/blackdice/shipwarden/internal/eventstore/eventstoretest"
	"github.com/blackdice/shipwarden/internal/evidence"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/approval/approvaltest"
	"github.com/blackdice/shipwarden/services/approval/intake"
)

// TestAFullStoreOfEvidenceStopsNoIntake: a planned request that brings evidence is refused in
// words and may come again, one that brings none is a release, and an emergency is one in any
// case, whose first event says what is not there.
func TestAFullStoreOfEvidenceStopsNoIntake(t *testing.T) {
	r := newRig(t)
	eventstoretest.Full(t, r)
	proof := []byte(`{"payloadType":"application/vnd.in-toto+json"}`)
	brings := func(q *releasev1.Request) { q.Evidence = [][]byte{proof} }
	if a := r.ask(t, proceduretest.Key("bare")); a.GetOutcome() != accepted {
		t.Errorf("without evidence: %v", a)
	}
	a := r.ask(t, proceduretest.Key("planned"), brings)
	if a.GetOutcome() != refused || len(a.GetViolations()) != 1 || a.GetViolations()[0].GetRule() != "evidence.full" || a.GetViolations()[0].GetField() != "evidence" {
		t.Errorf("planned: %v", a)
	}
	if a = r.ask(t, proceduretest.Key("urgent"), brings, proceduretest.Emergency); a.GetOutcome() != accepted {
		t.Fatalf("an emergency: %v", a)
	}
	s := r.State(t, a.GetRelease())
	if len(s.Unkept) != 1 || s.UnkeptReason(evidence.Digest(proof)) != "the evidence store is full" || len(s.Requested.GetEvidence()) != 1 {
		t.Errorf("its first event says %v of %v", s.Unkept, s.Requested.GetEvidence())
	}
	eventstoretest.Room(t, r)
	if a := r.ask(t, proceduretest.Key("planned"), brings); a.GetOutcome() != accepted {
		t.Errorf("again, with room: %v", a)
	}
}

// leaderless is the store of evidence while it has no leader; otherwise it is the real one.
type leaderless struct {
	intake.Blobs
	gone bool
}

var errNoLeader = errors.New("no response from stream")

func (l *leaderless) Put(ctx context.Context, mediaType, name string, content []byte) (*releasev1.EvidenceRef, error) {
	if l.gone {
		return nil, errNoLeader
	}
	return l.Blobs.Put(ctx, mediaType, name, content)
}

// TestAHiccupOfTheBusLosesNoEvidence: the request of an emergency or a rollback comes again,
// and its evidence is kept then. A store that does not come back stops no emergency.
func TestAHiccupOfTheBusLosesNoEvidence(t *testing.T) {
	r := newRig(t)
	blobs := &leaderless{Blobs: r.Evidence, gone: true}
	in, err := intake.New(r.Store, r.Procedures, approvaltest.ProcedureID, blobs, intake.NewBoard(r.JetStream()), func() time.Time { return r.now })
	if err != nil {
		t.Fatal(err)
	}
	r.intake = in
	proof := []byte(`{"payloadType":"application/vnd.in-toto+json"}`)
	urgent := func(key string, changes ...func(*releasev1.Request)) (intake.Message, string) {
		q := proceduretest.Request(append(changes, proceduretest.Emergency, proceduretest.Key(key), func(q *releasev1.Request) { q.Evidence = [][]byte{proof} })...)
		m := r.message(asJSON(t, q))
		m.Delivery = 1
		return m, procedure.ReleaseID(q.GetEnvironment(), q.GetService(), q.GetIdempotencyKey())
	}
	m, release := urgent("hiccup")
	if err := r.intake.Take(t.Context(), m); !errors.Is(err, errNoLeader) || r.State(t, release).Phase != procedure.PhaseNone {
		t.Fatalf("at the first try: %v, phase %s", err, r.State(t, release).Phase)
	}
	blobs.gone, m.Delivery = false, 2
	if a := r.take(t, m).answer; a.GetOutcome() != accepted || len(r.State(t, release).Unkept) != 0 {
		t.Errorf("when it is back: %v, not kept %v", a, r.State(t, release).Unkept)
	}
	blobs.gone = true
	m, release = urgent("outage")
	m.Delivery = evidence.Patience
	if a := r.take(t, m).answer; a.GetOutcome() != accepted || r.State(t, release).UnkeptReason(evidence.Digest(proof)) != "it was not taken" {
		t.Errorf("when it does not come back: %v, not kept %v", a, r.State(t, release).Unkept)
	}
}

// TestEvidenceThatWasNotKeptMayBeSentAgain: the release takes it, once, and does not go on
// saying that it is not there.
func TestEvidenceThatWasNotKeptMayBeSentAgain(t *testing.T) {
	r := newRig(t)
	eventstoretest.Full(t, r)
	const proof = `{"payloadType":"application/vnd.in-toto+json"}`
	a := r.ask(t, proceduretest.Key("urgent"), proceduretest.Emergency, func(q *releasev1.Request) { q.Evidence = [][]byte{[]byte(proof)} })
	if a.GetOutcome() != accepted || len(r.State(t, a.GetRelease()).Unkept) != 1 {
		t.Fatalf("%v, not kept %v", a, r.State(t, a.GetRelease()).Unkept)
	}
	again := intake.Message{Subject: subject + ".evidence", ContentType: "application/protobuf", Body: body(t, late("urgent", proof))}
	if b := r.bring(t, again); b.GetOutcome() != refused || b.GetViolations()[0].GetRule() != "evidence.full" {
		t.Errorf("while it is full: %v", b)
	}
	eventstoretest.Room(t, r)
	if b := r.bring(t, again); b.GetOutcome() != accepted {
		t.Errorf("with room: %v", b)
	}
	if s := r.State(t, a.GetRelease()); len(s.Unkept) != 0 || len(s.Evidence()) != 1 {
		t.Errorf("not kept %v of %v", s.Unkept, s.Evidence())
	}
	if content, err := r.Evidence.Get(t.Context(), evidence.Digest([]byte(proof))); err != nil || string(content) != proof {
		t.Errorf("%q, %v", content, err)
	}
	if b := r.bring(t, again); b.GetOutcome() != repeated {
		t.Errorf("once more: %v", b)
	}
}
