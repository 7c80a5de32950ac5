package policy

import (
	"fmt"
	"slices"

	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
)

// Widened returns the people who may do more by one document than by another, with what
// they may do (PD-9.4). Being in a group is a right of its own, because rules can ask for
// it in words that nobody but they understand; so is a name that a certificate may have.
// Whoever is on call for a group at some time gains what it gains, as far as that is for
// those on call, and it is said that it is while they are. Who may it as a member may it
// anyway, and gains nothing by a rota.
func Widened(before, after *Index) map[string][]string {
	widened := make(map[string][]string)
	for _, person := range after.document.GetPeople() {
		had := before.rights(person.GetId())
		var gained []string
		for right := range after.rights(person.GetId()) {
			if !had[right] && !had[may{what: right.what}] {
				gained = append(gained, right.String())
			}
		}
		if len(gained) > 0 {
			slices.Sort(gained)
			widened[person.GetId()] = gained
		}
	}
	return widened
}

// may is one right.
type may struct {
	// what somebody may do.
	what string
	// onCall is the group for which they have to be on call to do it, "" where they may anyway.
	onCall string
}

// String is the right in words.
func (m may) String() string {
	if m.onCall == "" {
		return m.what
	}
	return m.what + " while on call for " + m.onCall
}

// rights are what a person may do by the document.
func (x *Index) rights(id string) map[may]bool {
	person := x.Person(id)
	all := make(map[may]bool)
	if person.GetId() != id || person.GetInactive() {
		return all
	}
	has := func(format string, args ...any) { all[may{what: fmt.Sprintf(format, args...)}] = true }
	for _, alias := range person.GetAliases() {
		has("be known as %s", fold(alias))
	}
	groups := x.GroupsOf(id)
	for _, g := range groups {
		has("be a member of %s", g)
	}
	if person.GetMachine() {
		return all
	}
	has("decide as a person")
	x.turns(id, has)
	rostered := x.Rostered(id)
	// waits is for the members alone, urgent for who is on call as well (see on_call.go).
	waits := func(group, format string, args ...any) {
		if slices.Contains(groups, group) {
			has(format, args...)
		}
	}
	urgent := func(group, format string, args ...any) {
		waits(group, format, args...)
		if !slices.Contains(groups, group) && slices.Contains(rostered, group) {
			all[may{what: fmt.Sprintf(format, args...), onCall: group}] = true
		}
	}
	doc := x.document
	approve := func(rules []*policyv1.Approvals, what string, args ...any) {
		for _, rule := range rules {
			urgent(rule.GetGroup(), "%s for %s", fmt.Sprintf(what, args...), rule.GetGroup())
		}
	}
	for _, e := range doc.GetEnvironments() {
		approve(e.GetApprovals(), "approve releases to %s", e.GetName())
	}
	approve(doc.GetNoRollbackApprovals(), "approve releases without a way back")
	approve(doc.GetRollbackReadiness().GetApprovals(), "approve releases whose way back is not shown")
	approve(doc.GetHighRiskApprovals(), "approve releases of high risk")
	for _, level := range doc.GetRiskScore().GetLevels() {
		approve(level.GetApprovals(), "approve releases by their risk score")
		approve(level.GetLane().GetApprovals(), "approve standard changes of the lane %s", level.GetLane().GetName())
	}
	for _, s := range doc.GetServices() {
		for _, g := range s.GetOwnerGroups() {
			waits(g, "own releases of %s", s.GetName())
		}
		for _, c := range s.GetChecks() {
			for _, g := range c.GetSignOff().GetGroups() {
				urgent(g, "sign off check %s of releases of %s", c.GetName(), s.GetName())
			}
		}
		if slices.Contains(s.GetOwners(), id) {
			has("own releases of %s", s.GetName())
		}
	}
	for _, g := range doc.GetGates() {
		waits(g.GetReviewerGroup(), "review for the gate %s", g.GetName())
	}
	for _, rung := range doc.GetEscalation().GetRungs() {
		urgent(rung.GetGroup(), "take escalations on")
	}
	for _, f := range doc.GetFreezes() {
		for _, g := range f.GetOverrideGroups() {
			waits(g, "override the freeze %s", f.GetName())
		}
		if slices.Contains(f.GetOverridePeople(), id) {
			has("override the freeze %s", f.GetName())
		}
	}
	urgent(doc.GetEmergency().GetGroup(), "authorize emergencies alone")
	approve(doc.GetEmergency().GetQuota().GetOver(), "authorize emergencies beyond the quota")
	waits(doc.GetEmergency().GetReviewGroup(), "review emergencies")
	urgent(doc.GetOperatorsGroup(), "pause, resume, abort, retry, roll back and accept releases")
	waits(doc.GetQuarantine().GetGroup(), "let artifacts out of quarantine")
	waits(doc.GetChangeControl().GetApprovals().GetGroup(), "approve changes of the procedure document")
	if x.MayPropose(groups) {
		has("propose changes of the procedure document")
	}
	return all
}

// turns are for which groups a person is on call at some time. At which times is
// said of the rotas (Loosened): another order of turns gives nobody a right who had none.
func (x *Index) turns(id string, has func(format string, args ...any)) {
	for _, name := range x.Rostered(id) {
		call := x.groups[name].GetOnCall()
		if slices.ContainsFunc(call.GetRotas(), func(r *policyv1.Rota) bool { return slices.Contains(r.GetPeople(), id) }) {
			has("be on call for %s", name)
		}
		for _, o := range call.GetOverrides() {
			if o.GetPerson() == id {
				has("be on call for %s from %s until %s", name, stamped(o.GetFrom().AsTime()), stamped(o.GetUntil().AsTime()))
			}
		}
	}
}
