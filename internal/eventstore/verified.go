package eventstore

import (
	"crypto/sha256"
	"slices"
	"sync"

	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/proto"

	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// maxVerified bounds how many messages are remembered as verified.
const maxVerified = 2048

// verified remembers messages whose signature was verified, and those that this
// process signed itself: each step that is woken by an event meets it once more, as
// what woke it and in the history, and verifying costs more than all else that is
// done with it. What is remembered only counts for a message that is the same in all
// of its parts, under the same sequence; anything else is verified.
type verified struct {
	mu    sync.Mutex // guards what follows
	items map[uint64]known
	order []uint64 // a ring of the sequences in items
	next  int
}

type known struct {
	subject string
	header  nats.Header
	digest  [sha256.Size]byte
	event   *releasev1.Event // nil where it was not read yet
}

func newVerified() *verified { return &verified{items: map[uint64]known{}} }

// get returns the entry of a message that is known to be authentic.
func (v *verified) get(m stored) (procedure.Entry, bool) {
	v.mu.Lock()
	k, found := v.items[m.sequence]
	v.mu.Unlock()
	if !found || k.subject != m.subject || !sameHeader(k.header, m.header) {
		return procedure.Entry{}, false
	}
	if k.digest != digestOf(m.data) {
		return procedure.Entry{}, false
	}
	if k.event == nil {
		k.event = &releasev1.Event{}
		if proto.Unmarshal(m.data, k.event) != nil {
			return procedure.Entry{}, false
		}
		v.put(m.sequence, k)
	}
	return procedure.Entry{Sequence: m.sequence, Digest: k.digest, Stored: m.time, Event: k.event}, true
}

func (v *verified) put(sequence uint64, k known) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if _, there := v.items[sequence]; !there {
		if len(v.order) < maxVerified {
			v.order = append(v.order, sequence)
		} else {
			delete(v.items, v.order[v.next])
			v.order[v.next] = sequence
			v.next = (v.next + 1) % maxVerified
		}
	}
	v.items[sequence] = k
}

// clear forgets all of them.
func (v *verified) clear() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.items, v.order, v.next = map[uint64]known{}, nil, 0
}

// sameHeader compares all headers but those of the transport, which may be missing
// from what was signed here.
func sameHeader(a, b nats.Header) bool { return within(a, b) && within(b, a) }

func within(a, b nats.Header) bool {
	for name, values := range a {
		if !transport[name] && !slices.Equal(values, b[name]) {
			return false
		}
	}
	return true
}

// open verifies the message, unless that was done before.
func (s *Store) open(m stored) (procedure.Entry, error) {
	if entry, ok := s.verified.get(m); ok {
		return entry, nil
	}
	entry, err := s.verify(m)
	if err != nil {
		return entry, err
	}
	s.verified.put(m.sequence, known{subject: m.subject, header: m.header, digest: entry.Digest, event: entry.Event})
	return entry, nil
}

func digestOf(body []byte) [sha256.Size]byte { return sha256.Sum256(body) }
