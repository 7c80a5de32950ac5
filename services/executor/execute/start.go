package execute

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/failpoint"
	"github.com/blackdice/shipwarden/internal/freeze"
	"github.com/blackdice/shipwarden/internal/reactor"
	"github.com/blackdice/shipwarden/internal/standing"
	"github.com/blackdice/shipwarden/internal/verdict"
	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/site"
)

// margin is how far the server's clock, by which the record judges, may go on until a
// claim is stored. What is over within that time is as good as over.
const margin = verdict.Margin

// start looks at everything again that may have changed since it was approved, and
// claims the wave only if nothing has (PD-3.1, R-11, R-16). An authorization that
// is over is left to the clock, which ends the release.
func (s shell) start(ctx context.Context, t reactor.Task) ([]eventstore.Draft, error) {
	if err := newer(t); err != nil {
		return nil, err
	}
	if !t.State.Started() && over(t.State, t.Now.Add(margin)) {
		return nil, nil
	}
	if t.State.Started() && begins(t.State) && over(t.State, t.Now.Add(margin)) {
		// Before anything that holds: no clock ends what was claimed once, and nobody would hear
		// of it while its targets are locked.
		return s.refuse(t, []*releasev1.Finding{{
			Rule: ruleOver, Severity: releasev1.Finding_SEVERITY_BLOCKING,
			Message: "nothing of it has begun, and the time of its approvals, or to start it, is over: request it again",
		}})
	}
	overrun, err := s.overrun(ctx, t)
	if err != nil {
		return nil, err
	}
	if len(overrun) > 0 {
		return []eventstore.Draft{t.Draft(&releasev1.Event{Data: &releasev1.Event_ExecutionOverrun{
			ExecutionOverrun: &releasev1.ExecutionOverrun{Wave: t.State.Wave, Reasons: overrun},
		}})}, nil
	}
	if t.State.Paused() {
		// What was claimed is under way, and no pause keeps it: this holds a claim alone.
		return s.paused(ctx, t)
	}
	holds, until, err := s.holds(ctx, t, t.Now)
	if err != nil {
		return nil, err
	}
	if stuck := outlast(t, holds); len(stuck) > 0 {
		return s.refuse(t, stuck)
	}
	if len(holds) > 0 {
		return s.hold(ctx, t, holds, until)
	}
	findings, looked, err := s.changes(ctx, t)
	if err != nil {
		return nil, err
	}
	said, err := s.records(ctx, t, t.Now)
	if err != nil {
		return nil, err
	}
	fired, err := s.alerts(ctx, t)
	if err != nil {
		return nil, err
	}
	proved, err := s.evidence(ctx, t, verdict.At(t.State, t.Now))
	if err != nil {
		return nil, err
	}
	if findings = slices.Concat(findings, proved.findings, said.findings, fired.findings); len(findings) == 0 && len(said.holds)+len(fired.holds) > 0 {
		return s.holdBy(ctx, t, said, fired, proved.holds)
	}
	if len(findings) > 0 {
		return s.refuse(t, findings)
	}
	if len(proved.holds) > 0 {
		return s.hold(ctx, t, proved.holds, time.Time{})
	}
	// Before anything is tried on a target: while another release changes it, what its tools
	// say is of a moment that passes, and neither what was approved nor a reason to refuse it.
	if held, err := s.taken(ctx, t, looked); err != nil || len(held) > 0 {
		return held, err
	}
	shown, err := s.proofs(ctx, t)
	if err != nil {
		return nil, err
	}
	differ, err := s.diffs(ctx, t)
	if err != nil {
		return nil, err
	}
	if len(differ.findings) > 0 {
		return []eventstore.Draft{t.Draft(&releasev1.Event{Data: &releasev1.Event_ExecutionRefused{
			ExecutionRefused: &releasev1.ExecutionRefused{Findings: differ.findings},
		}})}, nil
	}
	if holds := slices.Concat(shown.holds, differ.holds); len(holds) > 0 {
		return s.wait(ctx, t, holds)
	}
	shown.bypassed = append(shown.bypassed, differ.bypassed...)
	if err := failpoint.Hit("execute.looked"); err != nil {
		return nil, err
	}
	drafts, err := s.claim(ctx, t, looked, said, fired, shown)
	for _, d := range drafts {
		if claimed := d.Event.GetExecutionClaimed(); claimed != nil {
			claimed.TrustedBy = proved.trustedBy
		}
	}
	return drafts, err
}

// refuse ends the release, or calls people where it has begun.
func (s shell) refuse(t reactor.Task, findings []*releasev1.Finding) ([]eventstore.Draft, error) {
	return []eventstore.Draft{t.Draft(&releasev1.Event{Data: &releasev1.Event_ExecutionRefused{
		ExecutionRefused: &releasev1.ExecutionRefused{Findings: findings},
	}})}, nil
}

// over reports whether what people approved may not start any more at that time.
func over(s procedure.State, at time.Time) bool {
	if !at.Before(s.Authorized.GetValidUntil().AsTime()) || !at.Before(s.Requested.GetStartBy().AsTime()) {
		return true
	}
	_, missing := procedure.Count(s, at)
	return len(missing) > 0
}

// late says why a wave that was claimed must not begin any more; empty where it may,
// or where it has begun: what was begun in time is brought to its end. Between a
// claim and its effect lies a moment, or, where an executor was lost, a night. An error
// means that nobody can tell: it is looked at again until the claim is over.
func (s shell) late(ctx context.Context, t reactor.Task) (string, error) {
	now := s.now()
	if t.Now.After(now) {
		now = t.Now // by the server's clock
	}
	why := ""
	switch {
	case t.State.AbortBy != "":
		why = "aborted by " + t.State.AbortBy
	case begins(t.State) && over(t.State, now):
		why = "the approvals have expired"
	case s.begun(ctx, t):
		return "", nil // before anything that may have come up, or cannot be read
	default:
		var err error
		if why, err = s.stopped(ctx, t, now); err != nil {
			why, err = unsure(t, now, told(ctx, t, err))
		}
		if err != nil {
			return "", err
		}
	}
	if why == "" || s.begun(ctx, t) {
		return "", nil
	}
	for _, id := range t.State.WaveTargets() {
		if not, err := s.NotBegun(ctx, id, key(t.State)); err != nil || !not {
			return "", err
		}
	}
	return why, nil
}

// stopped says what came up since the claim that would have kept it from being made. An error
// means that it cannot be told.
func (s shell) stopped(ctx context.Context, t reactor.Task, now time.Time) (string, error) {
	holds, _, err := s.holds(ctx, t, now)
	switch {
	case err != nil:
		return "", err
	case len(holds) > 0:
		return "held by " + holds[0].GetRule() + " " + holds[0].GetSubject(), nil
	}
	if why, err := s.closed(ctx, t, now); err != nil || why != "" {
		return why, err
	}
	if why, err := s.alarmed(ctx, t); err != nil || why != "" {
		return why, err
	}
	if why, err := s.quarantined(ctx, t); err != nil || why != "" {
		return why, err
	}
	if why, err := s.outdated(ctx, t, now); err != nil || why != "" {
		return why, err
	}
	if !begins(t.State) {
		return "", nil
	}
	lapsed, unbound, _, err := s.lapsed(ctx, t, now)
	switch {
	case err != nil:
		return "", err
	case len(lapsed) > 0:
		return "the waiver by " + lapsed[0].GetOwner() + " has expired", nil
	case len(unbound) > 0:
		return "the waiver by " + unbound[0].GetOwner() + " does not say for which environment it was given", nil
	}
	gone, err := s.left(ctx, t)
	if err != nil {
		return "", err
	}
	if len(gone) == 0 {
		unsigned, err := s.unsigned(ctx, t)
		if err != nil || len(unsigned) == 0 {
			return "", err
		}
		return unsigned[0].GetMessage(), nil
	}
	return gone[0].GetPerson() + ", whose approval was counted, is not in " + gone[0].GetGroup() + " any more", nil
}

// begins reports whether nothing of the release has begun: it is its start that is claimed,
// however often it was claimed before, and whoever ordered it again. Only what has begun
// does not depend on the time of the approvals any more.
func begins(s procedure.State) bool { return len(s.Begun) == 0 }

// begun reports whether a target has seen any attempt at the wave, or may have.
func (s shell) begun(ctx context.Context, t reactor.Task) bool {
	return slices.ContainsFunc(t.State.WaveTargets(), func(id string) bool { return s.begunOn(ctx, t, id) })
}

func (s shell) begunOn(ctx context.Context, t reactor.Task, id string) bool {
	d, err := s.Driver(id)
	if err != nil {
		return true
	}
	for attempt := uint32(1); attempt <= t.State.Attempt; attempt++ {
		status, err := d.Probe(ctx, driver.ApplyKey(t.State.Release, t.State.Wave, attempt))
		if err != nil || !site.Untouched(status) {
			return true
		}
	}
	return false
}

// skipped tells those of the failed targets that saw nothing of it, and will not, from
// those that may have: what never ran anywhere is not remembered as what was taken back
// (PD-2.3).
func (s shell) skipped(ctx context.Context, t reactor.Task, results []*releasev1.TargetResult) {
	for _, r := range results {
		if r.GetStatus() != releasev1.TargetResult_STATUS_FAILED || s.begunOn(ctx, t, r.GetTarget()) {
			continue
		}
		if not, err := s.NotBegun(ctx, r.GetTarget(), key(t.State)); err == nil && not {
			r.Status = releasev1.TargetResult_STATUS_SKIPPED
		}
	}
}

// hold makes the start wait, until the given time or, where that is not known, for
// the recheck time of the procedure document.
func (s shell) hold(ctx context.Context, t reactor.Task, holds []*releasev1.HoldReason, until time.Time) ([]eventstore.Draft, error) {
	if until.IsZero() {
		index, err := s.Procedures.ByDigest(ctx, t.State.ProcedureDigest)
		if err != nil {
			return nil, err
		}
		until = procedure.NextLook(t.State, index.Document().GetDeadlines().GetRecheck().AsDuration(), t.Now)
	}
	return []eventstore.Draft{t.Draft(&releasev1.Event{Data: &releasev1.Event_StartHeld{StartHeld: &releasev1.Held{
		Reasons: holds, Until: timestamppb.New(until), ZoneData: zoneData(holds),
	}}})}, nil
}

// wait makes the start wait for what nobody knows the end of, or refuses it where it has
// waited for that long enough.
func (s shell) wait(ctx context.Context, t reactor.Task, holds []*releasev1.HoldReason) ([]eventstore.Draft, error) {
	if stuck := outlast(t, holds); len(stuck) > 0 {
		return s.refuse(t, stuck)
	}
	return s.hold(ctx, t, holds, time.Time{})
}

// holdBy makes the start wait for other systems, with what they said of alerts, and for
// whatever else it waits.
func (s shell) holdBy(ctx context.Context, t reactor.Task, said records, fired alerted, also []*releasev1.HoldReason) ([]eventstore.Draft, error) {
	until := said.until
	if len(fired.holds)+len(also) > 0 {
		until = time.Time{} // nobody knows when it is over
	}
	drafts, err := s.hold(ctx, t, slices.Concat(said.holds, fired.holds, also), until)
	if err != nil {
		return nil, err
	}
	drafts[0].Event.GetStartHeld().Alerts, drafts[0].Event.Unkept = fired.answers, slices.Concat(said.unkept, fired.unkept)
	return drafts, nil
}

// zoneData names the time zone database where a freeze holds.
func zoneData(holds []*releasev1.HoldReason) string {
	if slices.ContainsFunc(holds, func(h *releasev1.HoldReason) bool { return h.GetRule() == freeze.Rule }) {
		return freeze.ZoneData()
	}
	return ""
}

// changes names everything that is not any more what was approved, and returns the targets
// as it looked at them.
func (s shell) changes(ctx context.Context, t reactor.Task) (out []*releasev1.Finding, looked map[string]standing.Target, err error) {
	looked = map[string]standing.Target{}
	say := func(rule, subject, format string, args ...any) {
		out = append(out, &releasev1.Finding{
			Rule: rule, Severity: releasev1.Finding_SEVERITY_BLOCKING, Subject: subject, Message: fmt.Sprintf(format, args...),
		})
	}
	if procedure.ChangeDigest(t.State) != t.State.Authorized.GetChangeDigest() {
		say("change.digest", "", "what is to be executed is not what was approved")
	}
	if err := s.Verify(ctx, t.State); err != nil {
		if !site.Permanent(err) {
			return nil, nil, err
		}
		say("artifact.changed", "", "%s", site.Line(err.Error()))
	}
	bypassable, err := s.bypassable(ctx, t)
	if err != nil {
		return nil, nil, err
	}
	quarantined, _, err := s.Quarantined(ctx, t.State, bypassable)
	if err != nil {
		return nil, nil, err
	}
	out = append(out, quarantined...)
	if begins(t.State) {
		gone, err := s.left(ctx, t)
		if err != nil {
			return nil, nil, err
		}
		lapsed, unbound, _, err := s.lapsed(ctx, t, t.Now.Add(margin))
		if err != nil {
			return nil, nil, err
		}
		for _, w := range lapsed {
			say(ruleWaiver, w.GetArtifact(), "%s answered until %s for a gate that is not satisfied, and nobody does any more: request it again",
				w.GetOwner(), w.GetExpires().AsTime().UTC().Format(time.RFC3339))
		}
		for _, w := range unbound {
			say(ruleUnbound, w.GetArtifact(), "the waiver by %s does not say for which environment it was given: request it again with one that does", w.GetOwner())
		}
		for _, c := range gone {
			say(ruleApprover, c.GetPerson(), "%s approved for %s, and is not among them any more: request it again", c.GetPerson(), c.GetGroup())
		}
		unsigned, err := s.unsigned(ctx, t)
		if err != nil {
			return nil, nil, err
		}
		out = append(out, unsigned...)
	}
	for _, id := range t.State.WaveTargets() {
		if _, err := s.Driver(id); err != nil {
			say("target.unreachable", id, "%v", err)
		}
		target, err := standing.ReadTarget(ctx, s.Store, id)
		if err != nil {
			return nil, nil, err
		}
		looked[id] = target
		same, err := s.same(ctx, t.State, id, target)
		if err != nil {
			return nil, nil, err
		}
		if !same {
			say(procedure.HoldTargetChanged, id, "target %s was changed since it was looked at (generation %d, now %d, carries what release %q placed): request it again",
				id, t.State.Scoped(id).GetState().GetGeneration(), target.State.GetGeneration(), target.State.GetDeployed().GetRelease())
			continue
		}
		why, err := s.drifted(ctx, t.State, id, target)
		if err != nil {
			return nil, nil, err
		}
		if why != "" {
			say(procedure.HoldTargetChanged, id, "target %s is not as it was previewed (%s): request it again", id, why)
		}
	}
	return out, looked, nil
}

// drifted says what the target carries otherwise than when it was previewed, where
// nobody released anything to it since: somebody changed it by hand, and what people
// approved would not be what happens, nor the way back what was promised. A target that
// this release has changed differs on purpose, and so does one that another release
// holds, for which this one waits; of one that cannot tell nothing is known.
func (s shell) drifted(ctx context.Context, state procedure.State, id string, target standing.Target) (string, error) {
	if _, err := s.Driver(id); err != nil || slices.Contains(state.Begun, id) {
		return "", nil //nolint:nilerr // Somebody else says that there is no driver.
	}
	running, known, err := s.Carries(ctx, id, target, state.Release)
	saw := state.Preview(id).GetRollbackDigest()
	switch {
	case errors.Is(err, driver.ErrConflict):
		return site.Line(err.Error()), nil
	case err != nil:
		return "", err
	case !known, running == saw:
		return "", nil
	}
	return fmt.Sprintf("it carries %s, and carried %s", site.OrNothing(running), site.OrNothing(saw)), nil
}

// same reports whether the target is as it was when it was looked at in step 2. One
// on which another release was taken back since then is, if it carries again what it
// did, by the record and by its driver, and if it was not this artifact that had to
// be taken back.
func (s shell) same(ctx context.Context, state procedure.State, id string, target standing.Target) (bool, error) {
	seen, now := state.Scoped(id).GetState(), target.State
	if seen.GetGeneration() == now.GetGeneration() {
		return true, nil
	}
	if seen.GetGeneration() > now.GetGeneration() || seen.GetDeployed().GetRelease() != now.GetDeployed().GetRelease() ||
		seen.GetDeployed().GetDigest() != now.GetDeployed().GetDigest() {
		return false, nil
	}
	for i, gone := range now.GetRolledBack() {
		if uint64(i) < now.GetGeneration()-seen.GetGeneration() && gone.GetDigest() == state.PrimaryArtifact().GetDigest() {
			return false, nil
		}
	}
	d, err := s.Driver(id)
	if err != nil {
		return false, nil //nolint:nilerr // Somebody else says that there is no driver.
	}
	running, err := d.Running(ctx)
	if err != nil && !errors.Is(err, driver.ErrUnknown) {
		return false, err
	}
	return err == nil && running == seen.GetDeployed().GetDigest(), nil
}
