package query_test

import (
	"testing"

	"github.com/blackdice/shipwarden/internal/envelope"
	"github.com/blackdice/shipwarden/internal/envelope/envelopetest"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	recorderv1 "github.com/blackdice/shipwarden/proto/shipwarden/recorder/v1"
	"github.com/blackdice/shipwarden/services/recorder/ledger"
	"github.com/blackdice/shipwarden/services/recorder/recordertest"
)

// TestSealedEventsCanBeVerifiedByWhoeverAsks: with their bytes and signatures, and only
// where these are asked for.
func TestSealedEventsCanBeVerifiedByWhoeverAsks(t *testing.T) {
	s := serve(t)
	h := s.stream.New(proceduretest.Request())
	h.To(t, procedure.PhaseApprove)
	all := recordertest.Messages(h)
	for i := range all {
		m, err := envelope.Seal(envelopetest.Signer(all[i].Entry.Event.GetWriter()), all[i].Entry.Event)
		if err != nil {
			t.Fatal(err)
		}
		all[i].Header = ledger.EncodeHeader(m.Header)
	}
	recordertest.Write(t, s.ledger, ledger.MaxBatch, all)
	for _, sealed := range []bool{true, false} {
		answer, err := s.GetRelease(asReader(t), &recorderv1.GetReleaseRequest{Release: h.Release, Events: true, Sealed: sealed})
		if err != nil || len(answer.GetEvents()) != len(all) {
			t.Fatalf("%d events, %v", len(answer.GetEvents()), err)
		}
		for _, e := range answer.GetEvents() {
			_, err := envelope.Reopen(envelopetest.Ring(), e.GetSubject(), e.GetSignedBy(), e.GetSignature(), e.GetBody(), e.GetSequence(), e.GetStored().AsTime())
			if (err == nil) != sealed {
				t.Errorf("sealed %v, event %d: %v", sealed, e.GetSequence(), err)
			}
		}
	}
}
