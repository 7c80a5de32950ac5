package replay

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/sigstore"
	"github.com/blackdice/shipwarden/internal/verdict"
	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// proved judges again what the executor judged of the evidence at a start: by the release's
// own document, and by the signers of the one that was in effect. Which one that was is
// another history's. That it could not read some of it is taken: that is nowhere else on record.
func (p *pass) proved(ctx context.Context, d *Decision, index *policy.Index, before procedure.State, x *releasev1.ExecutionClaimed, now time.Time) error {
	if len(index.GatesFor(before.Request)) == 0 {
		return nil
	}
	if x.GetTrustedBy() == "" {
		d.Taken = append(d.Taken, "whether the evidence of its gates still counted, which is not on record of this start")
		return nil
	}
	outdated, unread := gatesCalled(x, verdict.RuleOutdated), gatesCalled(x, verdict.RuleUnknown)
	d.Taken = append(d.Taken, "which procedure document was in effect at the start")
	if len(unread) > 0 {
		d.Taken = append(d.Taken, "that evidence could not be read then, for which it went around gate "+strings.Join(unread, ", "))
	}
	trusts, envelopes, err := p.material(ctx, index, before, x)
	if len(unread) > 0 && errors.Is(err, ErrMissing) {
		d.Taken = append(d.Taken, "whether the evidence of its gates still counted, some of which is not there")
		return nil
	}
	if err != nil {
		return err
	}
	fallen, around := verdict.Again(before, envelopes, verdict.At(before, now), trusts...)
	if len(fallen) > 0 {
		return fmt.Errorf("%w: the start should have been refused: gate %s: %s", errDiffers, fallen[0].GetGate(), fallen[0].GetReason())
	}
	for _, v := range around {
		if b := procedure.GateBypass(v.GetGate()); !slices.Contains(x.GetBypassed(), b) {
			return fmt.Errorf("%w: bypassed: %s does not stand any more, and is not there", errDiffers, b)
		}
	}
	for _, gate := range outdated {
		if !slices.ContainsFunc(around, func(v *releasev1.GateVerdict) bool { return v.GetGate() == gate }) {
			return fmt.Errorf("%w: findings: the evidence of gate %s still counted", errDiffers, gate)
		}
	}
	if len(unread) == 0 {
		d.Detail += ", that its evidence still counted"
	}
	return nil
}

// gatesCalled are the gates of which a claim has such a finding.
func gatesCalled(x *releasev1.ExecutionClaimed, rule string) []string {
	var out []string
	for _, f := range x.GetFindings() {
		if f.GetRule() == rule {
			out = append(out, f.GetSubject())
		}
	}
	return out
}

// material is what evidence is judged by at a start, as package verdict says.
func (p *pass) material(ctx context.Context, index *policy.Index, before procedure.State, x *releasev1.ExecutionClaimed) (trusts []verdict.Trust, envelopes [][]byte, err error) {
	var active *policy.Index
	if x.GetTrustedBy() != before.ProcedureDigest {
		if active, err = p.document(ctx, x.GetTrustedBy()); err != nil {
			return nil, nil, err
		}
	}
	if trusts, err = verdict.Trusts(index, active, func(digest string) (*sigstore.Root, error) { return p.root(ctx, digest) }); err != nil {
		return nil, nil, err
	}
	for _, ref := range verdict.Pieces(before) {
		content, err := p.blob(ctx, ref.GetDigest())
		if err != nil && !errors.Is(err, errUnkept) {
			return nil, nil, err
		}
		if err == nil {
			envelopes = append(envelopes, content)
		}
	}
	return trusts, envelopes, nil
}
