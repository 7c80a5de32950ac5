package procedure

import (
	"slices"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// Damage are the causes of calls that say that something is wrong with what a release did or
// is doing. People are called for others as well: that a control was bypassed, that somebody
// has not answered. Those are no incidents.
var Damage = []releasev1.Cause{
	releasev1.Cause_CAUSE_VALIDATION_FAILED, releasev1.Cause_CAUSE_EXECUTION_FAILED, releasev1.Cause_CAUSE_OUTCOME_UNKNOWN,
	releasev1.Cause_CAUSE_ROLLBACK_FAILED, releasev1.Cause_CAUSE_ROLLBACK_UNAVAILABLE, releasev1.Cause_CAUSE_VALIDATION_INCONCLUSIVE,
	releasev1.Cause_CAUSE_EXECUTION_REFUSED, releasev1.Cause_CAUSE_UNEXPECTED_IMPACT, releasev1.Cause_CAUSE_UNRECORDED_CHANGE,
	releasev1.Cause_CAUSE_BOTH_UNHEALTHY, releasev1.Cause_CAUSE_MANUAL_CHANGE, releasev1.Cause_CAUSE_VERIFICATION_REVOKED,
}

// harmless are those that damage nothing where nothing was begun.
var harmless = []releasev1.Cause{
	releasev1.Cause_CAUSE_EXECUTION_FAILED, releasev1.Cause_CAUSE_EXECUTION_REFUSED, releasev1.Cause_CAUSE_ROLLBACK_UNAVAILABLE,
}

// OpenIncident returns the first open incident of a release, of these causes; of all that are
// damage where none is named (PD-3.3). It is open from when people had to be called until a person
// has closed it; or, where taken says so, until somebody has taken it on. In releases of before
// closing was demanded it ends when somebody has taken it on and the release is at its end, whether
// or not its record is closed.
func OpenIncident(s State, causes []releasev1.Cause, taken bool) (Escalation, bool) {
	if len(causes) == 0 {
		causes = Damage
	}
	for _, x := range s.Escalations {
		if !slices.Contains(causes, x.Cause) || !s.Damages(x.Cause) {
			continue
		}
		if x.AcknowledgedBy == "" || !taken && !s.ended(x) {
			return x, true
		}
	}
	return Escalation{}, false
}

// ended reports whether an incident that was taken on is over.
func (s State) ended(x Escalation) bool {
	if s.Requested.GetClosingDemanded() {
		return x.ClosedBy != ""
	}
	return s.LetGo()
}
