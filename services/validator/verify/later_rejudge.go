package verify

import (
	"fmt"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/validator/check"
)

// RejudgeLater derives a later look again from the samples that were kept of it (N-01). It is pure.
// Which targets carried the release then, and which had no address, is taken as it is recorded.
func RejudgeLater(index *policy.Index, state procedure.State, samples []byte, recorded *releasev1.LaterLook) (*releasev1.Event, error) {
	all := index.LaterChecks(state)
	var looked []check.Approved
	var unseen []*releasev1.CheckResult
	for _, id := range recorded.GetTargets() {
		if check.Holds(samples, id) {
			looked = append(looked, check.Approved{Target: id, Digest: approved(state, id)})
			continue
		}
		unseen = append(unseen, notSeen(id, all)...)
	}
	v, err := check.Rejudge(samples, of(state), all, looked)
	if err != nil {
		return nil, fmt.Errorf("samples %s: %w", recorded.GetSamples().GetDigest(), err)
	}
	look := procedure.NewLook(recorded.GetNumber(), recorded.GetDue().AsTime(), recorded.GetTargets())
	look.Started, look.Ended, look.Samples = timestamppb.New(v.GetStarted().AsTime()), timestamppb.New(v.GetEnded().AsTime()), recorded.GetSamples()
	return procedure.DecideLaterLook(look, withUnseen(v, unseen)), nil
}
