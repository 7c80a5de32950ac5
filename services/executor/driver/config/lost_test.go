package config_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/blackdice/shipwarden/internal/natstest"
	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/driver/config"
)

// header is a message with what the driver keeps beside a document.
func header(subject, text, value string) *nats.Msg {
	m := nats.NewMsg(subject)
	m.Header.Set(config.Header, text)
	m.Data = []byte(value)
	return m
}

// line is a connection between an executor and a server, which can be cut.
type line struct {
	url string
	to  string

	mu    sync.Mutex
	pairs [][2]net.Conn
	// swallow drops what the server says; hold keeps what the executor says.
	swallow, hold bool
	held          []func()
	delay         time.Duration
	// gone waits for the ends of all connections to the server.
	gone sync.WaitGroup
}

func newLine(t *testing.T, to string) *line {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &line{url: "nats://" + listener.Addr().String(), to: strings.TrimPrefix(to, "nats://")}
	t.Cleanup(func() { _ = listener.Close(); l.cut() })
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", l.to)
			if err != nil {
				_ = client.Close()
				continue
			}
			l.mu.Lock()
			l.pairs = append(l.pairs, [2]net.Conn{client, server})
			l.mu.Unlock()
			go l.carry(client, server, func() bool { return l.hold })
			l.gone.Go(func() {
				l.carry(server, client, nil)
				_ = server.Close()
			})
		}
	}()
	return l
}

// carry copies until an end is closed.
func (l *line) carry(from, to net.Conn, holds func() bool) {
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		data := append([]byte(nil), buffer[:n]...)
		l.mu.Lock()
		long := l.delay
		l.mu.Unlock()
		if long > 0 {
			<-time.After(long)
		}
		l.mu.Lock()
		switch {
		case holds != nil && holds():
			l.held = append(l.held, func() { _, _ = to.Write(data) })
		case holds == nil && l.swallow:
		default:
			_, _ = to.Write(data)
		}
		l.mu.Unlock()
	}
}

func (l *line) set(swallow, hold bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.swallow, l.hold = swallow, hold
}

// deliver sends what was held; how much that was.
func (l *line) deliver() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(l.held)
	for _, send := range l.held {
		send()
	}
	l.held = nil
	return n
}

// cut closes all connections; new ones are good.
func (l *line) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.swallow, l.hold = false, false
	for _, p := range l.pairs {
		_, _ = p[0].Close(), p[1].Close()
	}
	l.pairs = nil
}

func (w *world) through(t *testing.T, l *line, at func(string)) *config.Driver {
	t.Helper()
	return opened(t, place{URL: l.url, Bucket: w.Bucket}.config(), at)
}

func TestAnAnswerThatWasLostIsFoundOutByReading(t *testing.T) {
	t.Parallel()
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		w := newWorld(t, n, 8)
		release(t, w, 1, "")
		l := newLine(t, n.URLs()[0])
		d := w.through(t, l, func(point string) {
			if point == config.PointChecked {
				l.set(true, false)
				go func() {
					// As soon as it is stored, and before anybody knows.
					natstest.Eventually(t, "the document", func() bool {
						entry, err := w.kv.Get(t.Context(), key)
						return err == nil && string(entry.Value()) == document(2)
					})
					l.cut()
				}()
			}
		})
		result, err := d.Apply(t.Context(), driver.ApplyKey("shop-2", 0, 1), at(20), from(document(1), 2))
		if err != nil || result.Digest != digest(document(2)) {
			t.Errorf("%+v, %v", result, err)
		}
		if got := w.effects(t); got != 2 || len(w.history(t)) != 2 {
			t.Errorf("%d effects, %d revisions", got, len(w.history(t)))
		}
	})
}

func TestAWriteThatWasLostIsSentAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, natstest.Single(t), 8)
	l := newLine(t, w.URLs()[0])
	d := w.through(t, l, func(point string) {
		if point == config.PointChecked {
			l.set(false, true)
			go func() {
				natstest.Eventually(t, "the write on its way", func() bool {
					l.mu.Lock()
					defer l.mu.Unlock()
					return len(l.held) > 0
				})
				l.cut()
			}()
		}
	})
	if _, err := d.Apply(t.Context(), driver.ApplyKey("shop-1", 0, 1), at(10), plan(1)); err != nil {
		t.Error(err)
	}
	if got := len(w.history(t)); got != 1 || w.value(t) != document(1) {
		t.Errorf("%d revisions, %q", got, w.value(t))
	}
}

// TestAWriteThatWasLostIsNotForgottenWhereTheNextIsRefused: the bucket is full by then, and
// the first may still arrive.
func TestAWriteThatWasLostIsNotForgottenWhereTheNextIsRefused(t *testing.T) {
	t.Parallel()
	n := natstest.Single(t)
	kv, err := n.JetStream().CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: "filling", History: 8, MaxBytes: 64 << 10})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{Server: n, place: place{URL: n.URL(), Bucket: "filling"}, kv: kv}
	l := newLine(t, w.URLs()[0])
	filled := make(chan error, 1)
	d := w.through(t, l, func(point string) {
		if point == config.PointChecked {
			l.set(false, true)
			go func() {
				natstest.Eventually(t, "the write on its way", func() bool {
					l.mu.Lock()
					defer l.mu.Unlock()
					return len(l.held) > 0
				})
				_, err := kv.Put(t.Context(), "other", make([]byte, 64<<10-1000))
				filled <- err
				l.cut()
			}()
		}
	})
	large := planOf("1", "limits.yaml", "text: "+strings.Repeat("x", 2000))
	if _, err := d.Apply(t.Context(), driver.ApplyKey("shop-1", 0, 1), at(10), large); !errors.Is(err, driver.ErrUnknown) || !strings.Contains(err.Error(), "maximum bytes exceeded") {
		t.Errorf("got %v, want %v", err, driver.ErrUnknown)
	}
	if err := <-filled; err != nil {
		t.Error(err)
	}
}

func TestAWriteThatArrivesAfterASealIsRefused(t *testing.T) {
	t.Parallel()
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		w := newWorld(t, n, 8)
		release(t, w, 1, "")
		l := newLine(t, n.URLs()[0])
		d := w.through(t, l, func(point string) {
			if point == config.PointChecked {
				l.set(false, true)
			}
		})
		done := make(chan error, 1)
		go func() {
			_, err := d.Apply(t.Context(), driver.ApplyKey("shop-2", 0, 1), at(20), from(document(1), 2))
			done <- err
		}()
		natstest.Eventually(t, "the write on its way", func() bool {
			l.mu.Lock()
			defer l.mu.Unlock()
			return len(l.held) > 0
		})
		status, err := w.open(t, nil).Seal(t.Context(), driver.ApplyKey("shop-2", 0, 1), at(21))
		if err != nil || status != driver.StatusNotStarted {
			t.Errorf("seal: %s, %v", status, err)
		}
		l.set(false, false)
		if l.deliver() == 0 {
			t.Error("nothing was on its way")
		}
		if err := <-done; !errors.Is(err, driver.ErrStaleFence) {
			t.Errorf("got %v, want %v", err, driver.ErrStaleFence)
		}
		if got := w.value(t); got != document(1) {
			t.Errorf("the bucket has %q", got)
		}
	})
}

func TestAnAnswerThatNeverComesIsAnUnknownOutcome(t *testing.T) {
	t.Parallel()
	w := newWorld(t, natstest.Single(t), 8)
	l := newLine(t, w.URLs()[0])
	c := place{URL: l.url, Bucket: w.Bucket}.config()
	c.Patience = durationpb.New(12 * time.Second)
	d := opened(t, c, func(point string) {
		if point == config.PointChecked {
			l.set(true, false)
		}
	})
	if _, err := d.Apply(t.Context(), driver.ApplyKey("shop-1", 0, 1), at(10), plan(1)); !errors.Is(err, driver.ErrUnknown) {
		t.Errorf("got %v, want %v", err, driver.ErrUnknown)
	}
	l.cut()
	// Whoever asks afterwards is told.
	if status, err := w.open(t, nil).Probe(t.Context(), driver.ApplyKey("shop-1", 0, 1)); status != driver.StatusDone || err != nil {
		t.Errorf("probe: %s, %v", status, err)
	}
}

func TestAServerThatIsNotThereIsTriedAgain(t *testing.T) {
	t.Parallel()
	c := place{URL: "nats://127.0.0.1:1", Bucket: "settings"}.config()
	c.Patience = durationpb.New(50 * time.Millisecond)
	d := opened(t, c, nil)
	if _, err := d.Apply(t.Context(), driver.ApplyKey("shop-1", 0, 1), at(10), plan(1)); !errors.Is(err, driver.ErrBusy) {
		t.Errorf("apply: %v, want %v", err, driver.ErrBusy)
	}
	if _, err := d.Seal(t.Context(), driver.ApplyKey("shop-1", 0, 1), at(10)); !errors.Is(err, driver.ErrBusy) {
		t.Errorf("seal: %v, want %v", err, driver.ErrBusy)
	}
	if _, err := d.Running(t.Context()); err == nil || errors.Is(err, driver.ErrUnknown) {
		t.Errorf("running: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := d.Preview(ctx, plan(1)); err == nil {
		t.Error("preview: no error")
	}
}

func TestAChangeOfLeaderIsWaitedFor(t *testing.T) {
	t.Parallel()
	n := natstest.Cluster(t)
	w := newWorld(t, n, 8)
	release(t, w, 1, "")
	leader := -1
	c := w.config()
	c.Patience = durationpb.New(2 * time.Minute)
	d := opened(t, c, func(point string) {
		if point == config.PointChecked {
			leader = n.Leader(t, "KV_"+w.Bucket)
			n.Stop(t, leader)
		}
	})
	if _, err := d.Apply(t.Context(), driver.ApplyKey("shop-2", 0, 1), at(20), from(document(1), 2)); err != nil {
		t.Error(err)
	}
	n.Start(t, leader)
	if got := w.effects(t); got != 2 || w.value(t) != document(2) {
		t.Errorf("%d effects, %q", got, w.value(t))
	}
}
