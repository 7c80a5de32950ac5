package replay

import (
	"context"
	"fmt"

	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// previewed derives that the way back was demanded of every target as the procedure
// document does (PD-3.5): what follows from a proof that failed hangs on it. What drivers
// said, and what was there, can only be taken; previews of before it was tried say nothing.
func (p *pass) previewed(ctx context.Context, d *Decision, before procedure.State, x *releasev1.ChangePreviewed) error {
	taken := []string{"what the drivers said that they would change, and whether they could undo it"}
	tried := false
	for _, v := range x.GetPreviews() {
		tried = tried || v.GetRollback() != nil
	}
	if !tried {
		d.Result, d.Taken = Taken, taken
		return nil
	}
	index, err := p.document(ctx, before.ProcedureDigest)
	if err != nil {
		return err
	}
	d.partly("that the way back was demanded as the procedure document does", taken...)
	demanded := policy.DemandsProof(index.Document(), before.Request)
	for _, v := range x.GetPreviews() {
		if got := v.GetRollback().GetDemanded(); got != demanded {
			return fmt.Errorf("%w: previews: target %s: the proof of the way back is demanded: derived is %t, recorded is %t", errDiffers, v.GetTarget(), demanded, got)
		}
	}
	return nil
}
