package chaos

import (
	"slices"
	"strings"
	"time"

	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// targets looks at every effect that every target had.
func (b *bench) targets() error {
	for _, t := range b.world.plan.Targets {
		effects, err := b.world.effects(t)
		if err != nil {
			return err
		}
		times := map[string]int{}
		for _, e := range effects {
			release, name := b.owner(t, e)
			times[name]++
			if times[name] > b.allowed(t, release, e) {
				b.count(&b.Double, "double", "%s had %s %d times", t.ID, name, times[name])
			}
			b.effect(t, release, e)
		}
	}
	return nil
}

// owner is the release to which an effect belongs, and the effect's name: all
// attempts at one effect have the same.
func (b *bench) owner(t targetPlan, e effect) (release, name string) {
	if t.Kind == kindCommand {
		release = b.artifacts[e.Artifact]
		return release, e.Artifact + "/" + e.Action
	}
	release, _, _ = strings.Cut(e.Key, "/")
	return release, e.Effect
}

// allowed is how often a target may have had an effect. Nobody can tell what became
// of a command that was lost, so a person may have it run again.
func (b *bench) allowed(t targetPlan, release string, e effect) int {
	if t.Kind != kindCommand {
		return 1
	}
	again := releasev1.Intervened_ACTION_RETRY
	if e.Action == "rollback" {
		again = releasev1.Intervened_ACTION_ROLL_BACK
	}
	n := 1
	for _, x := range b.counted[release] {
		if x.Event.GetIntervened().GetAction() == again {
			n++
		}
	}
	return n
}

// effect looks whether one effect was allowed when it happened.
func (b *bench) effect(t targetPlan, release string, e effect) {
	state, known := b.states[release]
	if !known {
		b.count(&b.Unapproved, "unapproved", "%s had %s of %s, which is no release", t.ID, e.Action, release)
		return
	}
	for _, x := range b.counted[release] {
		if x.Event.GetTargetsReleased() != nil && e.Time.After(x.Stored) {
			b.count(&b.Early, "early", "%s had %s of %s %s after it was let go", t.ID, e.Action, release, e.Time.Sub(x.Stored))
		}
	}
	claim, ok := b.claim(t, release, e)
	if !ok {
		b.count(&b.Unapproved, "unapproved", "%s had %s of %s without a claim", t.ID, e.Action, release)
		return
	}
	for _, x := range b.counted[release] {
		if x.Event.GetIntervened() != nil && x.Sequence > claim.Sequence && e.Time.After(x.Stored) {
			b.count(&b.Early, "early", "%s had %s of %s %s after a person had decided about its claim", t.ID, e.Action, release, e.Time.Sub(x.Stored))
		}
	}
	if e.Action != "apply" {
		return
	}
	if want := state.Request.GetArtifacts()[0].GetDigest(); e.Digest != want {
		b.count(&b.Unapproved, "unapproved", "%s was given %s by %s, not %s", t.ID, e.Digest, release, want)
	}
	b.time(t, release, e, claim)
	if why := b.unapproved(release, claim); why != "" {
		b.count(&b.Unapproved, "unapproved", "%s had the effect of %s: %s", t.ID, release, why)
	}
}

// claim finds the claim under which an effect happened: the one that was stored
// together with the lock that is the effect's fence. Commands keep no fence; theirs
// is the newest claim before.
func (b *bench) claim(t targetPlan, release string, e effect) (procedure.Entry, bool) {
	var found procedure.Entry
	for _, x := range b.counted[release] {
		targets := x.Event.GetExecutionClaimed().GetTargets()
		if e.Action == "rollback" {
			targets = x.Event.GetRollbackClaimed().GetTargets()
		}
		if !slices.Contains(targets, t.ID) {
			continue
		}
		switch {
		case t.Kind == kindCommand && !x.Stored.After(e.Time):
			found = x
		case t.Kind != kindCommand && x.Sequence < e.Fence.Sequence && e.Fence.Sequence <= x.Sequence+uint64(len(targets)):
			found = x
		}
	}
	if found.Event == nil || t.Kind == kindCommand {
		return found, found.Event != nil
	}
	locked := slices.ContainsFunc(b.entries["tgt."+t.ID], func(x procedure.Entry) bool {
		return x.Sequence == e.Fence.Sequence && x.Event.GetTargetLocked().GetRelease() == release
	})
	return found, locked
}

// time counts what started before it might, or after it might no longer.
func (b *bench) time(t targetPlan, release string, e effect, claim procedure.Entry) {
	r := b.states[release].Request
	if nb := r.GetNotBefore(); nb != nil && (e.Time.Before(nb.AsTime()) || claim.Stored.Before(nb.AsTime())) {
		b.count(&b.Early, "early", "%s was changed by %s at %s, not to be before %s", t.ID, release, e.Time, nb.AsTime())
	}
	frozen := slices.ContainsFunc(b.world.plan.Lanes, func(l lane) bool { return l.Frozen && l.Service == r.GetService() })
	if frozen && (e.Time.Before(b.world.freeze) || claim.Stored.Before(b.world.freeze)) {
		b.count(&b.Early, "early", "%s was changed by %s in a freeze", t.ID, release)
	}
	if by := claim.Event.GetExecutionClaimed().GetDeadline().AsTime(); e.Time.After(by) {
		b.count(&b.Early, "early", "%s was changed by %s %s after the claim's deadline", t.ID, release, e.Time.Sub(by))
	}
}

// unapproved says why a claim was not approved; empty where it was. It counts the
// approvals by itself: by whom they are, of what, and until when.
func (b *bench) unapproved(release string, claim procedure.Entry) string {
	var before []procedure.Entry
	for _, e := range b.counted[release] {
		if e.Sequence < claim.Sequence {
			before = append(before, e)
		}
	}
	state, _ := procedure.Fold(release, before)
	digest := claim.Event.GetExecutionClaimed().GetChangeDigest()
	if digest != procedure.ChangeDigest(state) {
		return "the claim is of another change"
	}
	approved := map[string]*releasev1.Actor{}
	var authorized *releasev1.Authorized
	var quorum []*releasev1.QuorumRule
	started := false
	for _, e := range before {
		actor := e.Event.GetActor()
		switch d := e.Event.GetData().(type) {
		case *releasev1.Event_RiskCleared:
			quorum = d.RiskCleared.GetQuorum()
		case *releasev1.Event_ApprovalGiven:
			own := []string{state.Request.GetOwner(), state.Request.GetRequester()}
			if d.ApprovalGiven.GetChangeDigest() == digest && actor.GetKind() == releasev1.Actor_KIND_HUMAN &&
				!slices.Contains(append(own, state.Request.GetAuthors()...), actor.GetId()) &&
				(started || claim.Stored.Before(d.ApprovalGiven.GetExpires().AsTime()) || begun(before)) {
				approved[actor.GetId()] = actor
			}
		case *releasev1.Event_ApprovalWithdrawn:
			delete(approved, actor.GetId())
		case *releasev1.Event_Authorized:
			authorized = d.Authorized
		case *releasev1.Event_ExecutionClaimed:
			started = true
		case *releasev1.Event_Rejected, *releasev1.Event_Withdrawn, *releasev1.Event_Expired, *releasev1.Event_Superseded:
			return "it had ended: " + procedure.TypeOf(e.Event)
		}
	}
	return short(state, authorized, quorum, approved, digest, claim.Stored, started)
}

// begun reports whether the wave was begun before: who takes over goes on.
func begun(before []procedure.Entry) bool {
	return slices.ContainsFunc(before, func(e procedure.Entry) bool { return e.Event.GetExecutionClaimed() != nil })
}

func short(
	state procedure.State, authorized *releasev1.Authorized, quorum []*releasev1.QuorumRule, approved map[string]*releasev1.Actor,
	digest string, at time.Time, started bool,
) string {
	switch {
	case authorized.GetChangeDigest() != digest:
		return "what was authorized is another change"
	case !started && !at.Before(authorized.GetValidUntil().AsTime()):
		return "the authorization was over"
	case !started && !at.Before(state.Requested.GetStartBy().AsTime()):
		return "it was to start earlier"
	case len(quorum) == 0:
		return "no quorum was set"
	}
	total := 0
	for _, q := range quorum {
		total += int(q.GetCount())
		of := 0
		for _, a := range approved {
			if slices.Contains(a.GetGroups(), q.GetGroup()) {
				of++
			}
		}
		if of < int(q.GetCount()) {
			return "approvals of " + q.GetGroup() + " are missing"
		}
	}
	if len(approved) < total {
		return "somebody was counted twice"
	}
	return ""
}

// deadlines counts deadlines that were said to have passed before they had. Also an
// event that does not count says what its writer believed.
func (b *bench) deadlines() {
	for release, s := range b.states {
		for _, e := range b.entries["rel."+release] {
			var due time.Time
			switch d := e.Event.GetData().(type) {
			case *releasev1.Event_DeadlinePassed:
				due = d.DeadlinePassed.GetDue().AsTime()
			case *releasev1.Event_Expired:
				due = b.expiry(release, s, e, d.Expired.GetDeadline())
			}
			if !due.IsZero() && e.Stored.Before(due) {
				b.count(&b.Early, "early", "%s: %s %s before it was due", release, procedure.TypeOf(e.Event), due.Sub(e.Stored))
			}
		}
	}
}

// expiry is when the release expired, by the newest event before that says so.
func (b *bench) expiry(release string, s procedure.State, at procedure.Entry, kind releasev1.Deadline) time.Time {
	due := s.Requested.GetStartBy().AsTime()
	for _, e := range b.counted[release] {
		if e.Sequence >= at.Sequence {
			break
		}
		switch d := e.Event.GetData().(type) {
		case *releasev1.Event_RiskCleared:
			if kind == releasev1.Deadline_DEADLINE_APPROVE {
				due = d.RiskCleared.GetApproveBy().AsTime()
			}
		case *releasev1.Event_Authorized:
			if until := d.Authorized.GetValidUntil().AsTime(); kind == releasev1.Deadline_DEADLINE_START && until.Before(due) {
				due = until
			}
		}
	}
	return due
}
