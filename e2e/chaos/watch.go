package chaos

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/blackdice/shipwarden/internal/envelope"
	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/procedure"
)

// message is a message as a stream holds it.
type message struct {
	Sequence uint64
	Subject  string
	Header   nats.Header
	Data     []byte
	Stored   time.Time
}

// read returns the message with that sequence, however long the bus is away; false
// where the stream does not hold it.
func read(ctx context.Context, js jetstream.JetStream, stream string, sequence uint64) (message, bool) {
	for ctx.Err() == nil {
		m, err := readOnce(ctx, js, stream, sequence)
		if err == nil {
			return message{m.Sequence, m.Subject, m.Header, m.Data, m.Time}, true
		}
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return message{}, false
		}
		pause(ctx, 50*time.Millisecond)
	}
	return message{}, false
}

// nextOf is the first message from a sequence on whose subject matches.
func nextOf(ctx context.Context, js jetstream.JetStream, stream string, from uint64, subject string) (*jetstream.RawStreamMsg, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	s, err := js.Stream(ctx, stream)
	if err != nil {
		return nil, err
	}
	return s.GetMsg(ctx, from, jetstream.WithGetMsgSubject(subject))
}

func readOnce(ctx context.Context, js jetstream.JetStream, stream string, sequence uint64) (*jetstream.RawStreamMsg, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	s, err := js.Stream(ctx, stream)
	if err != nil {
		return nil, err
	}
	return s.GetMsg(ctx, sequence)
}

// last is the newest sequence of a stream.
func last(ctx context.Context, js jetstream.JetStream, stream string) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	s, err := js.Stream(ctx, stream)
	if err != nil {
		return 0, err
	}
	return s.CachedInfo().State.LastSeq, nil
}

// watcher follows the stream, so that people know what there is to do. The judge
// does not ask it.
type watcher struct {
	js   jetstream.JetStream
	ring *envelope.Keyring

	mu     sync.Mutex
	states map[string]procedure.State
	read   uint64
	all    []message // in the order of the stream
}

func (w *watcher) run(ctx context.Context) {
	for ctx.Err() == nil {
		m, ok := read(ctx, w.js, eventstore.StreamEvents, w.at()+1)
		if !ok {
			pause(ctx, 20*time.Millisecond)
			continue
		}
		w.take(m)
	}
}

func (w *watcher) at() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.read
}

func (w *watcher) take(m message) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.read, w.all = m.Sequence, append(w.all, m)
	entry, _, err := envelope.Open(w.ring, m.Subject, m.Header, m.Data, m.Sequence, m.Stored)
	release, ok := strings.CutPrefix(entry.Event.GetAggregate(), "rel.")
	if err != nil || !ok {
		return
	}
	state, known := w.states[release]
	if !known {
		state.Release = release
	}
	if next, err := procedure.Evolve(state, entry); err == nil {
		w.states[release] = next
	}
}

func (w *watcher) state(release string) procedure.State {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.states[release]
}

// open are the releases that are not closed.
func (w *watcher) open() []procedure.State {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []procedure.State
	for _, s := range w.states {
		if s.Phase != procedure.PhaseClosed {
			all = append(all, s)
		}
	}
	return all
}

func (w *watcher) closed() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for _, s := range w.states {
		if s.Phase == procedure.PhaseClosed {
			n++
		}
	}
	return n
}

// recent are the messages of an age, oldest first.
func (w *watcher) recent(youngest, oldest time.Duration) []message {
	w.mu.Lock()
	defer w.mu.Unlock()
	now, end := time.Now(), len(w.all)
	for end > 0 && now.Sub(w.all[end-1].Stored) < youngest {
		end--
	}
	begin := end
	for begin > 0 && now.Sub(w.all[begin-1].Stored) <= oldest {
		begin--
	}
	return slices.Clone(w.all[begin:end])
}

// messages are all that were read.
func (w *watcher) messages() []message {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.all)
}
