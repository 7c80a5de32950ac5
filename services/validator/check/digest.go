package check

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/validator/target"
)

// RuleDigest is the name under which the running artifact is judged. No check of a
// request can have it: their names hold no dots.
const RuleDigest = "target.digest"

// A target that does not tell what it runs at the end is asked so many times, at
// most so far apart.
const (
	lastTries = 3
	lastPause = 5 * time.Second
)

// looks are all samples of one target.
type looks struct {
	subject Subject
	// first are the answers to what runs until it was told, last those at the end.
	first, last []Sample
	// checks are the samples of the checks, in the order of the plan, and compared what their
	// comparisons came to; nil where there was none.
	checks   [][]Sample
	compared []*Comparison
}

// askFirst asks what runs on the target before anything else is looked at. Another
// artifact than the approved one ends the bake, because nothing that would be seen is
// about the release; so does a target that can never tell.
func (r *run) askFirst(ctx context.Context, l *looks) {
	look, settle := r.digestLook(l.subject)
	if sample, ok := r.take(ctx, r.window.skipped, look); ok {
		l.first = append(l.first, sample)
		settle()
	}
}

// askAgain asks, along with the checks, a target that has not told yet, for instance
// because it was just starting.
func (r *run) askAgain(ctx context.Context, l *looks) {
	if told(l.first) {
		return
	}
	look, settle := r.digestLook(l.subject)
	l.first = append(l.first, r.series(ctx, r.window.skipped+1, look, func(samples []Sample) bool {
		settle()
		return told(samples)
	})...)
}

// askLast asks what runs on the target when the bake time is over. Who did not tell
// during all of it is not asked once more: the verdict would be the same.
func (r *run) askLast(ctx context.Context, l *looks) {
	if !told(l.first) {
		return
	}
	look, settle := r.digestLook(l.subject)
	for try := range lastTries {
		sample, ok := r.take(ctx, r.window.len()+try, look)
		if !ok {
			return
		}
		l.last = append(l.last, sample)
		settle()
		if told(l.last) || try == lastTries-1 {
			return
		}
		if !r.wait(ctx, r.Clock.Now().Add(min(r.window.interval, lastPause))) {
			return
		}
	}
}

// digestLook returns a look that compares what runs on a target with what was
// approved, and a function to be called when the look's sample is kept: it ends the
// bake where nothing that could still be seen would change the verdict. The two are
// apart because ending the bake discards whatever is not kept yet.
func (r *run) digestLook(s Subject) (look func(context.Context) Observation, settle func()) {
	var reason string
	look = func(ctx context.Context) Observation {
		if s.Digest == "" {
			reason = "it is not known what should run on " + s.Target.ID()
			return Observation{Outcome: Error, Detail: "no approved digest to compare with"}
		}
		running, err := r.RunningDigest(ctx, s.Target)
		switch {
		case errors.Is(err, target.ErrNoDigest):
			reason = s.Target.ID() + " has no way of telling what it runs"
			return Observation{Outcome: Error, Detail: err.Error()}
		case err != nil:
			return Observation{Outcome: Error, Detail: err.Error()}
		case running != s.Digest:
			reason = fmt.Sprintf("%s runs %s, approved is %s", s.Target.ID(), running, s.Digest)
			return Observation{Outcome: Failed, Detail: "runs " + running}
		}
		return Observation{Outcome: Passed, Detail: "runs " + running}
	}
	return look, func() {
		if reason != "" {
			r.end(reason)
		}
	}
}

// told tells whether the target has told what it runs.
func told(samples []Sample) bool {
	return len(samples) > 0 && samples[len(samples)-1].Outcome != Error
}

// judgeDigest derives the verdict of the rule target.digest: it fails when another
// artifact was seen at any time, and passes only when the approved one was seen at the
// beginning and at the end.
func judgeDigest(target, approved string, first, last []Sample) *releasev1.CheckResult {
	result := count(slices.Concat(first, last))
	result.Check, result.Target = RuleDigest, target
	switch {
	case result.GetFailed() > 0:
		result.Verdict, result.Reason = fail, "runs another artifact than the approved "+approved
	case !told(first):
		result.Verdict, result.Reason = inconclusive, "did not tell what it runs"
	case !told(last):
		result.Verdict, result.Reason = inconclusive, "did not tell at the end what it runs"
	default:
		result.Verdict, result.Reason = pass, "runs the approved artifact"
	}
	if result.GetErrors() > 0 && result.GetVerdict() == inconclusive {
		result.Reason += ": " + lastDetail(first, last)
	}
	return result
}

// lastDetail is what was observed last about the running artifact.
func lastDetail(first, last []Sample) string {
	samples := last
	if len(samples) == 0 {
		samples = first
	}
	return samples[len(samples)-1].Detail
}
