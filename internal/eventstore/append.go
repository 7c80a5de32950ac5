package eventstore

import (
	"context"
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/internal/envelope"
	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// AppendTimeout bounds an append with all its repetitions, where the context has
// no earlier end.
const AppendTimeout = 30 * time.Second

// Draft is an event that is to be appended to an aggregate.
type Draft struct {
	// Aggregate such as "rel.shop-k7q2m3xw5d8ta4bc".
	Aggregate string
	// Expect is History.Last, or the sequence of the entry that Last returned; 0
	// for an aggregate that has no message yet.
	Expect uint64
	// Previous names the newest event that counts; nil where there is none.
	Previous *releasev1.Previous
	// Event holds data, actor, causation_id and procedure_digest. Append fills in
	// the rest in a copy and leaves this one as it is.
	Event *releasev1.Event
}

// Stored is an event that was appended.
type Stored struct {
	// Sequence is its place in the stream. With the epoch it is a fence: every
	// later event of any aggregate has a larger one.
	Sequence uint64
	// Digest is the SHA-256 of the stored bytes.
	Digest [sha256.Size]byte
	// Event is what was signed and stored.
	Event *releasev1.Event
}

// Append signs the drafts and stores them, all or none, each only if its
// aggregate has not changed. There may be at most one draft by aggregate; drafts
// of several are one atomic batch, which is how a release is claimed together
// with the locks of its targets (PD-5.2). The result is in the order of the
// drafts.
//
// When Append returns nil the events are stored and synced. ErrSequenceConflict,
// ErrRefused and ErrDraft mean that nothing was. Any other error, also that of an
// ended context, leaves it open, and the caller finds out by Load.
func (s *Store) Append(ctx context.Context, drafts ...Draft) ([]Stored, error) {
	g, err := s.prepare(drafts)
	if err != nil {
		return nil, fmt.Errorf("append: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, AppendTimeout)
	defer cancel()
	g.ctx = ctx
	sequences, err := s.gather.submit(ctx, g)
	if err != nil {
		return nil, fmt.Errorf("append to %s: %w", g.names(), err)
	}
	out := make([]Stored, len(g.items))
	for i, item := range g.items {
		out[i] = Stored{Sequence: sequences[i], Digest: item.digest, Event: item.event}
		s.verified.put(sequences[i], known{subject: item.message.Subject, header: item.message.Header, digest: item.digest})
		s.metrics.appended.WithLabelValues(procedure.TypeOf(item.event)).Inc()
	}
	return out, nil
}

// sealed is a signed draft.
type sealed struct {
	aggregate string
	expect    uint64
	event     *releasev1.Event
	message   *nats.Msg
	digest    [sha256.Size]byte
}

// prepare completes and signs the drafts.
func (s *Store) prepare(drafts []Draft) (*group, error) {
	switch {
	case s.signer == nil:
		return nil, ErrReadOnly
	case !s.ring.Trusts(s.signer):
		// An event that its own writer can not verify would never be found again.
		return nil, fmt.Errorf("%w: key %q is not in the keyring", ErrReadOnly, s.signer.KeyID())
	case len(drafts) == 0:
		return nil, fmt.Errorf("no draft: %w", ErrDraft)
	case len(drafts) > maxGathered:
		return nil, fmt.Errorf("%d drafts, more than %d: %w", len(drafts), maxGathered, ErrDraft)
	}
	g := newGroup(len(drafts))
	for i, d := range drafts {
		for _, earlier := range g.items {
			if earlier.aggregate == d.Aggregate {
				return nil, fmt.Errorf("drafts[%d]: second one for %s: %w", i, d.Aggregate, ErrDraft)
			}
		}
		item, err := s.seal(d)
		if err != nil {
			return nil, fmt.Errorf("drafts[%d]: %w", i, err)
		}
		g.items = append(g.items, item)
	}
	return g, nil
}

func (s *Store) seal(d Draft) (sealed, error) {
	if d.Event == nil {
		return sealed{}, fmt.Errorf("event is missing: %w", ErrDraft)
	}
	if d.Previous.GetSequence() > d.Expect {
		return sealed{}, fmt.Errorf("previous %d, expect %d: %w", d.Previous.GetSequence(), d.Expect, ErrDraft)
	}
	id, err := uuid.NewV7()
	if err != nil {
		return sealed{}, fmt.Errorf("make event id: %w", err)
	}
	event := proto.CloneOf(d.Event)
	event.Id = id.String()
	event.Aggregate = d.Aggregate
	event.Writer = s.signer.Writer()
	event.Time = timestamppb.New(s.now())
	event.Previous = d.Previous
	message, err := envelope.Seal(s.signer, event)
	if err != nil {
		return sealed{}, fmt.Errorf("%w: %w", ErrDraft, err)
	}
	return sealed{
		aggregate: d.Aggregate, expect: d.Expect, event: event, message: message,
		digest: sha256.Sum256(message.Data),
	}, nil
}
