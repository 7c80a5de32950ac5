package gates

import (
	"slices"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// Unbound reports whether waivers counted for gates that name no environment, as they did
// before they had to: by the verdicts of an end of step 1.
func Unbound(e *releasev1.Event) bool {
	for _, v := range slices.Concat(e.GetGatesConfirmed().GetVerdicts(), e.GetGatesRefused().GetVerdicts()) {
		if slices.ContainsFunc(v.GetWaivers(), func(w *releasev1.Waiver) bool { return w.GetEnvironment() == "" }) {
			return true
		}
	}
	return false
}
