package policy

import (
	"slices"

	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// Announced reports whether a document has anybody told that approvals are wanted of such a
// release, which weighs that much: by a channel or an audience that lists
// OCCASION_APPROVAL_WANTED for it (PD-4.1). It depends on its arguments alone, so that a
// replay finds the same.
func (x *Index) Announced(r *releasev1.Request, score *releasev1.RiskScore) bool {
	const wanted = releasev1.Occasion_OCCASION_APPROVAL_WANTED
	for _, c := range x.document.GetChannels() {
		if slices.Contains(c.GetOccasions(), wanted) && emptyOrHas(c.GetEnvironments(), r.GetEnvironment()) && emptyOrHas(c.GetServices(), r.GetService()) {
			return true
		}
	}
	return slices.ContainsFunc(x.document.GetAudiences(), func(a *policyv1.Audience) bool {
		return slices.Contains(a.GetOccasions(), wanted) && x.concerns(a, x.touchedBy(r, score))
	})
}
