package query

import (
	"context"

	"google.golang.org/grpc"

	"github.com/blackdice/shipwarden/procedure"
	recorderv1 "github.com/blackdice/shipwarden/proto/shipwarden/recorder/v1"
	"github.com/blackdice/shipwarden/services/recorder/ledger"
	"github.com/blackdice/shipwarden/services/recorder/view"
)

// watch is one client that follows one release.
type watch struct {
	*Server

	timeline *view.Timeline
	rejected uint32
	last     uint64 // the last event that was seen
	stream   grpc.ServerStreamingServer[recorderv1.WatchReleaseResponse]
}

// WatchRelease streams the release as it is, and again after every event, until it
// is closed. A client that is cut off calls again and gets the release as it is
// then.
func (s *Server) WatchRelease(q *recorderv1.WatchReleaseRequest, stream grpc.ServerStreamingServer[recorderv1.WatchReleaseResponse]) error {
	ctx := stream.Context()
	w := &watch{Server: s, timeline: view.New(q.GetRelease()), stream: stream}
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
	if w.timeline.State().Phase == procedure.PhaseNone {
		return ledger.ErrNotFound
	}
	if err := w.send(ctx, nil, asOf); err != nil {
		return err
	}
	for !w.over() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		}
		_, changed = w.tail.AsOf()
		all, asOf, err := w.reader.Events(ctx, w.release(), w.last)
		if err != nil {
			return err
		}
		for _, r := range all {
			w.take(r)
			if err := w.send(ctx, r.Proto(), asOf); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *watch) release() string { return w.timeline.State().Release }

func (w *watch) over() bool { return w.timeline.State().Phase == procedure.PhaseClosed }

func (w *watch) take(r view.Recorded) {
	w.last = r.Entry.Sequence
	if !r.Counts() || w.timeline.Add(r.Entry) != nil {
		w.rejected++
	}
}

func (w *watch) send(ctx context.Context, event *recorderv1.RecordedEvent, asOf uint64) error {
	release := w.timeline.Release(w.rejected)
	if err := w.reader.Complete(ctx, release); err != nil {
		return err
	}
	return w.stream.Send(&recorderv1.WatchReleaseResponse{Release: release, Event: event, AsOfSequence: asOf})
}
