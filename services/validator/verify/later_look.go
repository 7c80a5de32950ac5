package verify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/evidence"
	"github.com/blackdice/shipwarden/internal/failpoint"
	"github.com/blackdice/shipwarden/internal/queue"
	"github.com/blackdice/shipwarden/internal/reactor"
	"github.com/blackdice/shipwarden/internal/standing"
	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/validator/check"
)

const (
	// lookPatience is what a look may take beside the time that it lasts.
	lookPatience = 5 * time.Minute
	// appendTries is how often a look is put on record while others write.
	appendTries = 5
)

// Seen is what a later look at a release came to.
type Seen string

// What it can come to.
const (
	// SeenPassed says that every check passed.
	SeenPassed Seen = "passed"
	// SeenFailed says that one failed: the release is verified no more.
	SeenFailed Seen = "failed"
	// SeenInconclusive says that none failed, and that some have no verdict.
	SeenInconclusive Seen = "inconclusive"
	// SeenBusy says that another release holds a target, or took or left one meanwhile.
	SeenBusy Seen = "busy"
	// SeenNothing says that no look is due, that nothing is left to look at, or that another
	// validator was first.
	SeenNothing Seen = "nothing"
	// SeenError says that nothing could be put on record.
	SeenError Seen = "error"
)

// Look looks at a release where a look is due at that time, and puts on record what was seen.
// The error says why that is SeenError, and is nil otherwise.
func (l *Later) Look(ctx context.Context, release string, at time.Time) (Seen, error) {
	seen, err := l.look(ctx, release, at)
	if err != nil {
		seen = SeenError
	}
	if ctx.Err() == nil {
		l.looks.WithLabelValues(string(seen)).Inc()
	}
	return seen, err
}

func (l *Later) look(ctx context.Context, release string, at time.Time) (Seen, error) {
	h, err := l.record.Load(ctx, procedure.Aggregate(release))
	if err != nil {
		return SeenError, fmt.Errorf("read release %s: %w", release, err)
	}
	state := h.State
	number, due, is := procedure.LookDue(state, at)
	if !is {
		return SeenNothing, nil
	}
	index, err := l.procedures.ByDigest(ctx, state.ProcedureDigest)
	if err != nil {
		return SeenError, err
	}
	checks := index.LaterChecks(state)
	on, held, err := l.carried(ctx, state)
	switch {
	case err != nil:
		return SeenError, err
	case held:
		return SeenBusy, nil
	case len(on) == 0 || len(checks) == 0:
		return SeenNothing, nil
	}
	look := procedure.NewLook(number, due, slices.Sorted(maps.Keys(on)))
	plan, unseen := l.laterPlan(state, checks, look.GetTargets())
	bounded, cancel := context.WithTimeout(ctx, plan.Bake+lookPatience)
	defer cancel()
	report, err := l.bake.Run(bounded, plan)
	if err != nil {
		return SeenError, err
	}
	if err := failpoint.Hit("verify.judged"); err != nil {
		return SeenError, err
	}
	v := withUnseen(report.Verification, unseen)
	look.Started, look.Ended = v.GetStarted(), v.GetEnded()
	// What was seen while a release took or left a target is not about this one.
	if now, held, err := l.carried(ctx, state); err != nil || held || !maps.Equal(now, on) {
		return SeenBusy, err
	}
	samples, unkept, unkeptErr := evidence.Keep(ctx, l.blobs, check.MediaType, fmt.Sprintf("samples of look %d at %s", number, release), report.Document)
	if unkeptErr != nil && unkept == nil {
		return SeenError, fmt.Errorf("keep the samples: %w", unkeptErr)
	}
	look.Samples = samples
	event := procedure.DecideLaterLook(look, v)
	if unkept != nil {
		// A failure is told at once. That all is well nobody says without what shows it.
		if event.Unkept = []*releasev1.UnkeptEvidence{unkept}; !state.Urgent() && procedure.LetsPass(event) {
			return SeenError, fmt.Errorf("keep the samples: %w", unkeptErr)
		}
	}
	if err := failpoint.Hit("verify.kept"); err != nil {
		return SeenError, err
	}
	return l.say(ctx, release, look, event)
}

// carried are the targets that carry the release still, with the sequence of the newest event of
// each; held says that another release has one of them.
func (l *Later) carried(ctx context.Context, state procedure.State) (on map[string]uint64, held bool, err error) {
	on = map[string]uint64{}
	for _, id := range state.Touched {
		t, err := standing.ReadTarget(ctx, l.record, id)
		if err != nil {
			return nil, false, err
		}
		if left(t) != state.Release {
			continue
		}
		if held, err := queue.Held(ctx, l.record, id, t, state.Release); err != nil || held {
			return nil, held, err
		}
		on[id] = t.Expect
	}
	return on, false, nil
}

// left is the release that a target carries, "" where none is known.
func left(t standing.Target) string {
	if t.State.GetUnknownSince() != "" {
		return ""
	}
	return t.State.GetDeployed().GetRelease()
}

// say appends what was seen. Whoever looked at the same time and was first has said it; other
// events of the release are no reason to look once more.
func (l *Later) say(ctx context.Context, release string, look *releasev1.LaterLook, event *releasev1.Event) (Seen, error) {
	for range appendTries {
		h, err := l.record.Load(ctx, procedure.Aggregate(release))
		if err != nil {
			return SeenError, fmt.Errorf("read release %s: %w", release, err)
		}
		if h.State.Later.Number >= look.GetNumber() || h.State.Later.Revoked != nil {
			return SeenNothing, nil
		}
		task := reactor.Task{State: h.State, History: h, Now: l.now()}
		if n := len(h.Entries); n > 0 {
			task = task.NotBefore(h.Entries[n-1].Stored)
		}
		_, err = l.record.Append(ctx, task.Draft(event))
		if errors.Is(err, eventstore.ErrSequenceConflict) {
			continue
		}
		if err != nil {
			return SeenError, fmt.Errorf("put on record what was seen of release %s: %w", release, err)
		}
		l.mu.Lock()
		l.said[release] = look.GetNumber()
		l.mu.Unlock()
		switch {
		case event.GetVerificationRevoked() != nil:
			slog.ErrorContext(ctx, "a release that was verified fails its checks", slog.String("release", release), slog.Any("checks", procedure.FailedLater(look)))
			return SeenFailed, nil
		case event.GetReverified().GetInconclusive():
			return SeenInconclusive, nil
		}
		return SeenPassed, nil
	}
	return SeenError, fmt.Errorf("put on record what was seen of release %s: %w", release, eventstore.ErrSequenceConflict)
}

// laterPlan says what a later look looks at. It takes as many samples as the bake did, closer to
// each other where it is shorter: the rules of the checks are about numbers of samples.
func (s shell) laterPlan(state procedure.State, checks []*releasev1.Check, targets []string) (check.Plan, []*releasev1.CheckResult) {
	v, lasts := state.Request.GetValidation(), procedure.LookLasts(state)
	plan := check.Plan{Release: of(state), Checks: checks, Bake: lasts, Interval: v.GetInterval().AsDuration()}
	if bake := v.GetBake().AsDuration(); lasts < bake {
		plan.Interval = max(time.Duration(float64(plan.Interval)*float64(lasts)/float64(bake)), time.Millisecond)
	}
	var unseen []*releasev1.CheckResult
	for _, id := range targets {
		place, ok := s.targets[id]
		if !ok {
			unseen = append(unseen, notSeen(id, checks)...)
			continue
		}
		plan.Subjects = append(plan.Subjects, check.Subject{Target: place, Digest: approved(state, id)})
	}
	return plan, unseen
}
