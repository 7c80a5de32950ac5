package chaos

import (
	"maps"
	"slices"
	"time"

	"github.com/blackdice/shipwarden/procedure"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// unapproved says why a claim was not approved; empty where it was. It counts the
// approvals by itself: who asked for them by the clients' history, of what, until when,
// and in which groups they are by the procedure document. What the services wrote down
// of groups is not believed, and of the quorum only what asks for more.
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
	approved := map[string]bool{}
	var authorized *releasev1.Authorized
	quorum := b.required(release, state, claim)
	started := slices.ContainsFunc(before, func(e procedure.Entry) bool { return e.Event.GetExecutionClaimed() != nil })
	for _, e := range before {
		person := e.Event.GetActor().GetId()
		switch d := e.Event.GetData().(type) {
		case *releasev1.Event_RiskCleared:
			for _, q := range d.RiskCleared.GetQuorum() {
				quorum[q.GetGroup()] = max(quorum[q.GetGroup()], int(q.GetCount()))
			}
		case *releasev1.Event_ApprovalGiven:
			own := append([]string{state.Request.GetOwner(), state.Request.GetRequester()}, state.Request.GetAuthors()...)
			if d.ApprovalGiven.GetChangeDigest() == digest && b.human(person) && !slices.Contains(own, person) && b.asked(release, e.Event) &&
				// Who takes over goes on with what was begun.
				(started || claim.Stored.Before(d.ApprovalGiven.GetExpires().AsTime())) {
				approved[person] = true
			}
		case *releasev1.Event_ApprovalWithdrawn:
			delete(approved, person)
		case *releasev1.Event_Authorized:
			authorized = d.Authorized
		case *releasev1.Event_Rejected, *releasev1.Event_Withdrawn, *releasev1.Event_Expired, *releasev1.Event_Superseded:
			return "it had ended: " + procedure.TypeOf(e.Event)
		}
	}
	if why := over(state, authorized, digest, claim.Stored, started); why != "" {
		return why
	}
	return b.short(quorum, approved)
}

// over says why the start came too late, or was of something else.
func over(state procedure.State, authorized *releasev1.Authorized, digest string, at time.Time, started bool) string {
	switch {
	case authorized.GetChangeDigest() != digest:
		return "what was authorized is another change"
	case !started && !at.Before(authorized.GetValidUntil().AsTime()):
		return "the authorization was over"
	case !started && !at.Before(state.Requested.GetStartBy().AsTime()):
		return "it was to start earlier"
	}
	return ""
}

// required are the approvals that the procedure document asks for, by group: those of
// an emergency, or those of the environment, and more where one of the targets has
// never carried anything that it could go back to.
func (b *bench) required(release string, state procedure.State, claim procedure.Entry) map[string]int {
	if state.Request.GetTrigger() == releasev1.Trigger_TRIGGER_EMERGENCY {
		return map[string]int{b.document.GetEmergency().GetGroup(): 1}
	}
	out := map[string]int{}
	need := func(rules []*policyv1.Approvals) {
		for _, r := range rules {
			out[r.GetGroup()] = max(out[r.GetGroup()], int(r.GetCount()))
		}
	}
	for _, e := range b.document.GetEnvironments() {
		if e.GetName() == state.Request.GetEnvironment() {
			need(e.GetApprovals())
		}
	}
	for _, id := range procedure.Targets(state.Request) {
		t := b.world.target(id)
		if !slices.ContainsFunc(b.effects[id], func(e effect) bool {
			owner, _ := b.owner(t, e)
			return owner != release && e.Time.Before(claim.Stored)
		}) {
			need(b.document.GetNoRollbackApprovals())
		}
	}
	return out
}

// human reports whether the procedure document knows a person of that name.
func (b *bench) human(id string) bool {
	return slices.ContainsFunc(b.document.GetPeople(), func(p *policyv1.Person) bool {
		return p.GetId() == id && !p.GetMachine() && !p.GetInactive()
	})
}

// short says which approvals are missing; nobody counts for two.
func (b *bench) short(quorum map[string]int, approved map[string]bool) string {
	if len(quorum) == 0 {
		return "no approval was asked for"
	}
	total := 0
	for _, group := range slices.Sorted(maps.Keys(quorum)) {
		total += quorum[group]
		of := 0
		for _, g := range b.document.GetGroups() {
			for _, member := range g.GetMembers() {
				if g.GetName() == group && approved[member] {
					of++
				}
			}
		}
		if of < quorum[group] {
			return "approvals of " + group + " are missing"
		}
	}
	if len(approved) < total {
		return "somebody was counted twice"
	}
	return ""
}
