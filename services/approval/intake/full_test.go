package intake_test

import (
	"testing"

	"github.com/blackdice/shipwarden/internal/eventstore/eventstoretest"
	"github.com/blackdice/shipwarden/internal/evidence"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
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
