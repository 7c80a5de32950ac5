package eventstore

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/internal/envelope"
	"github.com/blackdice/shipwarden/internal/envelope/envelopetest"
	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// sealedMessage is an authentic message as the stream would hold it.
func sealedMessage(t *testing.T, sequence uint64) stored {
	t.Helper()
	m, err := envelope.Seal(envelopetest.Signer(procedure.ServiceApproval), &releasev1.Event{
		Id: uuid.Must(uuid.NewV7()).String(), Aggregate: "rel.r", Writer: procedure.ServiceApproval, Time: timestamppb.Now(),
		Data: &releasev1.Event_Withdrawn{Withdrawn: &releasev1.Withdrawn{Reason: "no"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return message(m.Subject, m.Header, m.Data, sequence, time.Now())
}

func clone(h nats.Header) nats.Header {
	out := nats.Header{}
	for k, v := range h {
		out[k] = v
	}
	return out
}

func TestOnlyTheVerySameMessageIsKnownToBeAuthentic(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change func(m *stored)
		known  bool
	}{
		"the same":                        {func(*stored) {}, true},
		"with the server's own headers":   {func(m *stored) { m.header[jetstream.ExpectedStreamHeader] = []string{StreamEvents} }, true},
		"under another sequence":          {func(m *stored) { m.sequence++ }, false},
		"on another subject":              {func(m *stored) { m.subject += "x" }, false},
		"with another body":               {func(m *stored) { m.data = append([]byte{}, append(m.data, 0)...) }, false},
		"with another signature":          {func(m *stored) { m.header[envelope.SignatureHeader] = []string{"k s"} }, false},
		"without a signature":             {func(m *stored) { delete(m.header, envelope.SignatureHeader) }, false},
		"with a header that is not known": {func(m *stored) { m.header["CE-id"] = []string{"x"} }, false},
		"with a header said twice":        {func(m *stored) { m.header["ce-id"] = append(m.header["ce-id"], "x") }, false},
	}
	for name, test := range tests {
		for _, own := range []bool{false, true} {
			s := &Store{ring: envelopetest.Ring(), verified: newVerified()}
			m := sealedMessage(t, 7)
			if own {
				s.verified.put(7, known{subject: m.subject, header: m.header, digest: digestOf(m.data)})
			} else if _, err := s.open(m); err != nil {
				t.Fatal(err)
			}
			m.header = clone(m.header)
			test.change(&m)
			entry, found := s.verified.get(m)
			if found != test.known {
				t.Errorf("%s, own %t: known %t, want %t", name, own, found, test.known)
			}
			if found && (entry.Event.GetWithdrawn().GetReason() != "no" || entry.Sequence != 7 || entry.Digest != digestOf(m.data) || !entry.Stored.Equal(m.time)) {
				t.Errorf("%s, own %t: got entry %v", name, own, entry)
			}
		}
	}
}

func TestWhatWasVerifiedLongAgoIsForgotten(t *testing.T) {
	t.Parallel()
	v := newVerified()
	for i := range uint64(3 * maxVerified) {
		v.put(i, known{})
		v.put(i, known{}) // again, as after it was read
	}
	if len(v.items) != maxVerified || len(v.order) != maxVerified {
		t.Errorf("%d messages are remembered, in an order of %d, want %d", len(v.items), len(v.order), maxVerified)
	}
	for i := range uint64(maxVerified) {
		if _, there := v.items[2*maxVerified+i]; !there {
			t.Fatalf("message %d is forgotten, and it is one of the last", 2*maxVerified+i)
		}
	}
}
