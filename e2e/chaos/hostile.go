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

// hostile is somebody on the bus who may write anything, and has no key: copies of
// what was stored, as a faulty bus would deliver twice and in another order, forged
// events, and timers that fire before their time. None of it may count.
type hostile struct {
	run    *run
	random *rand.Rand
	counts map[string]int
}

func newHostile(r *run) *hostile {
	return &hostile{run: r, random: rand.New(rand.NewPCG(r.cfg.Seed, 4)), counts: map[string]int{}} //nolint:gosec // A test's dice.
}

func (h *hostile) live(ctx context.Context) {
	for ctx.Err() == nil {
		pause(ctx, h.run.cfg.Interval/4+time.Duration(h.random.Int64N(int64(h.run.cfg.Interval/4))))
		newest := h.run.watcher.at()
		if newest == 0 {
			continue
		}
		switch h.random.IntN(6) {
		case 0:
			h.copies(ctx, "copy of an old event", 1+uint64(h.random.Int64N(int64(newest)))) //nolint:gosec // Small and positive.
		case 1:
			h.copies(ctx, "copy of a new event", newest)
		case 2:
			// The two newest, the other way round.
			h.copies(ctx, "reordered events", newest, max(newest, 2)-1)
		case 3:
			h.standing(ctx, newest)
		case 4:
			h.forge(ctx, newest)
		case 5:
			h.timer(ctx)
		}
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
			h.send(ctx, "copy of an old standing", bare(m))
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
	h.send(ctx, "forged event", f)
}

func (h *hostile) timer(ctx context.Context) {
	open := h.run.watcher.open()
	if len(open) == 0 {
		return
	}
	release := open[h.random.IntN(len(open))].Release
	h.send(ctx, "early timer", nats.NewMsg(fmt.Sprintf("timer.fired.%s.%d", release, time.Now().UnixNano())))
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
// second here.
func bare(m message) *nats.Msg {
	header := maps.Clone(m.Header)
	for name := range header {
		if strings.HasPrefix(name, "Nats-") && name != nats.MsgIdHdr {
			delete(header, name)
		}
	}
	return &nats.Msg{Subject: m.Subject, Header: header, Data: append([]byte(nil), m.Data...)}
}
