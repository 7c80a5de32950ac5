package query

import (
	"context"
	"time"

	"google.golang.org/grpc"

	"github.com/blackdice/shipwarden/procedure"
	recorderv1 "github.com/blackdice/shipwarden/proto/shipwarden/recorder/v1"
	"github.com/blackdice/shipwarden/services/recorder/ledger"
	"github.com/blackdice/shipwarden/services/recorder/view"
)

// watch is one client that follows one release, or one way back of it.
type watch struct {
	*Server

	timeline *view.Timeline
	// back is which way back is followed, from 1; 0 where it is the release.
	back     int
	rejected uint32
	last     uint64 // the last event that was seen
	stream   grpc.ServerStreamingServer[recorderv1.WatchReleaseResponse]
}

// WatchRelease streams the release as it is, and again after every event and when it is too late
// to answer a check, until it is closed. A client that is cut off calls again and gets the release as it is
// then. A way back is followed by its id until its record is closed, with those of the release's
// events that are its own.
func (s *Server) WatchRelease(q *recorderv1.WatchReleaseRequest, stream grpc.ServerStreamingServer[recorderv1.WatchReleaseResponse]) error {
	ctx := stream.Context()
	w := &watch{Server: s, timeline: view.New(q.GetRelease()), stream: stream}
	if of, number, ok := procedure.RollbackOf(q.GetRelease()); ok {
		w.timeline, w.back = view.New(of), int(number)
	}
	return toStatus(ctx, w.run(ctx))
}

func (w *watch) run(ctx context.Context) error {
	// Taken before reading, so that nothing is missed in between.
	_, changed := w.tail.AsOf()
	all, asOf, err := w.reader.Events(ctx, w.release(), 0)
	if err != nil {
		return err
	}
	for _, r := range all {
		w.take(r)
	}
	if w.shown() == nil {
		return ledger.ErrNotFound
	}
	if err := w.send(ctx, nil, asOf); err != nil {
		return err
	}
	for !w.over() {
		if again, err := w.idle(ctx, changed); err != nil {
			return err
		} else if again {
			// No event says that it is too late to sign something off.
			if err := w.send(ctx, nil, asOf); err != nil {
				return err
			}
			continue
		}
		_, changed = w.tail.AsOf()
		if all, asOf, err = w.reader.Events(ctx, w.release(), w.last); err != nil {
			return err
		}
		for _, r := range all {
			w.take(r)
			if !w.own(r) {
				continue
			}
			if err := w.send(ctx, r.Proto(), asOf); err != nil {
				return err
			}
		}
	}
	return nil
}

// idle waits until there may be something new, or until it is too late to answer a check that people
// are asked: then it is true.
func (w *watch) idle(ctx context.Context, changed <-chan struct{}) (bool, error) {
	var lapsed <-chan time.Time
	if at, now := view.Lapses(w.shown(), w.now()), w.now(); !at.IsZero() {
		timer := time.NewTimer(at.Sub(now))
		defer timer.Stop()
		lapsed = timer.C
	}
	select {
	case <-ctx.Done():
		return false, ctx.Err()
	case <-changed:
		return false, nil
	case <-lapsed:
		return true, nil
	}
}

func (w *watch) release() string { return w.timeline.State().Release }

// shown is what is followed, as it is now; nil where there is none.
func (w *watch) shown() *recorderv1.Release {
	switch ways := w.timeline.State().Rollbacks; {
	case w.timeline.State().Phase == procedure.PhaseNone, w.back > len(ways):
		return nil
	case w.back > 0:
		return w.timeline.WaysBack()[w.back-1]
	}
	return w.timeline.Release(w.rejected)
}

func (w *watch) over() bool { return w.shown().GetClosed() }

// own reports whether a message is one of what is followed. Of a way back that is over, the next one
// is that which closes its record; and that of which nobody knew may go on.
func (w *watch) own(r view.Recorded) bool {
	if w.back == 0 {
		return true
	}
	b := w.timeline.State().Rollbacks[w.back-1]
	at := r.Entry.Sequence
	return b.Ended == 0 || at <= b.Ended || at == b.Recorded
}

func (w *watch) take(r view.Recorded) {
	w.last = r.Entry.Sequence
	if !r.Counts() || w.timeline.Add(r.Entry) != nil {
		w.rejected++
	}
}

func (w *watch) send(ctx context.Context, event *recorderv1.RecordedEvent, asOf uint64) error {
	release := w.shown()
	if err := w.reader.Complete(ctx, release); err != nil {
		return err
	}
	view.AsOf(release, w.now())
	return w.stream.Send(&recorderv1.WatchReleaseResponse{Release: release, Event: event, AsOfSequence: asOf})
}
