package policy

import (
	"slices"

	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// Announced reports whether a document has anybody told, of such a release, that approvals
// are wanted: by a channel or an audience that lists OCCASION_APPROVAL_WANTED for where and
// what it releases (PD-4.1). It depends on its arguments alone, so that a replay finds the
// same.
func Announced(document *policyv1.Procedure, r *releasev1.Request) bool {
	const wanted = releasev1.Occasion_OCCASION_APPROVAL_WANTED
	for _, c := range document.GetChannels() {
		if slices.Contains(c.GetOccasions(), wanted) && emptyOrHas(c.GetEnvironments(), r.GetEnvironment()) && emptyOrHas(c.GetServices(), r.GetService()) {
			return true
		}
	}
	return slices.ContainsFunc(document.GetAudiences(), func(a *policyv1.Audience) bool {
		return slices.Contains(a.GetOccasions(), wanted) && emptyOrHas(a.GetEnvironments(), r.GetEnvironment()) && emptyOrHas(a.GetServices(), r.GetService())
	})
}
