package procedure

import (
	"strings"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// Rules of holds by the way back: one that was shown when people approved cannot be shown
// any more, or nobody can tell.
const (
	HoldRollbackUnproved = "rollback.unproved"
	HoldRollbackUnknown  = "rollback.unknown"
)

// CanRollBack reports whether the machine may go back by itself from everything it
// touches, and if not, why not (PD-3.5, PD-7.1).
func CanRollBack(s State, targets []string) (bool, string) {
	if s.isRollback() {
		return false, "a rollback is not rolled back by itself"
	}
	return HasWayBack(s, targets)
}

// HasWayBack reports whether there is a way back, whoever goes it, and if not, why not:
// without one a request says what is done instead, and more people agree (PD-3.5). A
// request to roll back is the way back itself, so no plan is asked of it of how to
// leave it again; what its targets carry must be there all the same, and data that is
// changed for good stays changed.
func HasWayBack(s State, targets []string) (bool, string) {
	if why := oneWay(s, targets); why != "" {
		return false, why
	}
	for _, t := range targets {
		if ok, why := Proved(s.Preview(t)); !ok {
			return false, "target " + t + ": " + why
		}
	}
	return true, ""
}

// oneWay says why there is no way back by the request alone; empty where it does not say
// so. Data that can be changed back by means that nobody names is taken for data that
// cannot, where the procedure document demands that the way back is shown.
func oneWay(s State, targets []string) string {
	r := s.Request
	if r.GetRollbackPlan().GetStrategy() != releasev1.RollbackPlan_STRATEGY_PREVIOUS_VERSION && !s.isRollback() {
		return "the rollback plan says that there is no way back"
	}
	switch r.GetRisk().GetData() { //nolint:exhaustive // The others can be changed back, or need not be.
	case releasev1.Risk_DATA_IRREVERSIBLE:
		return "data is changed for good"
	case releasev1.Risk_DATA_NOT_STATED:
		return "nobody says whether data can be changed back"
	case releasev1.Risk_DATA_REVERSIBLE:
		for _, t := range targets {
			if s.Preview(t).GetRollback().GetDemanded() && strings.TrimSpace(r.GetRisk().GetDataPlan()) == "" {
				return "risk.data_plan does not say how data is changed back"
			}
		}
	}
	return ""
}

// Proved reports whether a target can go back as far as that was looked at, and if not,
// which proof failed. The driver's word is enough, unless the procedure document demands
// that what would be placed again is there.
func Proved(p *releasev1.TargetPreview) (bool, string) {
	r := p.GetRollback()
	switch {
	case !p.GetRollbackReady():
		return false, p.GetRollbackReason()
	case r.GetDemanded() && !r.GetPossible():
		return false, "the dry run of the way back failed: " + p.GetRollbackReason()
	case r.GetDemanded() && !r.GetObtainable():
		return false, "what it would go back to cannot be had: " + r.GetFound()
	}
	return true, ""
}

// OnlyFirst reports whether all that a release has no way back on are targets to which
// nothing was ever released: it leaves nothing behind that anybody could miss (PD-3.5).
func OnlyFirst(s State, targets []string) bool {
	if oneWay(s, targets) != "" {
		return false
	}
	first := false
	for _, t := range targets {
		p := s.Preview(t)
		if ok, _ := Proved(p); ok {
			continue
		}
		if !p.GetRollback().GetFirst() {
			return false
		}
		first = true
	}
	return first
}
