// Package watch follows a release until it is over, and shows its steps: redrawn in
// place on a terminal, one line for each event elsewhere.
package watch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	recorderv1 "github.com/blackdice/shipwarden/proto/shipwarden/recorder/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

const (
	// firstPause and longestPause bound the time between two attempts to reach a
	// recorder that has gone.
	firstPause   = 200 * time.Millisecond
	longestPause = 5 * time.Second
)

// Options say how to follow.
type Options struct {
	// Patience is how long a release may be unknown at the beginning: the recorder
	// learns of it a moment after the requester does.
	Patience time.Duration
	// Show is called for each answer, from one goroutine.
	Show func(*recorderv1.WatchReleaseResponse)
	// Notice is called when the connection is lost, once for each loss.
	Notice func(err error)
}

// Over reports whether a release has its outcome and its record. More may follow, a
// retrospective review for instance, which can take days.
func Over(r *recorderv1.Release) bool {
	if r.GetClosed() {
		return true
	}
	if r.GetOutcome() == releasev1.Outcome_OUTCOME_UNSPECIFIED {
		return false
	}
	for _, s := range r.GetSteps() {
		if s.GetNumber() != recordStep {
			continue
		}
		switch s.GetStatus() { //nolint:exhaustive // In all others the record is not written yet.
		case recorderv1.Step_STATUS_DONE, recorderv1.Step_STATUS_FAILED, recorderv1.Step_STATUS_SKIPPED, recorderv1.Step_STATUS_BYPASSED:
			return true
		}
	}
	return false
}

// recordStep is the number of the step that writes the record.
const recordStep = "8"

// Follow follows a release until it is over and returns it as it is then. A recorder
// that cannot be reached at the beginning is an error; one that goes later is waited
// for until ctx ends.
func Follow(ctx context.Context, client recorderv1.RecorderServiceClient, release string, o Options) (*recorderv1.Release, error) {
	var last *recorderv1.Release
	var unknownSince time.Time
	pause := firstPause
	lost := false
	for {
		err := once(ctx, client, release, func(answer *recorderv1.WatchReleaseResponse) bool {
			last, lost, pause = answer.GetRelease(), false, firstPause
			o.Show(answer)
			return Over(last)
		})
		switch {
		case err == nil:
			return last, nil
		case ctx.Err() != nil:
			return last, fmt.Errorf("watch %s: %w", release, ctx.Err())
		case last == nil && status.Code(err) == codes.NotFound && o.Patience > 0:
			if unknownSince.IsZero() {
				unknownSince = time.Now()
			}
			if time.Since(unknownSince) > o.Patience {
				return nil, err
			}
		case last == nil || !passing(err):
			return last, err
		case !lost:
			lost = true
			o.Notice(err)
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return last, fmt.Errorf("watch %s: %w", release, ctx.Err())
		case <-timer.C:
			pause = min(2*pause, longestPause)
		}
	}
}

// errCutShort means that the stream ended although the release is not over.
var errCutShort = status.Error(codes.Unavailable, "the recorder ended the stream")

// once reads one stream. It returns nil when show says that it is enough.
func once(ctx context.Context, client recorderv1.RecorderServiceClient, release string, show func(*recorderv1.WatchReleaseResponse) bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := client.WatchRelease(ctx, &recorderv1.WatchReleaseRequest{Release: release})
	if err != nil {
		return err
	}
	for {
		answer, err := stream.Recv()
		switch {
		case errors.Is(err, io.EOF):
			return errCutShort
		case err != nil:
			return err
		case show(answer):
			return nil
		}
	}
}

// passing reports whether an error may go away by itself.
func passing(err error) bool {
	switch status.Code(err) { //nolint:exhaustive // All others are answers.
	case codes.Unavailable, codes.Canceled, codes.Internal, codes.Unknown, codes.ResourceExhausted, codes.Aborted, codes.DeadlineExceeded:
		return true
	}
	return false
}
