package replay

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/verdict"
	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// proved judges again what the executor judged of the evidence at a start: by the release's
// own document, and by the signers of the one that was in effect. Which one that was is
// another history's.
func (p *pass) proved(ctx context.Context, d *Decision, index *policy.Index, before procedure.State, x *releasev1.ExecutionClaimed, now time.Time) error {
	if len(index.GatesFor(before.Request)) == 0 {
		return nil
	}
	if x.GetTrustedBy() == "" {
		d.Taken = append(d.Taken, "whether the evidence of its gates still counted, which is not on record of this start")
		return nil
	}
	documents := []*policy.Index{index}
	if x.GetTrustedBy() != before.ProcedureDigest {
		active, err := p.document(ctx, x.GetTrustedBy())
		if err != nil {
			return err
		}
		documents = append(documents, active)
	}
	var trusts []verdict.Trust
	for _, signers := range documents {
		trust := verdict.Trust{Index: index, Signers: signers}
		if digest := signers.Document().GetSigstore().GetTrustedRoot(); digest != "" {
			var err error
			if trust.Root, err = p.root(ctx, digest); err != nil {
				return err
			}
		}
		trusts = append(trusts, trust)
	}
	var envelopes [][]byte
	for _, ref := range slices.Concat(before.Evidence(), before.Confirmed.GetFound()) {
		if before.UnkeptReason(ref.GetDigest()) != "" {
			continue // Whoever judged did not have it either.
		}
		content, err := p.blob(ctx, ref.GetDigest())
		if err != nil && !errors.Is(err, errUnkept) {
			return err
		}
		if err == nil {
			envelopes = append(envelopes, content)
		}
	}
	fallen, around := verdict.Again(before, envelopes, verdict.At(before, now), trusts...)
	if len(fallen) > 0 {
		return fmt.Errorf("%w: the start should have been refused: gate %s: %s", errDiffers, fallen[0].GetGate(), fallen[0].GetReason())
	}
	for _, b := range around {
		if !slices.Contains(x.GetBypassed(), b) {
			return fmt.Errorf("%w: bypassed: %s does not stand any more, and is not there", errDiffers, b)
		}
	}
	d.Detail += ", that its evidence still counted"
	d.Taken = append(d.Taken, "which procedure document was in effect at the start")
	return nil
}
