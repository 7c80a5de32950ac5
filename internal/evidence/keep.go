package evidence

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// Putter keeps a document; *Store does.
type Putter interface {
	Put(ctx context.Context, mediaType, name string, content []byte) (*releasev1.EvidenceRef, error)
}

// Keep puts a document for somebody who does not wait for it: an emergency, or people who
// have to hear of something, must not depend on room in a store. Where it cannot be put the
// reference is the same, and what is returned beside it says so in the event that names the
// document (Event.unkept); nothing else may be made of a document that nobody can look at
// afterwards. The error is that of the store, for whoever would rather wait; where the
// context is over, that is the one thing that is known, and nothing is said for the event.
func Keep(ctx context.Context, to Putter, mediaType, name string, content []byte) (*releasev1.EvidenceRef, *releasev1.UnkeptEvidence, error) {
	ref, err := to.Put(ctx, mediaType, name, content)
	if err == nil {
		return ref, nil, nil
	}
	ref = refTo(mediaType, name, content)
	if ctx.Err() != nil {
		return ref, nil, ctx.Err()
	}
	return ref, &releasev1.UnkeptEvidence{Digest: ref.GetDigest(), Name: name, Reason: Why(err)}, err
}

// Why says in words for the record why a document could not be kept, without what a client
// of the bus says of addresses and subjects.
func Why(err error) string {
	switch {
	case errors.Is(err, ErrFull), errors.Is(err, ErrTooLarge):
		return reasonOf(err)
	case errors.Is(err, context.DeadlineExceeded):
		return "no answer in time"
	}
	return "it was not taken"
}

// Unread says in words for the record why a document could not be read, without what a client
// of the bus says of addresses and subjects.
func Unread(err error) string {
	for _, known := range []error{ErrNotFound, ErrTampered, ErrDigest} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	return "the store gave no answer"
}

func reasonOf(err error) string {
	if errors.Is(err, ErrFull) {
		return ErrFull.Error()
	}
	return ErrTooLarge.Error()
}

// Tolerant keeps documents for an event that is written whether or not they can be kept,
// and notes what could not be: the event says it. It is safe for concurrent use.
type Tolerant struct {
	to    Putter
	final []error

	mu     sync.Mutex // guards unkept
	unkept []*releasev1.UnkeptEvidence
}

// Patience is how many times an event that must be written is tried before it is written
// without what the bus did not take: a bus that has no leader for some seconds has one again
// within the ten to fifteen seconds that so many attempts take.
const Patience = 5

// Tolerate returns a putter that fails only where the context is over.
func Tolerate(to Putter) *Tolerant { return &Tolerant{to: to} }

// TolerateAt returns a putter for that delivery of a message, counted from 1; 0 is a message
// of which nobody counts them. As long as the message may come again soon, the putter bears
// only what waiting does not mend, and any other error is returned: one hiccup of the bus is
// no reason to write for good that a document was not kept. From Patience on it is as
// Tolerate: a store that does not come back stops nothing.
func TolerateAt(to Putter, delivery int) *Tolerant {
	if delivery >= Patience {
		return Tolerate(to)
	}
	return &Tolerant{to: to, final: []error{ErrFull, ErrTooLarge}}
}

// Put implements Putter.
func (t *Tolerant) Put(ctx context.Context, mediaType, name string, content []byte) (*releasev1.EvidenceRef, error) {
	ref, unkept, err := Keep(ctx, t.to, mediaType, name, content)
	if unkept == nil || !t.bears(err) {
		return ref, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.unkept = append(t.unkept, unkept)
	return ref, nil
}

func (t *Tolerant) bears(err error) bool {
	return len(t.final) == 0 || slices.ContainsFunc(t.final, func(f error) bool { return errors.Is(err, f) })
}

// Unkept is what could not be kept so far, by name; the caller may change it.
func (t *Tolerant) Unkept() []*releasev1.UnkeptEvidence {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := slices.Clone(t.unkept)
	slices.SortStableFunc(out, func(a, b *releasev1.UnkeptEvidence) int { return cmp.Compare(a.GetName(), b.GetName()) })
	return out
}
