package policy

import (
	"fmt"
	"slices"

	"github.com/blackdice/shipwarden/procedure"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// WayBack is what a procedure document makes of the way back of a release (PD-3.5).
type WayBack struct {
	// Why there is none; empty where there is one.
	Why string
	// Plan says that the request must say what is done instead, and Approvals that more
	// people have to agree.
	Plan, Approvals bool
}

// WayBackOf judges the way back of a release whose targets were looked at. It depends on
// its arguments alone.
func WayBackOf(document *policyv1.Procedure, s procedure.State) WayBack {
	targets := procedure.Targets(s.Request)
	ok, why := procedure.HasWayBack(s, targets)
	if ok {
		return WayBack{}
	}
	w := WayBack{Why: why, Plan: true, Approvals: true}
	if DemandsProof(document, s.Request) && procedure.OnlyFirst(s, targets) {
		switch document.GetRollbackReadiness().GetFirstRelease() {
		case policyv1.RollbackReadiness_FIRST_RELEASE_FREE:
			w.Plan, w.Approvals = false, false
		case policyv1.RollbackReadiness_FIRST_RELEASE_PLAN:
			w.Approvals = false
		case policyv1.RollbackReadiness_FIRST_RELEASE_UNSPECIFIED:
		}
	}
	return w
}

// DemandsProof reports whether the way back of a release has to be shown. A request to
// roll back is the way back itself, which is not kept waiting for a proof of how to leave
// it again.
func DemandsProof(document *policyv1.Procedure, r *releasev1.Request) bool {
	return document.GetRollbackReadiness() != nil && r.GetTrigger() != releasev1.Trigger_TRIGGER_ROLLBACK &&
		emptyOrHas(document.GetRollbackReadiness().GetEnvironments(), r.GetEnvironment())
}

// withoutWayBack are the approvals that a release without a way back needs besides those
// of its environment.
func withoutWayBack(document *policyv1.Procedure, r *releasev1.Request) []*policyv1.Approvals {
	out := document.GetNoRollbackApprovals()
	if DemandsProof(document, r) {
		out = append(slices.Clip(out), document.GetRollbackReadiness().GetApprovals()...)
	}
	return out
}

// rollbackReadiness checks that where there is no way back somebody else has to agree
// than who agrees anyhow.
func (c *checker) rollbackReadiness() {
	readiness := c.document.GetRollbackReadiness()
	if readiness == nil {
		return
	}
	c.known("rollback_readiness.environments", "environment", readiness.GetEnvironments(), c.hasEnvironment)
	c.approvals("rollback_readiness.approvals", readiness.GetApprovals())
	for _, e := range c.document.GetEnvironments() {
		if !emptyOrHas(readiness.GetEnvironments(), e.GetName()) || len(readiness.GetApprovals()) == 0 {
			continue
		}
		asked := append(slices.Clip(e.GetApprovals()), c.document.GetNoRollbackApprovals()...)
		if !slices.ContainsFunc(readiness.GetApprovals(), func(more *policyv1.Approvals) bool {
			return !slices.ContainsFunc(asked, func(a *policyv1.Approvals) bool { return a.GetGroup() == more.GetGroup() })
		}) {
			c.report("rollback_readiness.approvals", "group.asked", "every group is asked for releases to %s already; name one more", e.GetName())
		}
		if e.GetRequireSignedApprovals() {
			for i, rule := range readiness.GetApprovals() {
				c.signers(fmt.Sprintf("rollback_readiness.approvals[%d]", i), rule.GetGroup(), int(rule.GetCount()))
			}
		}
	}
}

// readiness notes where less is demanded of the way back than before.
func (l *loosened) readiness(before, after *policyv1.RollbackReadiness) {
	if before == nil {
		return
	}
	l.lost(true, after != nil, "the way back has not to be shown")
	if after == nil {
		return
	}
	l.quorum("a release whose way back is not shown", before.GetApprovals(), after.GetApprovals())
	narrower := len(after.GetEnvironments()) > 0 && (len(before.GetEnvironments()) == 0 ||
		slices.ContainsFunc(before.GetEnvironments(), func(e string) bool { return !slices.Contains(after.GetEnvironments(), e) }))
	l.lost(true, !narrower, "the way back has to be shown in fewer environments")
	l.lost(true, after.GetFirstRelease() <= before.GetFirstRelease(), "less is asked of the first release to a target")
}
