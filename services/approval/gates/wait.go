package gates

import (
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// wait returns the hold of a release that would be refused for nothing but evidence that
// may still come: every gate that stops it has a time for that which is not over, and
// nobody who is trusted has said anything yet. What speaks against it refuses at once. It
// is over when the first of the times is. Nil where there is nothing to wait for.
func wait(index *policy.Index, state procedure.State, verdicts []*releasev1.GateVerdict, whole bool, now time.Time) *releasev1.Event {
	held := &releasev1.Held{}
	for _, v := range verdicts {
		gate := index.Gate(v.GetGate())
		if v.GetStatus() != releasev1.GateVerdict_STATUS_FAILED || state.Emergency() && whole && gate.GetBypassable() {
			continue
		}
		until := state.RequestedAt.Add(gate.GetEvidenceWithin().AsDuration())
		if !v.GetMissing() || gate.GetEvidenceWithin() == nil || !now.Before(until) {
			return nil
		}
		held.Reasons = append(held.Reasons, &releasev1.HoldReason{
			Rule: procedure.HoldEvidenceMissing, Subject: v.GetGate(), Until: timestamppb.New(until),
			Message: "there is no evidence of type " + gate.GetPredicateType() + " yet",
		})
		if held.GetUntil() == nil || until.Before(held.GetUntil().AsTime()) {
			held.Until = timestamppb.New(until)
		}
	}
	if len(held.GetReasons()) == 0 {
		return nil
	}
	return &releasev1.Event{Data: &releasev1.Event_GatesHeld{GatesHeld: held}}
}
