package policy

import (
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"

	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// Loosened returns what one document demands less of than another, whoever asks: the
// commonest in words of their own, the rest by field, as loosening says of each. Where the
// direction of a change cannot be told, the change is named. What it calls no loosening may
// still be one together with others: that nothing is named is no proof.
func Loosened(before, after *policyv1.Procedure) []string {
	l := &loosened{}
	for _, was := range before.GetEnvironments() {
		now := find(after.GetEnvironments(), was.GetName(), (*policyv1.Environment).GetName)
		if now == nil {
			continue
		}
		l.quorum("a release to "+was.GetName(), was.GetApprovals(), now.GetApprovals())
		l.lost(was.GetRequireSignedRequests(), now.GetRequireSignedRequests(), "requests for %s need no signature", was.GetName())
		l.lost(was.GetRequireSignedApprovals(), now.GetRequireSignedApprovals(), "approvals for %s need no signature", was.GetName())
		l.lost(was.GetRequireNotice(), now.GetRequireNotice(), "nobody has to be told before a release to %s", was.GetName())
	}
	l.quorum("a release without a way back", before.GetNoRollbackApprovals(), after.GetNoRollbackApprovals())
	l.remediation(before, after)
	l.readiness(before.GetRollbackReadiness(), after.GetRollbackReadiness())
	l.quorum("a release of high risk", before.GetHighRiskApprovals(), after.GetHighRiskApprovals())
	for _, was := range before.GetRiskScore().GetLevels() {
		for _, now := range after.GetRiskScore().GetLevels() {
			if now.GetFrom() == was.GetFrom() { // That one is gone is said of the levels.
				l.quorum(fmt.Sprintf("a release that weighs %d or more", was.GetFrom()), was.GetApprovals(), now.GetApprovals())
			}
		}
	}
	l.lanes(before.GetRiskScore(), after.GetRiskScore())
	for _, area := range before.GetHighRiskAreas() {
		l.lost(true, slices.Contains(after.GetHighRiskAreas(), area), "the area %s is of high risk no more", area)
	}
	for _, was := range before.GetGates() {
		l.gate(was, find(after.GetGates(), was.GetName(), (*policyv1.Gate).GetName))
	}
	for _, was := range before.GetChangeRecords() {
		now := find(after.GetChangeRecords(), was.GetName(), (*policyv1.ChangeRecordRule).GetName)
		l.lost(true, now != nil, "the change record of %s is not looked up", was.GetName())
		l.lost(!was.GetBypassable(), now == nil || !now.GetBypassable(), "an emergency may bypass the change record of %s", was.GetName())
	}
	for _, was := range before.GetFreezes() {
		now := find(after.GetFreezes(), was.GetName(), (*policyv1.Freeze).GetName)
		l.lost(true, now != nil, "the freeze %s is gone", was.GetName())
		l.lost(now != nil, sameWindow(was, now), "the freeze %s is at another time or place", was.GetName())
		l.lost(!was.GetBypassable(), now == nil || !now.GetBypassable(), "an emergency may bypass the freeze %s", was.GetName())
	}
	l.lost(!before.GetQuarantine().GetBypassable(), !after.GetQuarantine().GetBypassable(), "an emergency may bypass a quarantine")
	for _, was := range before.GetServices() {
		now := find(after.GetServices(), was.GetName(), (*policyv1.Service).GetName)
		for _, need := range was.GetRequirements() {
			still := find(now.GetRequirements(), need.GetService(), (*policyv1.Requirement).GetService)
			l.lost(now != nil, proto.Equal(need, still), "%s needs %s %s no more", was.GetName(), need.GetService(), need.GetVersions())
		}
		for _, c := range was.GetChecks() {
			l.signOff(was.GetName(), c, find(now.GetChecks(), c.GetName(), (*releasev1.Check).GetName))
		}
	}
	for _, now := range after.GetPeople() {
		was := find(before.GetPeople(), now.GetId(), (*policyv1.Person).GetId)
		for _, key := range now.GetSigningKeys() {
			known := slices.ContainsFunc(was.GetSigningKeys(), func(k *policyv1.PersonKey) bool { return k.GetSsh() == key.GetSsh() })
			l.lost(true, known, "approvals of %s may be signed with %s", now.GetId(), short(key.GetSsh()))
		}
		for _, id := range now.GetSigningIdentities() {
			l.lost(true, identityOf(was, id) != nil, "approvals of %s may be signed by %.80q of %.80q", now.GetId(), id.GetSubject(), id.GetIssuer())
		}
	}
	for _, now := range after.GetKeys() {
		was := find(before.GetKeys(), now.GetId(), (*policyv1.Key).GetId)
		l.lost(true, was != nil && slices.Equal(was.GetEd25519(), now.GetEd25519()), "the key %s is trusted", now.GetId())
	}
	for _, now := range after.GetSigstore().GetIdentities() {
		l.lost(true, find(before.GetSigstore().GetIdentities(), now.GetId(), (*policyv1.Identity).GetId) != nil, "the identity %s is trusted", now.GetId())
	}
	for _, now := range after.GetGroups() {
		l.takeovers(now.GetName(), find(before.GetGroups(), now.GetName(), (*policyv1.Group).GetName).GetOnCall(), now.GetOnCall())
	}
	if was := before.GetChangeControl(); was != nil {
		l.quorum("a change of the procedure document", []*policyv1.Approvals{was.GetApprovals()}, []*policyv1.Approvals{after.GetChangeControl().GetApprovals()})
	}
	l.drift("", before.ProtoReflect(), after.ProtoReflect())
	return l.found
}

// takeovers notes who is on call for a group instead of whom the rota says, and was not; and
// where the one whom the rota says is on call again.
func (l *loosened) takeovers(group string, before, after *policyv1.OnCall) {
	same := func(all []*policyv1.OnCallOverride, o *policyv1.OnCallOverride) bool {
		return slices.ContainsFunc(all, func(other *policyv1.OnCallOverride) bool {
			return other.GetPerson() == o.GetPerson() && proto.Equal(other.GetFrom(), o.GetFrom()) && proto.Equal(other.GetUntil(), o.GetUntil())
		})
	}
	for _, o := range after.GetOverrides() {
		l.lost(true, same(before.GetOverrides(), o), "%s is on call for %s from %s until %s", o.GetPerson(), group, stamped(o.GetFrom().AsTime()), stamped(o.GetUntil().AsTime()))
	}
	for _, o := range before.GetOverrides() {
		l.lost(after != nil, same(after.GetOverrides(), o), "whom the rota says is on call for %s from %s until %s, and not %s",
			group, stamped(o.GetFrom().AsTime()), stamped(o.GetUntil().AsTime()), o.GetPerson())
	}
}

// signOff notes where people sign a check of a service off no more, who may besides those who might,
// and where they are asked something else. That a check is gone is said of the service's checks; how
// long people may take is no demand.
func (l *loosened) signOff(service string, was, now *releasev1.Check) {
	before, after := was.GetSignOff(), now.GetSignOff()
	if before == nil || now == nil {
		return
	}
	if after == nil {
		l.lost(true, false, "nobody signs off check %s of %s", was.GetName(), service)
		return
	}
	for _, g := range after.GetGroups() {
		l.lost(true, slices.Contains(before.GetGroups(), g), "somebody of %s may sign off check %s of %s", g, was.GetName(), service)
	}
	l.lost(true, before.GetQuestion() == after.GetQuestion(), "who signs off check %s of %s is asked %q instead of %q",
		was.GetName(), service, after.GetQuestion(), before.GetQuestion())
}

// sameWindow reports whether two freezes hold at the same times for the same things.
func sameWindow(a, b *policyv1.Freeze) bool {
	bare := func(f *policyv1.Freeze) *policyv1.Freeze {
		return &policyv1.Freeze{
			Kind: f.GetKind(), When: f.GetWhen(),
			Environments: f.GetEnvironments(), Services: f.GetServices(), Targets: f.GetTargets(), Customers: f.GetCustomers(),
		}
	}
	return proto.Equal(bare(a), bare(b))
}

// short is enough of a public key to know it again.
func short(key string) string { return "…" + key[max(0, len(key)-16):] }

type loosened struct{ found []string }

// lost notes what was demanded and is no more.
func (l *loosened) lost(was, is bool, format string, args ...any) {
	if was && !is {
		l.found = append(l.found, fmt.Sprintf(format, args...))
	}
}

func (l *loosened) quorum(of string, before, after []*policyv1.Approvals) {
	for _, was := range before {
		now := find(after, was.GetGroup(), (*policyv1.Approvals).GetGroup)
		l.lost(true, now.GetCount() >= was.GetCount(), "%s needs %d approvals of %s instead of %d", of, now.GetCount(), was.GetGroup(), was.GetCount())
	}
}

func (l *loosened) gate(was, now *policyv1.Gate) {
	if now == nil {
		l.lost(true, false, "the gate %s is gone", was.GetName())
		return
	}
	l.lost(!was.GetBypassable(), !now.GetBypassable(), "an emergency may bypass the gate %s", was.GetName())
	l.lost(true, now.GetMinReviewers() >= was.GetMinReviewers(), "the gate %s needs %d reviewers instead of %d", was.GetName(), now.GetMinReviewers(), was.GetMinReviewers())
	for _, rule := range was.GetRules() {
		kept := find(now.GetRules(), rule.GetName(), (*policyv1.Rule).GetName)
		l.lost(true, kept != nil, "the rule %s of the gate %s is gone", rule.GetName(), was.GetName())
	}
}

// find returns the element with that name, or nil.
func find[T any](elements []*T, wanted string, name func(*T) string) *T {
	for _, e := range elements {
		if name(e) == wanted {
			return e
		}
	}
	return nil
}
