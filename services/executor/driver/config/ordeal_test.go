package config_test

import (
	"net"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/blackdice/shipwarden/internal/natstest"
	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/driver/config"
	"github.com/blackdice/shipwarden/services/executor/driver/drivertest"
)

// TestOrdeal has a server, too, whose answers are lost, that is asked late, from which the
// line breaks, and that is slow; and an entry that is another target's.
func TestOrdeal(t *testing.T) {
	t.Parallel()
	n := natstest.Single(t)
	drivertest.Ordeal(t, 3, func(t *testing.T) drivertest.Harness {
		h, w := harness(t, n)
		t.Cleanup(func() { _ = n.JetStream().DeleteKeyValue(t.Context(), w.Bucket) })
		h.Remote = true
		// Nobody who sleeps keeps others waiting.
		h.Shut = 10 * time.Second
		h.Troubles = map[string]func(t *testing.T) (driver.Driver, func()){}
		for name, strike := range map[string]func(l *line){
			"the answer is lost":     func(l *line) { l.set(true, false); time.AfterFunc(30*time.Millisecond, l.hang) },
			"the write arrives late": func(l *line) { l.set(false, true) },
			"the line breaks":        func(l *line) { l.hang() },
			"the server is slow":     func(l *line) { l.slow(20 * time.Millisecond) },
		} {
			h.Troubles[name] = func(t *testing.T) (driver.Driver, func()) { return w.troubled(t, strike) }
		}
		h.Astray = func(t *testing.T) (driver.Driver, func() bool) { return w.astray(t) }
		return h
	})
}

// TestOrdealInARepository has a server of Git that loses pushes and answers, is slow, and takes a
// push long after whoever sent it has gone.
func TestOrdealInARepository(t *testing.T) {
	t.Parallel()
	drivertest.Ordeal(t, 3, func(t *testing.T) drivertest.Harness {
		r := newRepository(t)
		h := r.harness(t)
		h.Remote = true
		h.Shut = 10 * time.Second
		h.Troubles = map[string]func(t *testing.T) (driver.Driver, func()){}
		for name, strike := range r.Troubles() {
			h.Troubles[name] = func(t *testing.T) (driver.Driver, func()) {
				t.Helper()
				over := strike(t)
				return r.open(t, nil), over
			}
		}
		return h
	})
}

// troubled is a driver behind a line that is struck when a call has been judged and is about to
// be written. over has everything arrive that was sent.
func (w *world) troubled(t *testing.T, strike func(l *line)) (d driver.Driver, over func()) {
	t.Helper()
	l := newLine(t, w.URLs()[0])
	c := place{URL: l.url, Bucket: w.Bucket}.config()
	c.Patience = durationpb.New(3 * time.Second)
	opened := opened(t, c, func(point string) {
		if point == config.PointChecked {
			strike(l)
		}
	})
	return opened, sync.OnceFunc(func() {
		l.set(false, false)
		l.deliver()
		l.hang()
		_ = opened.Close()
		l.gone.Wait()
		// What the server has read is stored before what comes after it.
		if _, err := w.kv.PutString(t.Context(), "behind", ""); err != nil {
			t.Error(err)
		}
	})
}

// astray is a driver of the target that is led to the entry of another one.
func (w *world) astray(t *testing.T) (d driver.Driver, untouched func() bool) {
	t.Helper()
	const other = "shop.other"
	c := w.config()
	c.Entry.Key = other
	theirs, err := config.New(c, config.Options{Target: "other-config"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = theirs.Close() })
	if _, err := theirs.Apply(t.Context(), driver.ApplyKey("other-1", 0, 1), at(1), plan(3)); err != nil {
		t.Fatal(err)
	}
	revision := func() uint64 {
		entry, err := w.kv.Get(t.Context(), other)
		if err != nil {
			t.Fatal(err)
		}
		return entry.Revision()
	}
	before := revision()
	return opened(t, c, nil), func() bool { return revision() == before }
}

// hang ends all connections from the side of the executor: what was sent on them arrives, and
// nobody hears of it. New ones are good.
func (l *line) hang() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.swallow, l.hold = false, false
	for _, p := range l.pairs {
		_ = p[0].Close()
		if c, ok := p[1].(*net.TCPConn); ok {
			_ = c.CloseWrite()
		}
	}
	l.pairs = nil
}

// slow has everything that goes over the line take its time.
func (l *line) slow(long time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.delay = long
}
