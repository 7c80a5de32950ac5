package verify

import (
	"fmt"
	"slices"

	"github.com/blackdice/shipwarden/internal/evidence"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/validator/check"
)

// Rejudge derives the end of step 6 again from the samples that were kept of it (N-01).
// It is pure. Which targets had no address and so were not looked at is taken from the
// recorded results, and only those are: one that was looked at has its samples. The
// reference to the samples, whose bytes are for the caller to compare, is taken as well. The chart
// that is on record, nil for none, is drawn from them again where it is drawn as charts are here
// (check.DrawnAlike); the reference to another one is taken.
//
// Beside are the samples of a look beside the release, nil where none is on record.
func Rejudge(index *policy.Index, state procedure.State, samples, chart, beside []byte, recorded *releasev1.Verification) (*releasev1.Event, error) {
	all := checks(state, index)
	var looked []check.Approved
	var unseen []*releasev1.CheckResult
	for _, id := range wave(state) {
		nothing := notSeen(id, all)
		if i := slices.IndexFunc(recorded.GetResults(), func(r *releasev1.CheckResult) bool { return r.GetTarget() == id }); i < 0 ||
			recorded.GetResults()[i].GetReason() == nothing[0].GetReason() {
			unseen = append(unseen, nothing...)
			continue
		}
		looked = append(looked, check.Approved{Target: id, Digest: approved(state, id)})
	}
	v, err := check.Rejudge(samples, of(state), all, looked)
	if err != nil {
		return nil, fmt.Errorf("samples %s: %w", recorded.GetSamples().GetDigest(), err)
	}
	v = withUnseen(v, unseen)
	v.Samples = recorded.GetSamples()
	if ref := recorded.GetChart(); ref != nil {
		drawn, err := check.Chart(samples, all)
		if err != nil || drawn == nil || check.DrawnAlike(chart) && evidence.Digest(drawn) != ref.GetDigest() {
			return nil, fmt.Errorf("chart %s: it is not drawn from these samples", ref.GetDigest())
		}
		v.Chart = ref
	}
	event := procedure.DecideVerified(state, v, index.Document().GetEscalation().GetAskWhenInconclusive())
	if v.Beside, err = rejudgeBeside(index, state, beside, v, recorded.GetBeside()); err != nil {
		return nil, err
	}
	return procedure.Prescribe(state, event, func(c releasev1.Cause) *releasev1.Remedy { return index.Remedy(state, c) }), nil
}
