// Package release lets the targets of a release go when it is over, and writes down
// what each carries from then on: in one batch, so that no target is free before it
// is known what it carries (PD-5.2, P14).
//
// It wakes on the last verification and on a person's acceptance, and appends
// targets_released together with target_unlocked for every target, and, where the release
// was asked for to take another one back and did, with artifact_quarantined. What a target
// carries is asked of its driver, because a release that was accepted as it is may
// be on some targets and not on others. Where it is not known that nothing is under way
// any more, the target is sealed first.
package release

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/failpoint"
	"github.com/blackdice/shipwarden/internal/reactor"
	"github.com/blackdice/shipwarden/internal/standing"
	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/site"
)

// New returns the step.
func New(s *site.Site, now func() time.Time) reactor.Step {
	return reactor.Step{ID: procedure.StepRelease, Act: shell{s, now}.act, Outside: true}
}

type shell struct {
	*site.Site
	now func() time.Time
}

func (s shell) act(ctx context.Context, t reactor.Task) ([]eventstore.Draft, error) {
	var drafts []eventstore.Draft
	var results []*releasev1.TargetResult
	for _, id := range t.State.Touched {
		target, err := standing.ReadTarget(ctx, s.Store, id)
		if err != nil {
			return nil, err
		}
		if err := s.Shut(ctx, t.State, id, target); err != nil {
			return nil, err
		}
		result, carries := s.settle(ctx, t.State, id, target)
		carries = s.marked(ctx, id, carries)
		results = append(results, result)
		if target.LockedBy != t.State.Release {
			continue // let go already
		}
		drafts = append(drafts, t.Stamp(target.Draft(&releasev1.Event{Data: &releasev1.Event_TargetUnlocked{
			TargetUnlocked: &releasev1.TargetUnlocked{Release: t.State.Release, State: carries},
		}})))
	}
	if err := failpoint.Hit("release.settled"); err != nil {
		return nil, err
	}
	digest, quarantine, err := s.QuarantineTaken(ctx, t, s.now())
	if err != nil {
		return nil, err
	}
	event := &releasev1.Event{Data: &releasev1.Event_TargetsReleased{
		TargetsReleased: &releasev1.TargetsReleased{Results: results, Quarantined: digest},
	}}
	return slices.Concat([]eventstore.Draft{t.Draft(event)}, drafts, quarantine), nil
}

// settle says what a target carries: the new version, where it does and that was
// the outcome, otherwise what it carried before.
func (s shell) settle(ctx context.Context, state procedure.State, id string, target standing.Target) (*releasev1.TargetResult, *releasev1.TargetState) {
	placed := &releasev1.Deployment{
		Release: state.Release, Version: state.Request.GetVersion(), Service: state.Request.GetService(),
		Digest: state.PrimaryArtifact().GetDigest(), Time: timestamppb.New(s.now()),
	}
	running, known := s.running(ctx, id)
	result := &releasev1.TargetResult{Target: id, Status: releasev1.TargetResult_STATUS_DONE, Digest: running}
	if !known {
		var ok bool
		if running, ok = presumed(state, id, target.State.GetDeployed().GetDigest()); !ok {
			result.Status, result.Digest = releasev1.TargetResult_STATUS_UNKNOWN, ""
			result.Message = "the target cannot tell what it carries, and the release was accepted as it was: nobody knows"
			return result, standing.Unknown(target.State, state.Release)
		}
		result.Digest, result.Message = running, "the target cannot tell what it carries; taken from its last result and the outcome"
	}
	there := known && running == placed.GetDigest() && running != target.State.GetDeployed().GetDigest()
	if !slices.Contains(state.Begun, id) && !there {
		// It was claimed, and the artifact never ran there: there is nothing that was
		// taken back, and the target is as it was.
		return result, target.State
	}
	if running == placed.GetDigest() && state.Outcome != releasev1.Outcome_OUTCOME_ROLLED_BACK {
		return result, standing.Carrying(target.State, placed)
	}
	return result, standing.TakenBack(target.State, placed)
}

// presumed is what a target carries that cannot tell: what it carried before where the
// release is known not to have stayed there, and otherwise what its last result says. Of
// an effect whose end nobody knows it is nothing that anybody may presume.
func presumed(state procedure.State, id, before string) (digest string, ok bool) {
	last := state.Result(id)
	switch {
	case state.Outcome == releasev1.Outcome_OUTCOME_ROLLED_BACK, !slices.Contains(state.Begun, id):
		return before, true
	case last.GetStatus() == releasev1.TargetResult_STATUS_DONE && last.GetDigest() != "":
		return last.GetDigest(), true
	}
	return "", false
}

// marked notes how far the target remembers, where its driver can tell, so that it is missed when
// somebody sets it back. Of one that does not say so it is not known.
func (s shell) marked(ctx context.Context, id string, state *releasev1.TargetState) *releasev1.TargetState {
	d, err := s.Driver(id)
	if err != nil {
		return state
	}
	m, ok := d.(driver.Marked)
	if !ok {
		return state
	}
	mark, err := m.Mark(ctx)
	if err != nil {
		slog.WarnContext(ctx, "a target does not say how far it remembers", slog.String("target", id), slog.Any("error", err))
		return state
	}
	return standing.Marked(state, mark)
}

func (s shell) running(ctx context.Context, target string) (string, bool) {
	d, err := s.Driver(target)
	if err != nil {
		return "", false
	}
	digest, err := d.Running(ctx)
	return digest, err == nil
}
