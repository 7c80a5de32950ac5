package execute

import (
	"context"
	"slices"

	"github.com/blackdice/shipwarden/internal/reactor"
	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/site"
)

// proofs are what was tried at a start to show that targets can go back.
type proofs struct {
	holds    []*releasev1.HoldReason
	tried    []*releasev1.RollbackProof
	bypassed []string
}

// proofs tries again what was shown of the way back before people approved (PD-3.5): an old
// image may have been cleaned up since, a release folder tidied away, a program that the
// way back needs replaced. Where it fails the start waits until somebody has put it right,
// because what was approved was a change that can be undone; an emergency goes on, and the
// record says around what. What was approved without a way back is not asked for one.
func (s shell) proofs(ctx context.Context, t reactor.Task) (proofs, error) {
	var out proofs
	proof := s.Proof(t.State)
	for _, id := range t.State.WaveTargets() {
		shown := t.State.Preview(id)
		if ok, _ := procedure.Proved(shown); !ok || !shown.GetRollback().GetDemanded() || slices.Contains(t.State.Begun, id) {
			continue
		}
		rule, why := procedure.HoldRollbackUnproved, ""
		now, run, err := proof.Of(ctx, id, shown.GetRollbackDigest())
		switch {
		case ctx.Err() != nil:
			return out, ctx.Err()
		case err != nil:
			rule, why = procedure.HoldRollbackUnknown, site.Line("nobody can tell whether target "+id+" can go back: "+err.Error())
		case !now.GetPossible():
			why = site.Line("target " + id + " could go back when it was approved, and the dry run fails now: " + run.Reason)
		case !now.GetObtainable():
			why = site.Line("what target " + id + " goes back to was there when it was approved, and cannot be had now: " + now.GetFound())
		}
		if now != nil {
			now.Demanded = true
			out.tried = append(out.tried, now)
		}
		switch around := "rollback readiness: target " + id; {
		case why == "":
		case !t.State.Emergency():
			out.holds = append(out.holds, &releasev1.HoldReason{Rule: rule, Subject: id, Message: why})
		case !slices.Contains(t.State.Bypassed, around):
			out.bypassed = append(out.bypassed, around)
		}
	}
	return out, nil
}
