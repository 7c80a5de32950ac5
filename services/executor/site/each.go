package site

import (
	"context"
	"fmt"
	"sync"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// The pause before the targets that could not be tried are tried again; it doubles.
const (
	firstPause = 250 * time.Millisecond
	maxPause   = 10 * time.Second
)

// Each works on targets until each has a result, and returns the results in the
// order of the targets. An error of the work means that nothing was done to the
// target: it is tried again, beside nobody else, until the deadline; then it has
// failed. Trying goes on in here, and not by handing the message back, because
// whoever got it next would have to take this executor for lost, and of an opaque
// target it could say nothing then.
//
// Each gives up with an error where somebody newer has a target (Lost), and where
// the context ended: then somebody else has to find out.
func Each(ctx context.Context, deadline time.Time, targets []string, parallel int, work func(ctx context.Context, target string) (*releasev1.TargetResult, error)) ([]*releasev1.TargetResult, error) {
	bounded, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	results, failures := make([]*releasev1.TargetResult, len(targets)), make([]error, len(targets))
	for pause := firstPause; ; pause = min(2*pause, maxPause) {
		round(bounded, targets, parallel, results, failures, work)
		var open error
		for i := range targets {
			switch {
			case results[i] != nil:
			case Lost(failures[i]), ctx.Err() != nil:
				return nil, failures[i]
			case bounded.Err() != nil:
				results[i] = untried(targets[i], failures[i])
			default:
				open = failures[i]
			}
		}
		if open == nil {
			return results, nil
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-bounded.Done():
			timer.Stop()
		}
		if ctx.Err() != nil {
			return nil, open
		}
	}
}

// round works once on every target that has no result yet.
func round(ctx context.Context, targets []string, parallel int, results []*releasev1.TargetResult, failures []error, work func(context.Context, string) (*releasev1.TargetResult, error)) {
	var all sync.WaitGroup
	slots := make(chan struct{}, parallel)
	for i, target := range targets {
		if results[i] != nil {
			continue
		}
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			result, err := work(ctx, target)
			results[i] = result
			if failures[i] == nil || ctx.Err() == nil || Lost(err) {
				failures[i] = err // what the deadline itself interrupts says less than what came before
			}
		})
	}
	all.Wait()
}

func untried(target string, failure error) *releasev1.TargetResult {
	now := timestamppb.Now()
	return &releasev1.TargetResult{
		Target: target, Status: releasev1.TargetResult_STATUS_FAILED, Started: now, Ended: now,
		Message: Line(fmt.Sprintf("it could not be tried before the deadline: %v", failure)),
	}
}

// Failed is the result of every target that this executor did not change, for that
// reason.
func Failed(targets []string, reason string) []*releasev1.TargetResult {
	return as(releasev1.TargetResult_STATUS_FAILED, targets, reason)
}

// Skipped is the result of every target that was claimed and never begun, for that
// reason.
func Skipped(targets []string, reason string) []*releasev1.TargetResult {
	return as(releasev1.TargetResult_STATUS_SKIPPED, targets, reason)
}

// Unknown is the result of every target of which nobody can tell anything.
func Unknown(targets []string, reason string) []*releasev1.TargetResult {
	return as(releasev1.TargetResult_STATUS_UNKNOWN, targets, reason)
}

func as(status releasev1.TargetResult_Status, targets []string, reason string) []*releasev1.TargetResult {
	var out []*releasev1.TargetResult
	for _, target := range targets {
		out = append(out, &releasev1.TargetResult{Target: target, Status: status, Message: Line(reason)})
	}
	return out
}

// Reason says of a set of results, in a few lines, which targets are not done and
// why. It is bounded: the results stand beside it in the same event.
func Reason(results []*releasev1.TargetResult) string {
	out := ""
	for _, r := range results {
		if r.GetStatus() == releasev1.TargetResult_STATUS_DONE {
			continue
		}
		if out != "" {
			out += "; "
		}
		out += "target " + r.GetTarget() + ": " + r.GetMessage()
	}
	return cut(out, maxReason)
}
