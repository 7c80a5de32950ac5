package verify

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/blackdice/shipwarden/internal/criterion"
	"github.com/blackdice/shipwarden/internal/envelope"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/validator/check"
)

// A look beside a release is short, because the way back waits for it: so many samples of each
// check, on so many targets, and not longer apart than that.
const (
	besideSamples  = 3
	besideTargets  = 3
	besideInterval = 5 * time.Second
)

// beside looks at targets that the release has not touched, by the checks that failed on those
// that it has; where they fail there as well, the way back would change nothing (PD-7.1). It is
// nil where that cannot be told: without such a target, where a check failed that says nothing
// of others, and where its samples cannot be kept. Then it is the release's. The only error is
// that of the context.
func (s shell) beside(ctx context.Context, state procedure.State, plan check.Plan, v *releasev1.Verification) (*releasev1.Beside, error) {
	checks := besideChecks(plan.Checks, v)
	look := check.Plan{Release: plan.Release, Checks: checks, Interval: min(max(plan.Interval, time.Millisecond), besideInterval)}
	look.Bake = (besideSamples - 1) * look.Interval
	for _, w := range witnesses(state) {
		if place, ok := s.targets[w.Target]; ok && len(look.Subjects) < besideTargets {
			look.Subjects = append(look.Subjects, check.Subject{Target: place, Digest: w.Digest})
		}
	}
	if len(checks) == 0 || len(look.Subjects) == 0 {
		return nil, nil
	}
	report, err := s.bake.Run(ctx, look)
	if err != nil {
		return nil, fmt.Errorf("look beside the release: %w", err)
	}
	seen := besideOf(report.Verification)
	if seen == nil {
		return nil, nil
	}
	if !fits(v, seen) {
		slog.WarnContext(ctx, "what was seen beside a release does not fit into the event, and does not count", slog.String("release", state.Release))
		return nil, nil
	}
	if seen.Samples, err = s.blobs.Put(ctx, check.MediaType, "samples beside "+state.Release, report.Document); err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		slog.WarnContext(ctx, "what was seen beside a release cannot be kept, and does not count", slog.String("release", state.Release), slog.Any("error", err))
		return nil, nil
	}
	return seen, nil
}

// aroundBeside is the room that an event takes besides what was looked at, with some to spare, in
// bytes.
const aroundBeside = 8 << 10

// fits reports whether one event has room for both. Intake has counted on the first alone, and an
// end of step 6 that cannot be stored would keep the release from going back.
func fits(v *releasev1.Verification, seen *releasev1.Beside) bool {
	return proto.Size(v)+proto.Size(seen) <= envelope.MaxBody-aroundBeside
}

// rejudgeBeside derives again what was seen beside a release, from the samples that were kept
// of it. Whether anybody looked is taken as it is recorded.
func rejudgeBeside(index *policy.Index, state procedure.State, samples []byte, v *releasev1.Verification, recorded *releasev1.Beside) (*releasev1.Beside, error) {
	if recorded == nil {
		return nil, nil
	}
	if !index.LooksBeside(state) {
		return nil, fmt.Errorf("beside: the procedure document asks for no look at other targets")
	}
	seen, err := check.Rejudge(samples, of(state), besideChecks(checks(state, index), v), witnesses(state))
	if err != nil {
		return nil, fmt.Errorf("samples beside it, %s: %w", recorded.GetSamples().GetDigest(), err)
	}
	out := besideOf(seen)
	if out != nil {
		out.Samples = recorded.GetSamples()
	}
	return out, nil
}

// besideChecks are the checks that failed, so that one that passes once has not failed, and one
// that has not been answered is none of both. They are none where something failed that is the
// release's alone: what runs on its targets, values that are worse than others, or a control of
// security, of which a fault that others have, too, is no reason to keep this one, or what a person
// has to answer.
func besideChecks(all []*releasev1.Check, v *releasev1.Verification) (out []*releasev1.Check) {
	for _, name := range procedure.FailedChecks(v) {
		i := slices.IndexFunc(all, func(c *releasev1.Check) bool { return c.GetName() == name })
		if i < 0 || all[i].GetPrometheus().GetBaseline() != nil || all[i].GetKubernetesSecurity() != nil || criterion.AsksPeople(all[i]) {
			return nil
		}
		c := proto.CloneOf(all[i])
		c.MinPassRatio, c.MaxConsecutiveFailures, c.MinSamples = proto.Float64(0.01), proto.Uint32(besideSamples+1), proto.Uint32(besideSamples)
		out = append(out, c)
	}
	return out
}

// witnesses are the targets of the plan that the release has not touched, with what they carried
// before it began; none that carries already what is released.
func witnesses(state procedure.State) (all []check.Approved) {
	for _, id := range procedure.Targets(state.Request) {
		was := state.Scoped(id).GetState().GetDeployed().GetDigest()
		if was != "" && was != state.PrimaryArtifact().GetDigest() && !slices.Contains(state.Touched, id) {
			all = append(all, check.Approved{Target: id, Digest: was})
		}
	}
	return all
}

// besideOf is what a look beside a release shows, by the checks alone. Nil where one of the
// targets is not known to run what it ran before: it may be the one that is well, and what is
// left of them would speak for all.
func besideOf(v *releasev1.Verification) *releasev1.Beside {
	out := &releasev1.Beside{}
	for _, r := range v.GetResults() {
		if r.GetCheck() != check.RuleDigest {
			out.Results = append(out.Results, r)
			continue
		}
		if r.GetVerdict() != releasev1.CheckResult_VERDICT_PASS {
			return nil
		}
	}
	if len(out.GetResults()) == 0 {
		return nil
	}
	return out
}
