package view

import (
	"encoding/hex"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/procedure"
	recorderv1 "github.com/blackdice/shipwarden/proto/shipwarden/recorder/v1"
)

// Recorded is one message on record.
type Recorded struct {
	// Entry is what it is; its Event is nil where it is no authentic event.
	Entry    procedure.Entry
	Subject  string
	SignedBy string
	// Rejected says why it does not count; empty where it does.
	Rejected string
	// Body and Signature are, of an approval, its stored bytes and the signature over
	// them. Those of other events are read where they are asked for.
	Body, Signature []byte
}

// Counts reports whether the event counts.
func (r Recorded) Counts() bool { return r.Rejected == "" }

// Digest is the SHA-256 of the stored bytes, "sha256:…".
func (r Recorded) Digest() string { return "sha256:" + hex.EncodeToString(r.Entry.Digest[:]) }

// Proto is the message as clients see it.
func (r Recorded) Proto() *recorderv1.RecordedEvent {
	return &recorderv1.RecordedEvent{
		Sequence: r.Entry.Sequence, Subject: r.Subject, Stored: timestamppb.New(r.Entry.Stored),
		Digest: r.Digest(), SignedBy: r.SignedBy, Event: r.Entry.Event, Rejected: r.Rejected,
		Body: r.Body, Signature: r.Signature,
	}
}

// OfRecorded returns the timeline of a release through messages on record, and how
// many of them do not count.
func OfRecorded(release string, all []Recorded) (t *Timeline, rejected uint32) {
	t = New(release)
	for _, r := range all {
		if !r.Counts() || t.Add(r.Entry) != nil {
			rejected++
		}
	}
	return t, rejected
}
