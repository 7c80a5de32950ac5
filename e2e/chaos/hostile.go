package chaos

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/blackdice/shipwarden/internal/eventstore"
)

// What hostile does. Each of it must have got in before a run is over.
const (
	hostileOld      = "copy of an old event"
	hostileRecent   = "copy of a recent event"
	hostileShuffled = "reordered event"
	hostileStanding = "copy of an old standing"
	hostileForged   = "forged event"
	hostileEarly    = "early timer"
	hostileTwice    = "duplicated timer"
)

var hostileKinds = []string{
	hostileOld, hostileRecent, hostileShuffled, hostileStanding, hostileForged, hostileEarly, hostileTwice,
}

const (
	// A copy is recent when the server has just forgotten its id, and while the steps
	// that follow from it are still on their way.
	youngest = 200 * time.Millisecond
	oldest   = 3 * time.Second
	// shuffled is how many events in a row are delivered again in another order.
	shuffled = 50
)

// hostile is somebody on the bus who may write anything, and has no key: copies of
// what was stored, as a faulty bus would deliver twice and in another order, forged
// events, and timers that fire twice and before their time. None of it may count.
type hostile struct {
	run    *run
	random *rand.Rand
	// counts are those of what the server stored, by kind.
	counts map[string]int
	// timers are subjects of timers that the server fired, read up to a sequence; own
	// those that were fired here.
	timers []string
	read   uint64
	own    map[string]bool
}

func newHostile(r *run) *hostile {
	return &hostile{
		run: r, random: rand.New(rand.NewPCG(r.cfg.Seed, 4)), counts: map[string]int{}, own: map[string]bool{}, //nolint:gosec // A test's dice.
	}
}

func (h *hostile) live(ctx context.Context) {
	for ctx.Err() == nil {
		pause(ctx, h.run.cfg.Interval/4+time.Duration(h.random.Int64N(int64(h.run.cfg.Interval/4))))
		newest := h.run.watcher.at()
		if newest == 0 {
			continue
		}
		switch h.random.IntN(12) {
		case 0, 1:
			h.copies(ctx, hostileOld, 1+uint64(h.random.Int64N(int64(newest)))) //nolint:gosec // Small and positive.
		case 2, 3, 4:
			if recent := h.run.watcher.recent(youngest, oldest); len(recent) > 0 {
				h.send(ctx, hostileRecent, bare(recent[h.random.IntN(len(recent))]))
			}
		case 5:
			h.shuffle(ctx)
		case 6, 7:
			h.standing(ctx, newest)
		case 8:
			h.forge(ctx, newest)
		case 9:
			h.early(ctx)
		case 10, 11:
			h.twice(ctx)
		}
	}
}

// missing are the kinds of which the server stored nothing.
func (h *hostile) missing() []string {
	var out []string
	for _, kind := range hostileKinds {
		if h.counts[kind] == 0 {
			out = append(out, "no "+kind+" was stored")
		}
	}
	return out
}

// shuffle delivers the last events again, in another order.
func (h *hostile) shuffle(ctx context.Context) {
	recent := h.run.watcher.recent(youngest, oldest)
	recent = recent[max(0, len(recent)-shuffled):]
	h.random.Shuffle(len(recent), func(i, j int) { recent[i], recent[j] = recent[j], recent[i] })
	for _, m := range recent {
		h.send(ctx, hostileShuffled, bare(m))
	}
}

func (h *hostile) copies(ctx context.Context, what string, sequences ...uint64) {
	for _, sequence := range sequences {
		if m, ok := read(ctx, h.run.js, eventstore.StreamEvents, sequence); ok {
			h.send(ctx, what, bare(m))
		}
	}
}

// standing copies an old event of a target or a service, of which the newest event
// tells all.
func (h *hostile) standing(ctx context.Context, newest uint64) {
	for range 20 {
		m, ok := read(ctx, h.run.js, eventstore.StreamEvents, 1+uint64(h.random.Int64N(int64(newest)))) //nolint:gosec // Small and positive.
		if ok && (strings.HasPrefix(m.Subject, "tgt.") || strings.HasPrefix(m.Subject, "svc.")) {
			h.send(ctx, hostileStanding, bare(m))
			return
		}
	}
}

// forge changes a byte of a signed event, or writes what is none.
func (h *hostile) forge(ctx context.Context, newest uint64) {
	m, ok := read(ctx, h.run.js, eventstore.StreamEvents, newest)
	if !ok {
		return
	}
	f := bare(m)
	if h.random.IntN(2) == 0 || len(f.Data) == 0 {
		f.Data, f.Header = []byte(`{"stream":"REL","seq":1}`), nil
	} else {
		f.Data[h.random.IntN(len(f.Data))] ^= 1
	}
	h.send(ctx, hostileForged, f)
}

// early fires a timer of a release before any is due.
func (h *hostile) early(ctx context.Context) {
	open := h.run.watcher.open()
	if len(open) == 0 {
		return
	}
	subject := fmt.Sprintf("timer.fired.%s.%d", open[h.random.IntN(len(open))].Release, time.Now().UnixNano())
	h.own[subject] = true
	h.send(ctx, hostileEarly, nats.NewMsg(subject))
}

// twice fires a timer again that the server has fired.
func (h *hostile) twice(ctx context.Context) {
	for ctx.Err() == nil {
		m, err := nextOf(ctx, h.run.js, eventstore.StreamTimers, h.read+1, "timer.fired.>")
		if err != nil {
			break // There is none behind it, or the bus is away.
		}
		h.read = m.Sequence
		if !h.own[m.Subject] {
			h.timers = append(h.timers, m.Subject)
		}
	}
	h.timers = h.timers[max(0, len(h.timers)-shuffled):]
	if len(h.timers) > 0 {
		subject := h.timers[h.random.IntN(len(h.timers))]
		h.own[subject] = true // The copy is none that the server fired.
		h.send(ctx, hostileTwice, nats.NewMsg(subject))
	}
}

func (h *hostile) send(ctx context.Context, what string, m *nats.Msg) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	ack, err := h.run.js.PublishMsg(ctx, m)
	switch {
	case err != nil:
	case ack.Duplicate:
		h.counts[what+" (known to the server)"]++
	default:
		h.counts[what]++
	}
}

// bare is the message without what the server would refuse it by. Its id stays, for
// it is signed: the server stores it again once it has forgotten it, which takes a
// tenth of a second here.
func bare(m message) *nats.Msg {
	header := maps.Clone(m.Header)
	for name := range header {
		if strings.HasPrefix(name, "Nats-") && name != nats.MsgIdHdr {
			delete(header, name)
		}
	}
	return &nats.Msg{Subject: m.Subject, Header: header, Data: append([]byte(nil), m.Data...)}
}
