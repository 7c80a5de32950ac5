package record

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/failpoint"
	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/recorder/document"
	"github.com/blackdice/shipwarden/services/recorder/ledger"
	"github.com/blackdice/shipwarden/services/recorder/view"
)

const (
	// closers is how many records are closed at a time: their appends are
	// gathered into one batch.
	closers = 16
	// sweepEvery is how often the database is asked for what was missed.
	sweepEvery = 15 * time.Second
	// waiting bounds the releases that wait for a closer; the sweep finds others.
	waiting = 4096
)

// Step closes the record of each release that has an outcome: it appends
// `recorded` with the digest of the record as of the event before. Whether that is
// due is for the fold to say, so a repetition, here or in another process, changes
// nothing.
type Step struct {
	reader *ledger.Reader
	store  *eventstore.Store
	now    func() time.Time
	closed *prometheus.CounterVec
	ended  outcomes

	queue chan string

	mu     sync.Mutex
	queued map[string]bool // also those in work; true where offered again meanwhile
}

// NewStep returns the step over the record and the store to append to, which must
// sign for the recorder. The registerer may be nil.
func NewStep(reader *ledger.Reader, store *eventstore.Store, now func() time.Time, registerer prometheus.Registerer) *Step {
	s := &Step{
		reader: reader, store: store, now: now,
		closed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "shipwarden_recorder_records_total", Help: "Attempts to close the record of a release, by result.",
		}, []string{"result"}),
		ended: newOutcomes(registerer),
		queue: make(chan string, waiting), queued: map[string]bool{},
	}
	if registerer != nil {
		registerer.MustRegister(s.closed)
	}
	return s
}

// Offer looks which of the touched releases are due. It never waits.
func (s *Step) Offer(_ context.Context, w ledger.Written) {
	for _, state := range w.Touched {
		if procedure.Due(procedure.StepRecord, state, s.now()) {
			s.enqueue(state.Release)
		}
	}
}

func (s *Step) enqueue(release string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, there := s.queued[release]; there {
		s.queued[release] = true
		return
	}
	select {
	case s.queue <- release:
		s.queued[release] = false
	default: // The sweep finds it.
	}
}

// Run closes records until the context ends.
func (s *Step) Run(ctx context.Context) error {
	var wait sync.WaitGroup
	defer wait.Wait()
	for range closers {
		wait.Go(func() { s.work(ctx) })
	}
	sweep := time.NewTicker(sweepEvery)
	defer sweep.Stop()
	for {
		releases, err := s.reader.Unrecorded(ctx)
		if err != nil && ctx.Err() == nil {
			slog.WarnContext(ctx, "looking for records to be closed failed", slog.Any("error", err))
		}
		for _, release := range releases {
			s.enqueue(release)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-sweep.C:
		}
	}
}

func (s *Step) work(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case release := <-s.queue:
			s.mu.Lock()
			s.queued[release] = false
			s.mu.Unlock()
			err := s.Close(ctx, release)
			s.mu.Lock()
			again := s.queued[release]
			delete(s.queued, release)
			s.mu.Unlock()
			if again {
				s.enqueue(release)
			}
			switch {
			case err == nil:
				s.closed.WithLabelValues("closed").Inc()
			case errors.Is(err, eventstore.ErrSequenceConflict):
				// Something came in between, which ingest will bring: the fold
				// decides again.
				s.closed.WithLabelValues("conflict").Inc()
			case ctx.Err() == nil:
				s.closed.WithLabelValues("failed").Inc()
				slog.WarnContext(ctx, "closing a record failed, it is tried again",
					slog.String("release", release), slog.Any("error", err))
			}
		}
	}
}

// Close closes the record of one release, where that is due.
func (s *Step) Close(ctx context.Context, release string) error {
	all, _, err := s.reader.Events(ctx, release, 0)
	if err != nil {
		return err
	}
	t, _ := view.OfRecorded(release, all)
	state := t.State()
	if !procedure.Due(procedure.StepRecord, state, s.now()) {
		return nil
	}
	digest, err := Digest(release, all, state.Head.Sequence)
	if err != nil {
		return err
	}
	back, err := RollbackDigests(release, all, state)
	if err != nil {
		return err
	}
	if err := failpoint.Hit("record.closing"); err != nil {
		return err
	}
	event := procedure.DecideRecorded(state, digest, back...)
	event.Actor = &releasev1.Actor{Id: procedure.ServiceRecorder, Kind: releasev1.Actor_KIND_SERVICE, Method: "bus"}
	event.ProcedureDigest = state.ProcedureDigest
	for _, r := range all {
		if r.Entry.Sequence == state.Head.Sequence {
			event.CausationId = r.Entry.Event.GetId()
		}
	}
	_, err = s.store.Append(ctx, eventstore.Draft{
		Aggregate: procedure.Aggregate(release), Expect: all[len(all)-1].Entry.Sequence,
		Previous: state.Head.Previous(), Event: event,
	})
	if err != nil {
		return fmt.Errorf("close the record of %s: %w", release, err)
	}
	s.ended.observe(state, s.now())
	return nil
}

// Digest is the digest of a release's record as of a sequence, "sha256:…": what the
// event `recorded` says.
func Digest(release string, all []view.Recorded, sequence uint64) (string, error) {
	text, err := document.AsOf(release, all, sequence).JSON()
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(text)
	return "sha256:" + hex.EncodeToString(sum[:]), nil
}

// RollbackDigests are the digests of the records of a release's ways back, in their order.
func RollbackDigests(release string, all []view.Recorded, state procedure.State) ([]string, error) {
	out := make([]string, 0, len(state.Rollbacks))
	for _, r := range state.Rollbacks {
		d, ok := document.BuildRollback(release, all, r.Number)
		if !ok {
			return nil, fmt.Errorf("way back %d of %s is not on record", r.Number, release)
		}
		text, err := d.JSON()
		if err != nil {
			return nil, err
		}
		sum := sha256.Sum256(text)
		out = append(out, "sha256:"+hex.EncodeToString(sum[:]))
	}
	return out, nil
}
