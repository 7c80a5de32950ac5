package witness_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/eventstore/eventstoretest"
	"github.com/blackdice/shipwarden/internal/natstest"
	"github.com/blackdice/shipwarden/internal/standing"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/services/executor/witness"
)

// world is a bus with a record, and folders of executors.
type world struct {
	natstest.Server
	store *eventstore.Store
}

func newWorld(t *testing.T, n natstest.Server) *world {
	t.Helper()
	eventstoretest.Provision(t, n)
	w := &world{n, eventstoretest.Store(n, procedure.ServiceApproval)}
	w.record(t, 3)
	return w
}

// record stores some events.
func (w *world) record(t *testing.T, events int) {
	t.Helper()
	for range events {
		natstest.Eventually(t, "an event that is stored", func() bool {
			s, err := standing.ReadService(t.Context(), w.store, "production", "shop")
			if err != nil {
				return false
			}
			_, err = w.store.Append(t.Context(), s.Draft(s.Changed("shop-a", nil, nil)))
			return err == nil
		})
	}
}

// seer is one executor's witness, as its process has it.
type seer struct {
	*witness.Witness
	registry *prometheus.Registry
}

func (w *world) witness(t *testing.T, folder string) seer {
	t.Helper()
	s := seer{registry: prometheus.NewRegistry()}
	var err error
	if s.Witness, err = witness.New(t.Context(), w.store, folder, w.Conn(), s.registry, time.Now); err != nil {
		t.Fatal(err)
	}
	return s
}

// sees has an executor look and end.
func (w *world) sees(t *testing.T, folder string) {
	t.Helper()
	if err := w.witness(t, folder).Look(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// stops looks until the executor does nothing, for the reason and in all of its words.
func (s seer) stops(t *testing.T, want error, label string) {
	t.Helper()
	var err error
	natstest.Eventually(t, "an executor that does nothing", func() bool {
		err = s.Look(t.Context())
		return errors.Is(err, witness.ErrStopped)
	})
	for what, err := range map[string]error{"it says": err, "before a claim": s.Claim(t.Context()), "ready": s.Ready(t.Context())} {
		if !errors.Is(err, witness.ErrStopped) || !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", what, err, want)
		}
	}
	s.shows(t, label)
}

// shows compares the metric: the label, or "" for none, is 1.
func (s seer) shows(t *testing.T, label string) {
	t.Helper()
	want := "# HELP shipwarden_executor_stopped 1 where this executor does nothing for that reason, because the stream is not the one that it has seen.\n# TYPE shipwarden_executor_stopped gauge\n"
	for _, l := range []string{"epoch_changed", "mark_unreadable", "stream_regressed"} {
		value := 0
		if l == label {
			value = 1
		}
		want += fmt.Sprintf("shipwarden_executor_stopped{reason=%q} %d\n", l, value)
	}
	if err := testutil.GatherAndCompare(s.registry, strings.NewReader(want), "shipwarden_executor_stopped"); err != nil {
		t.Error(err)
	}
}

// goesOn looks until all is well.
func (s seer) goesOn(t *testing.T) {
	t.Helper()
	natstest.Eventually(t, "an executor that goes on", func() bool { return s.Look(t.Context()) == nil })
	if err := errors.Join(s.Claim(t.Context()), s.Ready(t.Context())); err != nil {
		t.Error(err)
	}
	s.shows(t, "")
}

// TestAnOldCopyOfTheBusIsNoticed by an executor that runs, at its next claim; by one that was
// down meanwhile, and with a copy that has grown since. It goes on when the bus is brought back
// whole.
func TestAnOldCopyOfTheBusIsNoticed(t *testing.T) {
	t.Parallel()
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		w := newWorld(t, n)
		old := natstest.TakeBackup(t, n, eventstore.StreamEvents)
		w.record(t, 4)
		folder := t.TempDir()
		running := w.witness(t, folder)
		running.goesOn(t)
		whole := natstest.TakeBackup(t, n, eventstore.StreamEvents)

		old.PutBack(t, n)
		if err := running.Claim(t.Context()); !errors.Is(err, witness.ErrRegressed) {
			t.Errorf("the next claim: %v", err)
		}
		running.stops(t, witness.ErrRegressed, "stream_regressed")
		w.witness(t, folder).stops(t, witness.ErrRegressed, "stream_regressed")
		w.record(t, 9)
		running.stops(t, witness.ErrRegressed, "stream_regressed")
		w.witness(t, folder).stops(t, witness.ErrRegressed, "stream_regressed")

		whole.PutBack(t, n)
		running.goesOn(t)
		w.record(t, 1)
		w.witness(t, folder).goesOn(t)
	})
}

func TestAnotherStreamOfTheNameIsNoticed(t *testing.T) {
	t.Parallel()
	n := natstest.Single(t)
	w := newWorld(t, n)
	folder := t.TempDir()
	w.sees(t, folder)
	stream, err := n.JetStream().Stream(t.Context(), eventstore.StreamEvents)
	if err != nil {
		t.Fatal(err)
	}
	config := stream.CachedInfo().Config
	if err := n.JetStream().DeleteStream(t.Context(), eventstore.StreamEvents); err != nil {
		t.Fatal(err)
	}
	config.Metadata["epoch"] = "another"
	if _, err := n.JetStream().CreateStream(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	w.witness(t, folder).stops(t, witness.ErrEpoch, "epoch_changed")
}

// TestAPersonSaysThatTheOldCopyCounts, and the executors go on without a restart: all that
// share the folder.
func TestAPersonSaysThatTheOldCopyCounts(t *testing.T) {
	t.Parallel()
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		w := newWorld(t, n)
		old := natstest.TakeBackup(t, n, eventstore.StreamEvents)
		w.record(t, 4)
		folder := t.TempDir()
		one, two := w.witness(t, folder), w.witness(t, folder)
		one.goesOn(t)
		two.goesOn(t)
		old.PutBack(t, n)
		one.stops(t, witness.ErrRegressed, "stream_regressed")
		var out bytes.Buffer
		if err := witness.Compare(t.Context(), w.store, folder, time.Now(), &out); !errors.Is(err, witness.ErrRegressed) {
			t.Errorf("compared: %v\n%s", err, &out)
		}
		if err := witness.Replace(t.Context(), w.store, folder, time.Now(), &out); err != nil {
			t.Fatal(err)
		}
		for _, say := range []string{"seen: epoch", "seen before: epoch", "replaced by: epoch"} {
			if !strings.Contains(out.String(), say) {
				t.Errorf("it does not say %q: %s", say, &out)
			}
		}
		one.goesOn(t)
		two.goesOn(t) // Which had not noticed.
		if err := witness.Compare(t.Context(), w.store, folder, time.Now(), &out); err != nil {
			t.Errorf("compared again: %v", err)
		}
	})
}

// TestWhatOneExecutorHasSeenTheOtherKnows: the one that was down for longer does not begin on
// an old copy, and does not take the mark back.
func TestWhatOneExecutorHasSeenTheOtherKnows(t *testing.T) {
	t.Parallel()
	n := natstest.Single(t)
	w := newWorld(t, n)
	shared, own := t.TempDir(), t.TempDir()
	slow := w.witness(t, shared)
	slow.goesOn(t)
	w.sees(t, own)
	old := natstest.TakeBackup(t, n, eventstore.StreamEvents)
	w.record(t, 4)
	w.sees(t, shared)
	old.PutBack(t, n)
	w.witness(t, shared).stops(t, witness.ErrRegressed, "stream_regressed")
	// What it has seen itself is there: only the other one knows better, and has kept it. It
	// finds that at its next look, whether anything was recorded meanwhile or not.
	if err := slow.Look(t.Context()); !errors.Is(err, witness.ErrRegressed) {
		t.Errorf("the one that was down for longer: %v", err)
	}
	slow.stops(t, witness.ErrRegressed, "stream_regressed")
	// One with a folder of its own that has seen no more than the copy has cannot know.
	w.witness(t, own).goesOn(t)
}

// TestALostFolderBeginsAnew: nobody can tell what was seen, and it says so when it begins.
func TestALostFolderBeginsAnew(t *testing.T) {
	t.Parallel()
	n := natstest.Single(t)
	w := newWorld(t, n)
	old := natstest.TakeBackup(t, n, eventstore.StreamEvents)
	w.record(t, 4)
	folder := filepath.Join(t.TempDir(), "made", "here")
	w.sees(t, folder)
	old.PutBack(t, n)
	if err := os.RemoveAll(folder); err != nil {
		t.Fatal(err)
	}
	w.witness(t, folder).goesOn(t)
	// Without a folder it knows while it runs.
	w.record(t, 4)
	memory := w.witness(t, "")
	memory.goesOn(t)
	old.PutBack(t, n)
	memory.stops(t, witness.ErrRegressed, "stream_regressed")
	w.witness(t, "").goesOn(t)
}

// TestAMarkThatCannotBeReadStops until a person has replaced it.
func TestAMarkThatCannotBeReadStops(t *testing.T) {
	t.Parallel()
	n := natstest.Single(t)
	w := newWorld(t, n)
	for _, content := range []string{
		"", "{", `{"epoch":"a"} x`, `{"epoch":"","sequence":1,"content":"x","seen":"2026-01-01T00:00:00Z"}`, `{"epoch":"a","sequence":7}`, `{"epoch":"a","more":1}`,
		strings.Repeat(" ", 5000),
	} {
		folder := t.TempDir()
		if err := os.WriteFile(filepath.Join(folder, "witness.json"), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		s := w.witness(t, folder)
		s.stops(t, witness.ErrUnreadable, "mark_unreadable")
		if err := witness.Replace(t.Context(), w.store, folder, time.Now(), &bytes.Buffer{}); err != nil {
			t.Fatal(err)
		}
		s.goesOn(t)
	}
}

// TestAMarkedMessageThatRetentionTookAwayIsNoOldCopy: the stream goes on behind it.
func TestAMarkedMessageThatRetentionTookAwayIsNoOldCopy(t *testing.T) {
	t.Parallel()
	n := natstest.Single(t)
	w := newWorld(t, n)
	folder := t.TempDir()
	running := w.witness(t, folder)
	running.goesOn(t)
	w.record(t, 4)
	stream, err := n.JetStream().Stream(t.Context(), eventstore.StreamEvents)
	if err != nil {
		t.Fatal(err)
	}
	config := stream.CachedInfo().Config
	last := stream.CachedInfo().State.LastSeq
	config.MaxMsgs, config.Discard, config.DiscardNewPerSubject = 2, jetstream.DiscardOld, false
	if _, err := n.JetStream().UpdateStream(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	natstest.Eventually(t, "a stream that has forgotten its beginning", func() bool {
		extent, err := w.store.Extent(t.Context())
		return err == nil && extent.First == last-1
	})
	if err := running.Claim(t.Context()); err != nil {
		t.Errorf("before a claim: %v", err)
	}
	w.witness(t, folder).goesOn(t)
	// From where it begins anew it is held to the stream again.
	old := natstest.TakeBackup(t, n, eventstore.StreamEvents)
	w.record(t, 1)
	running.goesOn(t)
	old.PutBack(t, n)
	running.stops(t, witness.ErrRegressed, "stream_regressed")
}

// TestAFailoverIsNoOldCopy: whichever server leads, the marked message is there; what cannot be
// asked stops nothing for good.
func TestAFailoverIsNoOldCopy(t *testing.T) {
	t.Parallel()
	n := natstest.Cluster(t)
	w := newWorld(t, n)
	s := w.witness(t, t.TempDir())
	s.goesOn(t)
	for range 3 {
		n.Restart(t, n.Leader(t, eventstore.StreamEvents))
		w.record(t, 1)
		s.goesOn(t)
	}
}

// counting counts what is asked of the stream.
type counting struct {
	witness.Stream
	mu               sync.Mutex
	extents, content int
}

func (c *counting) Extent(ctx context.Context) (eventstore.Extent, error) {
	c.mu.Lock()
	c.extents++
	c.mu.Unlock()
	return c.Stream.Extent(ctx)
}

func (c *counting) Content(ctx context.Context, sequence uint64) (string, bool, error) {
	c.mu.Lock()
	c.content++
	c.mu.Unlock()
	return c.Stream.Content(ctx, sequence)
}

// TestAClaimCostsOneRequestAndNoWrite, and a look where nothing was recorded no write either.
func TestAClaimCostsOneRequestAndNoWrite(t *testing.T) {
	t.Parallel()
	n := natstest.Single(t)
	w := newWorld(t, n)
	folder := t.TempDir()
	c := &counting{Stream: w.store}
	s, err := witness.New(t.Context(), c, folder, n.Conn(), nil, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Look(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := kept(t, folder)
	c.extents, c.content = 0, 0
	w.record(t, 5)
	for range 10 {
		if err := s.Claim(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if c.extents != 0 || c.content != 10 || !os.SameFile(before, kept(t, folder)) {
		t.Errorf("ten claims asked %d and %d times, and may have written", c.extents, c.content)
	}
	if err := errors.Join(s.Look(t.Context()), s.Look(t.Context()), s.Look(t.Context())); err != nil {
		t.Fatal(err)
	}
	after := kept(t, folder)
	if os.SameFile(before, after) {
		t.Error("nothing was written of what was recorded")
	}
	if err := s.Look(t.Context()); err != nil || !os.SameFile(after, kept(t, folder)) {
		t.Errorf("it was written although nothing was recorded: %v", err)
	}
}

func kept(t *testing.T, folder string) os.FileInfo {
	t.Helper()
	info, err := os.Stat(filepath.Join(folder, "witness.json"))
	if err != nil {
		t.Fatal(err)
	}
	return info
}

// TestAnEmptyStreamIsSeenAsWell: before the first event there is nothing to mark but the epoch.
func TestAnEmptyStreamIsSeenAsWell(t *testing.T) {
	t.Parallel()
	n := natstest.Single(t)
	eventstoretest.Provision(t, n)
	w := &world{n, eventstoretest.Store(n, procedure.ServiceApproval)}
	folder := t.TempDir()
	s := w.witness(t, folder)
	s.goesOn(t)
	w.witness(t, folder).goesOn(t)
	w.record(t, 2)
	s.goesOn(t)
	if err := n.JetStream().DeleteStream(t.Context(), eventstore.StreamEvents); err != nil {
		t.Fatal(err)
	}
	if err := s.Look(t.Context()); err == nil || errors.Is(err, witness.ErrStopped) {
		t.Errorf("a stream that is not there says nothing: %v", err)
	}
	if _, err := n.JetStream().CreateStream(t.Context(), jetstream.StreamConfig{Name: eventstore.StreamEvents, Subjects: []string{"rel.>"}}); err != nil {
		t.Fatal(err)
	}
	s.stops(t, witness.ErrEpoch, "epoch_changed")
}

// TestAFolderThatTakesNothingIsRefusedAtTheStart: otherwise nobody would know that nothing is
// kept until it is needed.
func TestAFolderThatTakesNothingIsRefusedAtTheStart(t *testing.T) {
	t.Parallel()
	n := natstest.Single(t)
	w := newWorld(t, n)
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := witness.New(t.Context(), w.store, path, n.Conn(), nil, time.Now); err == nil || !strings.Contains(err.Error(), "state_folder") {
		t.Errorf("got %v", err)
	}
	if err := witness.Replace(t.Context(), w.store, "", time.Now(), &bytes.Buffer{}); !errors.Is(err, witness.ErrFolder) {
		t.Errorf("without a folder: %v", err)
	}
}
