package policy

import (
	"cmp"
	"slices"
	"time"

	"github.com/blackdice/shipwarden/procedure"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// RequiredGates returns the gates that a release must satisfy, in the order of
// the document (PD-1.1). Every list of a gate that is not empty must match: its
// environments hold the environment, its triggers the trigger, its kinds at
// least one kind of the artifacts, its areas at least one area of the risk.
func (x *Index) RequiredGates(environment string, kinds []releasev1.ArtifactKind, trigger releasev1.Trigger, areas []string) []*policyv1.Gate {
	return requiredGates(x.document, environment, kinds, trigger, areas)
}

func requiredGates(document *policyv1.Procedure, environment string, kinds []releasev1.ArtifactKind, trigger releasev1.Trigger, areas []string) []*policyv1.Gate {
	var required []*policyv1.Gate
	for _, gate := range document.GetGates() {
		if emptyOrHas(gate.GetEnvironments(), environment) &&
			emptyOrHas(gate.GetTriggers(), trigger) &&
			emptyOrMeets(gate.GetKinds(), kinds) &&
			emptyOrMeets(gate.GetAreas(), areas) {
			required = append(required, gate)
		}
	}
	return required
}

// GatesFor is RequiredGates for a request.
func (x *Index) GatesFor(request *releasev1.Request) []*policyv1.Gate {
	return gatesFor(x.document, request)
}

func gatesFor(document *policyv1.Procedure, request *releasev1.Request) []*policyv1.Gate {
	var kinds []releasev1.ArtifactKind
	for _, artifact := range request.GetArtifacts() {
		kinds = append(kinds, artifact.GetKind())
	}
	return requiredGates(document, request.GetEnvironment(), kinds, request.GetTrigger(), request.GetRisk().GetAreas())
}

// HighRiskAreas returns those of the request's risk areas that the procedure
// counts as high-risk, in the order of the request.
func HighRiskAreas(procedure *policyv1.Procedure, request *releasev1.Request) []string {
	var high []string
	for _, area := range request.GetRisk().GetAreas() {
		if slices.Contains(procedure.GetHighRiskAreas(), area) {
			high = append(high, area)
		}
	}
	return high
}

// Quorum returns the approvals that a release needs, by group in alphabetical
// order (PD-A.2, PD-3.5): those of its environment, and those for a release
// without a way back and for a high-risk one where that applies, and more that a level of
// risk asks for. Where several
// rules name one group, the largest number counts: the same people are asked
// once, and are to sign if any of the rules says so. The emergency lane does not pass
// through here; Needed knows of both.
func Quorum(procedure *policyv1.Procedure, request *releasev1.Request, rollbackImpossible, highRisk bool, more ...*policyv1.Approvals) []*releasev1.QuorumRule {
	var rules []*policyv1.Approvals
	need := func(these []*policyv1.Approvals) { rules = append(rules, these...) }
	for _, environment := range procedure.GetEnvironments() {
		if environment.GetName() == request.GetEnvironment() {
			need(environment.GetApprovals())
		}
	}
	if rollbackImpossible {
		need(withoutWayBack(procedure, request))
	}
	if highRisk {
		need(procedure.GetHighRiskApprovals())
	}
	need(more)
	return together(requireSigned(procedure, request.GetEnvironment()), rules)
}

// together are the approvals that rules ask for, each group once; all says that every one must
// be signed.
func together(all bool, asked []*policyv1.Approvals) []*releasev1.QuorumRule {
	counts, signed := make(map[string]uint32), make(map[string]bool)
	for _, rule := range asked {
		counts[rule.GetGroup()] = max(counts[rule.GetGroup()], rule.GetCount())
		signed[rule.GetGroup()] = signed[rule.GetGroup()] || rule.GetSigned() || all
	}
	rules := make([]*releasev1.QuorumRule, 0, len(counts))
	for group, count := range counts {
		rules = append(rules, &releasev1.QuorumRule{Group: group, Count: count, Signed: signed[group]})
	}
	slices.SortFunc(rules, func(a, b *releasev1.QuorumRule) int { return cmp.Compare(a.GetGroup(), b.GetGroup()) })
	return rules
}

// Needed returns the approvals that a release in that state needs, in whichever lane it
// is, weighed at that time (PD-A.2, PD-3.4): those of its environment, for a release without
// a way back and for a high-risk one, and of the level of its risk, or those of the lane by
// which it goes; in an emergency that of
// the lane, and where it is one too many by the quota those that this takes besides. Step 3
// asks for them, and the executor asks again before anything happens, since whoever could
// forge an approval could ask for fewer as well. It depends on its arguments alone.
func Needed(document *policyv1.Procedure, s procedure.State, at time.Time, tooMany bool) []*releasev1.QuorumRule {
	request := s.Request
	if s.Emergency() {
		rules := []*releasev1.QuorumRule{{
			Group: document.GetEmergency().GetGroup(), Count: 1, Signed: requireSigned(document, request.GetEnvironment()),
		}}
		if tooMany {
			rules = append(rules, OverQuota(document, request.GetEnvironment())...)
		}
		return rules
	}
	back := WayBackOf(document, s)
	_, level := Score(document, s, back.Why != "", at)
	if lane, _ := enters(document, s, level); lane != nil {
		return together(LaneSigns(document, request.GetEnvironment()), lane.GetApprovals())
	}
	return Quorum(document, request, back.Approvals, len(HighRiskAreas(document, request)) > 0, level.GetApprovals()...)
}

// OverQuota returns the approvals that an emergency beyond the quota takes besides that of
// the lane. Those of the lane's own group are counted on top of its one.
func OverQuota(document *policyv1.Procedure, environment string) []*releasev1.QuorumRule {
	var rules []*releasev1.QuorumRule
	for _, rule := range document.GetEmergency().GetQuota().GetOver() {
		rules = append(rules, &releasev1.QuorumRule{
			Group: rule.GetGroup(), Count: rule.GetCount(), Signed: rule.GetSigned() || requireSigned(document, environment),
		})
	}
	return rules
}

// requireSigned reports whether every approval for an environment must be signed.
func requireSigned(procedure *policyv1.Procedure, environment string) bool {
	return slices.ContainsFunc(procedure.GetEnvironments(), func(e *policyv1.Environment) bool {
		return e.GetName() == environment && e.GetRequireSignedApprovals()
	})
}

// emptyOrHas says whether a list that means everything when it is empty holds a value.
func emptyOrHas[T comparable](list []T, value T) bool {
	return len(list) == 0 || slices.Contains(list, value)
}

// emptyOrMeets says whether such a list holds at least one of some values.
func emptyOrMeets[T comparable](list, values []T) bool {
	return len(list) == 0 || slices.ContainsFunc(values, func(value T) bool { return slices.Contains(list, value) })
}
