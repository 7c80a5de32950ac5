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
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/blackdice/shipwarden/internal/dirlock"
	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/natstest"
	"github.com/blackdice/shipwarden/internal/reactor"
	"github.com/blackdice/shipwarden/services/executor/witness"
)

// unkept compares the metric.
func (s seer) unkept(t *testing.T, want int) {
	t.Helper()
	text := "# HELP shipwarden_executor_mark_unkept 1 while what this executor has seen of the record cannot be kept in state_folder: it is forgotten when it ends.\n# TYPE shipwarden_executor_mark_unkept gauge\n"
	text += fmt.Sprintf("shipwarden_executor_mark_unkept %d\n", want)
	if err := testutil.GatherAndCompare(s.registry, strings.NewReader(text), "shipwarden_executor_mark_unkept"); err != nil {
		t.Error(err)
	}
}

// staysStopped looks several times more.
func (s seer) staysStopped(t *testing.T, want error) {
	t.Helper()
	for range 3 {
		if err := s.Look(t.Context()); !errors.Is(err, witness.ErrStopped) || !errors.Is(err, want) {
			t.Errorf("at a later look: %v, want %v", err, want)
		}
		if err := s.Claim(t.Context()); !errors.Is(err, witness.ErrStopped) {
			t.Errorf("before a claim: %v", err)
		}
	}
}

// replace has a person take the stream as it is.
func (w *world) replace(t *testing.T, folder string) {
	t.Helper()
	if err := witness.Replace(t.Context(), w.store, folder, time.Now(), &bytes.Buffer{}); err != nil {
		t.Fatal(err)
	}
}

// remove takes the file away.
func remove(t *testing.T, folder string) {
	t.Helper()
	if err := os.Remove(filepath.Join(folder, "witness.json")); err != nil {
		t.Fatal(err)
	}
}

// cannotBeLocked has nobody write in the folder until it is undone.
func cannotBeLocked(t *testing.T, folder string) (undo func()) {
	t.Helper()
	lock := filepath.Join(folder, dirlock.Name)
	if err := errors.Join(os.Remove(lock), os.Mkdir(lock, 0o700)); err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		if err := os.Remove(lock); err != nil {
			t.Fatal(err)
		}
	}
}

// TestWhatCouldNotBeKeptIsRememberedWhileItRuns: neither the older mark in the file takes its
// place, nor a file that is gone, nor what one keeps there that has seen less; a person does.
func TestWhatCouldNotBeKeptIsRememberedWhileItRuns(t *testing.T) {
	t.Parallel()
	n := natstest.Single(t)
	w := newWorld(t, n)
	folder := t.TempDir()
	s, behind := w.witness(t, folder), w.witness(t, folder)
	s.goesOn(t)
	s.unkept(t, 0)
	w.record(t, 2)
	old := natstest.TakeBackup(t, n, eventstore.StreamEvents)
	undo := cannotBeLocked(t, folder)
	w.record(t, 4)
	s.goesOn(t)
	s.unkept(t, 1)

	old.PutBack(t, n)
	s.stops(t, witness.ErrRegressed, "stream_regressed")
	s.staysStopped(t, witness.ErrRegressed)
	s.unkept(t, 1)

	undo()
	w.record(t, 8)
	behind.goesOn(t)
	s.staysStopped(t, witness.ErrRegressed)

	remove(t, folder)
	w.sees(t, folder)
	s.staysStopped(t, witness.ErrRegressed)

	remove(t, folder)
	s.staysStopped(t, witness.ErrRegressed)
	// It keeps what it could not keep before, for whoever begins.
	s.unkept(t, 0)
	w.witness(t, folder).stops(t, witness.ErrRegressed, "stream_regressed")

	w.replace(t, folder)
	s.goesOn(t)
	s.unkept(t, 0)
	w.replace(t, folder) // Which is for those who stand still, and harms nobody else.
	s.goesOn(t)
}

// TestAFileThatIsGoneIsWrittenAnew while all is well.
func TestAFileThatIsGoneIsWrittenAnew(t *testing.T) {
	t.Parallel()
	n := natstest.Single(t)
	w := newWorld(t, n)
	folder := t.TempDir()
	s := w.witness(t, folder)
	s.goesOn(t)
	remove(t, folder)
	s.goesOn(t)
	kept(t, folder)
}

// TestAMarkThatCannotBeReadIsNotUndoneByItsRemoval: nobody can tell what was seen, as before.
func TestAMarkThatCannotBeReadIsNotUndoneByItsRemoval(t *testing.T) {
	t.Parallel()
	n := natstest.Single(t)
	w := newWorld(t, n)
	folder := t.TempDir()
	path := filepath.Join(folder, "witness.json")
	running := w.witness(t, folder)
	running.goesOn(t)
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	begun := w.witness(t, folder)
	for _, s := range []seer{running, begun} {
		s.stops(t, witness.ErrUnreadable, "mark_unreadable")
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	for _, s := range []seer{running, begun} {
		s.staysStopped(t, witness.ErrUnreadable)
	}
	w.replace(t, folder)
	for _, s := range []seer{running, begun} {
		s.goesOn(t)
	}
}

// TestOneThatIsBehindDoesNotTakeTheMarkBack: not when the old copy has grown beyond it either.
func TestOneThatIsBehindDoesNotTakeTheMarkBack(t *testing.T) {
	t.Parallel()
	n := natstest.Single(t)
	w := newWorld(t, n)
	folder := t.TempDir()
	behind, ahead := w.witness(t, folder), w.witness(t, folder)
	behind.goesOn(t)
	w.record(t, 2)
	old := natstest.TakeBackup(t, n, eventstore.StreamEvents)
	w.record(t, 4)
	ahead.goesOn(t)
	old.PutBack(t, n)
	ahead.stops(t, witness.ErrRegressed, "stream_regressed")
	w.record(t, 8)
	if err := behind.Look(t.Context()); !errors.Is(err, witness.ErrRegressed) {
		t.Errorf("the one that is behind: %v", err)
	}
	behind.staysStopped(t, witness.ErrRegressed)
	ahead.staysStopped(t, witness.ErrRegressed)
	// It remembers what it has learned, as if it had seen it.
	remove(t, folder)
	behind.staysStopped(t, witness.ErrRegressed)
	w.witness(t, folder).stops(t, witness.ErrRegressed, "stream_regressed")
}

// meanwhile does something after the first answer of the stream.
type meanwhile struct {
	witness.Stream
	do func()
}

func (m *meanwhile) Extent(ctx context.Context) (eventstore.Extent, error) {
	e, err := m.Stream.Extent(ctx)
	if m.do != nil {
		do := m.do
		m.do = nil
		do()
	}
	return e, err
}

// TestAMarkThatIsKeptWhileAnotherLooksIsComparedAsWell before it is overwritten.
func TestAMarkThatIsKeptWhileAnotherLooksIsComparedAsWell(t *testing.T) {
	t.Parallel()
	n := natstest.Single(t)
	w := newWorld(t, n)
	folder := t.TempDir()
	w.sees(t, folder)
	w.record(t, 2)
	old := natstest.TakeBackup(t, n, eventstore.StreamEvents)
	m := &meanwhile{Stream: w.store, do: func() {
		w.record(t, 4)
		w.sees(t, folder)
		old.PutBack(t, n)
	}}
	s, err := witness.New(t.Context(), m, folder, n.Conn(), nil, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.Look(t.Context()); !errors.Is(err, witness.ErrRegressed) {
			t.Errorf("it looked, and says %v", err)
		}
	}
	w.witness(t, folder).stops(t, witness.ErrRegressed, "stream_regressed")
}

// TestALockThatIsHeldIsNotWaitedForWithoutEnd: what was seen is remembered, and kept later.
func TestALockThatIsHeldIsNotWaitedForWithoutEnd(t *testing.T) {
	t.Parallel()
	n := natstest.Single(t)
	w := newWorld(t, n)
	folder := t.TempDir()
	s := w.witness(t, folder)
	s.goesOn(t)
	before := kept(t, folder)
	lock, err := dirlock.Acquire(folder)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Release()
	w.record(t, 1)
	s.goesOn(t)
	s.unkept(t, 1)
	if !os.SameFile(before, kept(t, folder)) {
		t.Error("it was written without the lock")
	}
	if _, err := witness.New(t.Context(), w.store, folder, n.Conn(), nil, time.Now); !errors.Is(err, dirlock.ErrLocked) {
		t.Errorf("one that begins: %v", err)
	}
	lock.Release()
	s.goesOn(t)
	s.unkept(t, 0)
	if os.SameFile(before, kept(t, folder)) {
		t.Error("it was not kept later")
	}
}

// gate holds each look until it is opened.
type gate struct {
	counting
	open chan struct{}
}

func (g *gate) Extent(ctx context.Context) (eventstore.Extent, error) {
	e, err := g.counting.Extent(ctx)
	select {
	case <-g.open:
	case <-ctx.Done():
		return e, ctx.Err()
	}
	return e, err
}

// TestManyMessagesThatWaitMakeOneLook, and one that is put off meanwhile does not wait for it.
func TestManyMessagesThatWaitMakeOneLook(t *testing.T) {
	t.Parallel()
	n := natstest.Single(t)
	w := newWorld(t, n)
	g := &gate{counting: counting{Stream: w.store}, open: make(chan struct{})}
	s, err := witness.New(t.Context(), g, t.TempDir(), n.Conn(), nil, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	step := s.Guard(reactor.Step{Act: func(context.Context, reactor.Task) ([]eventstore.Draft, error) { return nil, nil }})
	var began, ended sync.WaitGroup
	for range 20 {
		began.Add(1)
		ended.Go(func() {
			began.Done()
			if _, err := step.Act(t.Context(), reactor.Task{}); err != nil {
				t.Error(err)
			}
		})
	}
	began.Wait()
	natstest.Eventually(t, "a look", func() bool { g.mu.Lock(); defer g.mu.Unlock(); return g.extents > 0 })
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := step.Act(gone, reactor.Task{}); !errors.Is(err, context.Canceled) {
		t.Errorf("a message that nobody waits for: %v", err)
	}
	close(g.open)
	ended.Wait()
	if g.extents != 1 {
		t.Errorf("it looked %d times", g.extents)
	}
}

// TestOneThatHasNotLookedForAMinuteIsNotReady: it says so, though it waits for an answer.
func TestOneThatHasNotLookedForAMinuteIsNotReady(t *testing.T) {
	n := natstest.Single(t)
	w := newWorld(t, n)
	var mu sync.Mutex
	late := time.Duration(0)
	now := func() time.Time { mu.Lock(); defer mu.Unlock(); return time.Now().Add(late) }
	g := &gate{counting: counting{Stream: w.store}, open: make(chan struct{})}
	s, err := witness.New(t.Context(), g, t.TempDir(), n.Conn(), nil, now)
	if err != nil {
		t.Fatal(err)
	}
	var ended sync.WaitGroup
	ended.Go(func() {
		if err := s.Look(t.Context()); err != nil {
			t.Error(err)
		}
	})
	natstest.Eventually(t, "a look", func() bool { g.mu.Lock(); defer g.mu.Unlock(); return g.extents > 0 })
	if err := s.Ready(t.Context()); err != nil {
		t.Errorf("at first: %v", err)
	}
	mu.Lock()
	late = 2 * time.Minute
	mu.Unlock()
	if err := s.Ready(t.Context()); !errors.Is(err, witness.ErrOverdue) || errors.Is(err, witness.ErrStopped) {
		t.Errorf("two minutes later: %v", err)
	}
	close(g.open)
	ended.Wait()
	if err := errors.Join(s.Look(t.Context()), s.Ready(t.Context())); err != nil {
		t.Errorf("after a look: %v", err)
	}
}

// TestAStreamThatWasEmptiedLeavesAMarkThatCanBeRead.
func TestAStreamThatWasEmptiedLeavesAMarkThatCanBeRead(t *testing.T) {
	t.Parallel()
	n := natstest.Single(t)
	w := newWorld(t, n)
	folder := t.TempDir()
	s := w.witness(t, folder)
	s.goesOn(t)
	w.record(t, 1)
	stream, err := n.JetStream().Stream(t.Context(), eventstore.StreamEvents)
	if err != nil {
		t.Fatal(err)
	}
	config := stream.CachedInfo().Config
	config.MaxAge, config.Duplicates = 100*time.Millisecond, 100*time.Millisecond
	config.Discard, config.DiscardNewPerSubject = jetstream.DiscardOld, false
	if _, err := n.JetStream().UpdateStream(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	natstest.Eventually(t, "a stream that is empty", func() bool {
		extent, err := w.store.Extent(t.Context())
		return err == nil && extent.First > extent.Last
	})
	s.goesOn(t)
	s.goesOn(t)
	w.witness(t, folder).goesOn(t)
	w.witness(t, t.TempDir()).goesOn(t)
}
