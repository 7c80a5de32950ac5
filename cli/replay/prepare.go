package replay

import (
	"context"
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/blackdice/shipwarden/internal/sigstore"
	"github.com/blackdice/shipwarden/internal/verdict"
	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/approval/gates"
	"github.com/blackdice/shipwarden/services/approval/risk"
)

// What is decided before people are asked: the request, the gates, the risk.

func (p *pass) requested(ctx context.Context, d *Decision, e procedure.Entry, x *releasev1.Requested) error {
	index, err := p.document(ctx, e.Event.GetProcedureDigest())
	if err != nil {
		return err
	}
	request := proto.CloneOf(x.GetRequest())
	for _, ref := range x.GetEvidence() {
		content, err := p.blob(ctx, ref.GetDigest())
		if err != nil {
			return err
		}
		request.Evidence = append(request.Evidence, content)
	}
	if want := procedure.RequestDigest(request); x.GetRequestDigest() != want {
		return fmt.Errorf("%w: request_digest: derived is %s, recorded is %s", errDiffers, want, x.GetRequestDigest())
	}
	deadlines := index.Document().GetDeadlines()
	timeouts := &releasev1.Timeouts{Step: deadlines.GetStep(), Execute: deadlines.GetExecute(), Verify: deadlines.GetVerify(), Decision: deadlines.GetDecision()}
	if !proto.Equal(timeouts, x.GetTimeouts()) {
		return fmt.Errorf("%w: timeouts: other ones than those of the procedure document", errDiffers)
	}
	if want := index.Reverification(request); !proto.Equal(want, x.GetReverification()) {
		return fmt.Errorf("%w: reverification: it says %v, the procedure document says %v", errDiffers, x.GetReverification(), want)
	}
	d.partly("the digest of the request with its evidence, the deadlines, and how it is looked at later",
		"that the request was in order, and that nothing else stood against it", "the signature of the request, which is not kept")
	now, kept, err := clock(e)
	if err != nil || !kept {
		d.Taken = append(d.Taken, "start_by, of which no clock value was kept")
		return err
	}
	if t := request.GetNotBefore(); t != nil && t.AsTime().After(now) {
		now = t.AsTime()
	}
	if want := now.Add(deadlines.GetStartWithin().AsDuration()); !x.GetStartBy().AsTime().Equal(want) {
		return fmt.Errorf("%w: start_by: derived is %s, recorded is %s", errDiffers, want, x.GetStartBy().AsTime())
	}
	return nil
}

func (p *pass) gates(ctx context.Context, d *Decision, before procedure.State, e procedure.Entry) error {
	index, err := p.document(ctx, before.ProcedureDigest)
	if err != nil {
		return err
	}
	without, lost := gates.Unread(e.Event)
	trust := verdict.Trust{Index: index, Lost: lost}
	if digest := index.Document().GetSigstore().GetTrustedRoot(); digest != "" && !without[digest] {
		if trust.Root, err = p.root(ctx, digest); err != nil {
			return err
		}
	}
	var envelopes [][]byte
	for _, ref := range before.Evidence() {
		if before.UnkeptReason(ref.GetDigest()) != "" || without[ref.GetDigest()] {
			continue // Whoever judged did not have it either.
		}
		content, err := p.blob(ctx, ref.GetDigest())
		if err != nil {
			return err
		}
		envelopes = append(envelopes, content)
	}
	d.Result, d.Detail = Derived, "the verdict of every gate, from the evidence"
	beside, err := p.beside(ctx, d, e.Event)
	if err != nil {
		return err
	}
	now, _, err := d.timed(e)
	if err != nil {
		return err
	}
	if beside.Records, err = p.records(ctx, d, index, before, e.Event, now); err != nil {
		return err
	}
	verdicts := slices.Concat(e.Event.GetGatesConfirmed().GetVerdicts(), e.Event.GetGatesRefused().GetVerdicts())
	trust.Stamped = verdict.Stamped(index, verdicts)
	if trust.Stamped {
		d.partly(d.Detail, append(d.Taken, datedThen)...)
	}
	err = same(gates.Judge(trust, before, envelopes, beside, now), e.Event)
	if err != nil && verdict.OnlyV1(verdicts, slices.Concat(envelopes, beside.Statements)) {
		trust.OnlyV1 = true
		d.partly(d.Detail, append(d.Taken, "that statements of in-toto v0.1 counted for nothing, as it was before they did")...)
		err = same(gates.Judge(trust, before, envelopes, beside, now), e.Event)
	}
	if err != nil && (gates.Unbound(e.Event) || e.Event.GetGatesHeld() != nil) {
		// A wait names no waivers, and may have been for something else.
		trust.Unbound = true
		if same(gates.Judge(trust, before, envelopes, beside, now), e.Event) == nil {
			d.partly(d.Detail, append(d.Taken, "that a waiver counted which names no environment, as it did before it had to")...)
			return nil
		}
	}
	if err != nil && e.Event.GetGatesHeld() != nil {
		// Nor does a wait name the rule of a gate that was satisfied.
		trust.Unbound, trust.Stamped = false, true
		if same(gates.Judge(trust, before, envelopes, beside, now), e.Event) == nil {
			d.partly(d.Detail, append(d.Taken, datedThen)...)
			return nil
		}
	}
	if err != nil && e.Event.GetGatesHeld() != nil && index.Document().GetReferrers() {
		// What registries had is kept only of what ends the step.
		d.Result, d.Detail = Taken, ""
		d.Taken = []string{"that evidence was missing: what registries had beside images is not kept of a wait"}
		return nil
	}
	return err
}

// beside reads what registries had beside images, as it was kept. That they had just
// this, and what could not be taken in, can only be taken.
func (p *pass) beside(ctx context.Context, d *Decision, e *releasev1.Event) (gates.Beside, error) {
	b := gates.Beside{
		Found:  slices.Concat(e.GetGatesConfirmed().GetFound(), e.GetGatesRefused().GetFound()),
		Unseen: slices.Concat(e.GetGatesConfirmed().GetUnseen(), e.GetGatesRefused().GetUnseen()),
	}
	for _, ref := range b.Found {
		content, err := p.blob(ctx, ref.GetDigest())
		if err != nil {
			return b, err
		}
		b.Statements = append(b.Statements, content)
	}
	if len(b.Found)+len(b.Unseen) > 0 {
		d.partly(d.Detail, "that registries had just these statements beside the images, or could not be asked")
	}
	return b, nil
}

// root reads a trusted root, once.
func (p *pass) root(ctx context.Context, digest string) (*sigstore.Root, error) {
	if root := p.roots[digest]; root != nil {
		p.inputs[digest] = true
		return root, nil
	}
	content, err := p.blob(ctx, digest)
	if err != nil {
		return nil, err
	}
	root, err := sigstore.ParseRoot(content)
	if err != nil {
		return nil, fmt.Errorf("%w %s: %w", errInput, digest, err)
	}
	p.roots[digest] = root
	return root, nil
}

func (p *pass) risk(ctx context.Context, d *Decision, before procedure.State, e procedure.Entry) error {
	index, err := p.document(ctx, before.ProcedureDigest)
	if err != nil {
		return err
	}
	seen, err := p.seen(ctx, index, before, e.Event)
	if err != nil {
		return err
	}
	what := "freezes, the way back, the quorum and the change digest"
	if len(seen.Answers) > 0 {
		what = "freezes, alerts, the way back, the quorum and the change digest"
	}
	d.partly(what, elsewhere(seen)...)
	now, kept, err := d.timed(e, "until when")
	if err != nil {
		return err
	}
	derived, err := risk.Judge(index, before, seen, now)
	if err != nil {
		return fmt.Errorf("%w %s: %w", errInput, before.ProcedureDigest, err)
	}
	zoned(derived, e.Event)
	if held := derived.GetHeld(); held != nil && !kept {
		held.Until = e.Event.GetHeld().GetUntil()
	}
	if cleared := derived.GetRiskCleared(); cleared != nil && !kept {
		cleared.ApproveBy, cleared.RemindAt = e.Event.GetRiskCleared().GetApproveBy(), e.Event.GetRiskCleared().GetRemindAt()
	}
	return same(derived, e.Event)
}

// zoned takes the name of the time zone database from the record: freezes were judged again
// by that of this machine, and what comes of it is compared, not what it is called.
func zoned(derived, recorded *releasev1.Event) {
	if d := derived.GetHeld(); d != nil {
		d.ZoneData = recorded.GetHeld().GetZoneData()
	}
	if d := derived.GetRiskCleared(); d != nil {
		d.ZoneData = recorded.GetRiskCleared().GetZoneData()
	}
}

// elsewhere says what a risk decision took from other histories, and from sources of alerts.
func elsewhere(seen risk.Seen) []string {
	var out []string
	for _, h := range seen.Holds {
		out = append(out, fmt.Sprintf("%s %s, found elsewhere", h.GetRule(), h.GetSubject()))
	}
	for _, f := range seen.Findings {
		out = append(out, fmt.Sprintf("%s %s, found elsewhere", f.GetRule(), f.GetSubject()))
	}
	if len(out) == 0 {
		out = []string{"that no other release, review, dependency or emergency stood against it, found elsewhere"}
	} else {
		out = append(out, "that nothing else was found there")
	}
	for _, a := range seen.Answers {
		out = append(out, "that the source "+a.Record.GetSource()+" gave the answer, or none, from which alerts are judged")
	}
	return out
}

// datedThen says that verdicts follow from the rule of before predicates were dated by the
// time of their type.
const datedThen = "that evidence was dated by its field timestamp, whatever its type, as it was then"
