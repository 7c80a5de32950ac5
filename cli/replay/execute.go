package replay

import (
	"context"
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/validator/check"
	"github.com/blackdice/shipwarden/services/validator/verify"
)

// What is decided from the start on: claims, windows that close, verdicts on what runs.

func (p *pass) claimed(ctx context.Context, d *Decision, before procedure.State, e procedure.Entry, x *releasev1.ExecutionClaimed) error {
	if want := procedure.ChangeDigest(before); x.GetChangeDigest() != want {
		return fmt.Errorf("%w: the change that was claimed is %s, the change is %s", errDiffers, x.GetChangeDigest(), want)
	}
	index, err := p.document(ctx, before.ProcedureDigest)
	if err != nil {
		return err
	}
	now, _, err := clock(e)
	if err != nil {
		return err
	}
	d.partly("the change digest", "who claimed it and for how long", "that nothing else spoke against the start")
	quiet, err := p.quiet(ctx, index, before, x)
	if err != nil {
		return err
	}
	if before.Phase == procedure.PhaseExecuting {
		// Who takes over looks nothing up again that the first claim rests on.
		return nil
	}
	judged, err := p.readings(ctx, index, before, x, now)
	if err != nil {
		return err
	}
	if judged > 0 {
		d.Detail += ", that the change record let it start"
		d.Taken = append(d.Taken, "that the system gave the answer from which the change record is judged")
	}
	if err := p.proved(ctx, d, index, before, x, now); err != nil {
		return err
	}
	switch {
	case quiet:
		d.Detail += ", that no alert held it"
		d.Taken = append(d.Taken, "that the sources gave the answers from which alerts are judged")
	case watches(index, before):
		d.Taken = append(d.Taken, "whether alerts fired, which is not on record of this start")
	}
	return nil
}

// overrun judges again by which freezes a release that had begun was taken back. Those of a
// document that came into effect later are taken: which one that was is another history's.
func (p *pass) overrun(ctx context.Context, d *Decision, before procedure.State, e procedure.Entry, x *releasev1.ExecutionOverrun) error {
	index, err := p.document(ctx, before.ProcedureDigest)
	if err != nil {
		return err
	}
	d.partly("that freezes of its procedure document take it back")
	now, kept, err := d.timed(e)
	if err != nil {
		return err
	}
	j, err := index.Freezes(before, now)
	if err != nil {
		return fmt.Errorf("%w %s: %w", errInput, before.ProcedureDigest, err)
	}
	named := func(all []*releasev1.HoldReason, subject string) bool {
		return slices.ContainsFunc(all, func(h *releasev1.HoldReason) bool { return h.GetSubject() == subject })
	}
	for _, h := range j.RollBack {
		if kept && !named(x.GetReasons(), h.GetSubject()) {
			return fmt.Errorf("%w: reasons: the freeze %s takes it back, and is not there", errDiffers, h.GetSubject())
		}
	}
	for _, h := range x.GetReasons() {
		if !named(j.RollBack, h.GetSubject()) {
			d.Taken = append(d.Taken, "the freeze "+h.GetSubject()+", which its own document does not have then: that of the one in effect")
		}
	}
	switch {
	case len(j.RollBack) == 0:
		d.Result, d.Detail = Taken, ""
	case len(d.Taken) == 0:
		d.Result, d.Detail = Derived, "that freezes take it back before its next wave"
	}
	return nil
}

// failed judges again what the procedure document says of an execution that failed.
func (p *pass) failed(ctx context.Context, d *Decision, before procedure.State, x *releasev1.ExecutionFailed) error {
	index, err := p.document(ctx, before.ProcedureDigest)
	if err != nil {
		return err
	}
	event := procedure.Prescribe(before, &releasev1.Event{Data: &releasev1.Event_ExecutionFailed{ExecutionFailed: &releasev1.ExecutionFailed{Results: x.GetResults()}}},
		func(c releasev1.Cause) *releasev1.Remedy { return index.Remedy(before, c) })
	if want := event.GetExecutionFailed().GetRemedy(); !proto.Equal(want, x.GetRemedy()) {
		return fmt.Errorf("%w: remedy: it says %v, the procedure document says %v", errDiffers, x.GetRemedy(), want)
	}
	d.partly("what the procedure document says of it", "what became of the targets")
	return nil
}

func (p *pass) verified(ctx context.Context, d *Decision, before procedure.State, e procedure.Entry, v *releasev1.Verification) error {
	index, err := p.document(ctx, before.ProcedureDigest)
	if err != nil {
		return err
	}
	if err := prescribed(index, before, e.Event); err != nil {
		return err
	}
	if v.GetSamples().GetDigest() == "" {
		d.Result, d.Taken = Taken, []string{"the results of all checks: no samples were kept"}
		return nil
	}
	samples, err := p.blob(ctx, v.GetSamples().GetDigest())
	if err != nil {
		return err
	}
	var chart []byte
	if of := v.GetChart().GetDigest(); of != "" {
		if chart, err = p.blob(ctx, of); err != nil {
			return err
		}
	}
	var beside []byte
	if of := v.GetBeside().GetSamples().GetDigest(); of != "" {
		if beside, err = p.blob(ctx, of); err != nil {
			return err
		}
	}
	derived, err := verify.Rejudge(index, before, samples, chart, beside, v)
	if err != nil {
		return fmt.Errorf("%w: %w", errDiffers, err)
	}
	d.partly("the verdict of every check and of all together", "the samples, which the validator took", "that the bake lasted, or why it ended early")
	if beside != nil {
		d.Taken = append(d.Taken, "the samples of targets that it has not touched")
	}
	if chart != nil && !check.DrawnAlike(chart) {
		d.Taken = append(d.Taken, "the chart, which another version draws otherwise")
	}
	return same(derived, e.Event)
}

// signOffWanted derives again whom a verification asks what, until when.
func (p *pass) signOffWanted(ctx context.Context, d *Decision, before procedure.State, e procedure.Entry) error {
	index, err := p.document(ctx, before.ProcedureDigest)
	if err != nil {
		return err
	}
	now, _, err := clock(e)
	if err != nil {
		return err
	}
	d.Result, d.Detail = Derived, "who is asked to sign off what, until when"
	return same(verify.Wanted(index, before, now), e.Event)
}

// lookedLater judges a look at a release that was verified by its samples again.
func (p *pass) lookedLater(ctx context.Context, d *Decision, before procedure.State, e procedure.Entry, l *releasev1.LaterLook) error {
	index, err := p.document(ctx, before.ProcedureDigest)
	if err != nil {
		return err
	}
	if l.GetSamples().GetDigest() == "" {
		d.Result, d.Taken = Taken, []string{"the results of all checks: no samples were kept"}
		return nil
	}
	samples, err := p.blob(ctx, l.GetSamples().GetDigest())
	if err != nil {
		return err
	}
	derived, err := verify.RejudgeLater(index, before, samples, l)
	if err != nil {
		return fmt.Errorf("%w: %w", errDiffers, err)
	}
	d.partly("the verdict of every check and of all together", "the samples, which the validator took", "which targets carried the release then")
	return same(derived, e.Event)
}

// prescribed judges again what becomes of a validation that did not pass. That follows from the
// procedure document and from no sample: nobody hides it by keeping none.
func prescribed(index *policy.Index, before procedure.State, e *releasev1.Event) error {
	bare := proto.CloneOf(e)
	var said *releasev1.Remedy
	switch d := bare.GetData().(type) {
	case *releasev1.Event_VerificationFailed:
		said, d.VerificationFailed.Remedy = d.VerificationFailed.GetRemedy(), nil
		if d.VerificationFailed.GetVerification().GetBeside() != nil && !index.LooksBeside(before) {
			return fmt.Errorf("%w: beside: the procedure document asks for no look at other targets", errDiffers)
		}
	case *releasev1.Event_VerificationInconclusive:
		said, d.VerificationInconclusive.Remedy = d.VerificationInconclusive.GetRemedy(), nil
		if fails := !index.Document().GetEscalation().GetAskWhenInconclusive(); d.VerificationInconclusive.GetCountsAsFailure() != fails {
			return fmt.Errorf("%w: counts_as_failure: it says %t, the procedure document says %t", errDiffers, !fails, fails)
		}
	}
	event := procedure.Prescribe(before, bare, func(c releasev1.Cause) *releasev1.Remedy { return index.Remedy(before, c) })
	want := event.GetVerificationFailed().GetRemedy()
	if event.GetVerificationInconclusive() != nil {
		want = event.GetVerificationInconclusive().GetRemedy()
	}
	if !proto.Equal(want, said) {
		return fmt.Errorf("%w: remedy: it says %v, the procedure document says %v", errDiffers, said, want)
	}
	return nil
}
