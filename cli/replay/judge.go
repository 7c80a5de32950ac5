package replay

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/approval/authorize"
	"github.com/blackdice/shipwarden/services/approval/evidence"
	"github.com/blackdice/shipwarden/services/approval/evidence/sigstore"
	"github.com/blackdice/shipwarden/services/approval/gates"
	"github.com/blackdice/shipwarden/services/approval/risk"
	"github.com/blackdice/shipwarden/services/recorder/record"
	"github.com/blackdice/shipwarden/services/validator/verify"
)

// errDiffers says that a decision does not follow from what is stored.
var errDiffers = errors.New("does not follow")

// maxLate is how long before its event a decision can have been made by the clock that
// it says, as package procedure bounds how late an event is stored.
const maxLate = 10 * time.Minute

// judge replays the decision of an event.
func (p *pass) judge(ctx context.Context, d *Decision, before procedure.State, e procedure.Entry) error {
	switch x := e.Event.GetData().(type) {
	case *releasev1.Event_Requested:
		return p.requested(ctx, d, e, x.Requested)
	case *releasev1.Event_GatesConfirmed, *releasev1.Event_GatesRefused, *releasev1.Event_GatesHeld:
		return p.gates(ctx, d, before, e)
	case *releasev1.Event_RiskCleared, *releasev1.Event_Held, *releasev1.Event_RiskRefused:
		return p.risk(ctx, d, before, e)
	case *releasev1.Event_ApprovalGiven:
		return p.approval(ctx, d, before, e, x.ApprovalGiven)
	case *releasev1.Event_Authorized:
		return p.authorized(ctx, d, before, e)
	case *releasev1.Event_ExecutionClaimed:
		return p.claimed(ctx, d, before, e, x.ExecutionClaimed)
	case *releasev1.Event_ExecutionOverrun:
		return p.overrun(ctx, d, before, e, x.ExecutionOverrun)
	case *releasev1.Event_VerificationPassed:
		return p.verified(ctx, d, before, e, x.VerificationPassed.GetVerification())
	case *releasev1.Event_VerificationFailed:
		return p.verified(ctx, d, before, e, x.VerificationFailed.GetVerification())
	case *releasev1.Event_VerificationInconclusive:
		return p.verified(ctx, d, before, e, x.VerificationInconclusive.GetVerification())
	case *releasev1.Event_ChangePreviewed:
		return p.previewed(ctx, d, before, x.ChangePreviewed)
	case *releasev1.Event_DeadlinePassed, *releasev1.Event_Expired:
		now, _, err := clock(e)
		if err != nil {
			return err
		}
		d.Result, d.Detail = Derived, "the deadline and that it had passed"
		return same(procedure.DecideDeadline(before, now), e.Event)
	case *releasev1.Event_Recorded:
		digest, err := record.Digest(p.report.Release, p.all, before.Head.Sequence)
		if err != nil {
			return err
		}
		d.Result, d.Detail = Derived, "the outcome and the digest of the record"
		return same(procedure.DecideRecorded(before, digest), e.Event)
	default:
		d.Result, d.Taken = Taken, []string{why(e.Event)}
	}
	return nil
}

// why says why nothing is derived of an event.
func why(e *releasev1.Event) string {
	if e.GetActor().GetKind() == releasev1.Actor_KIND_HUMAN {
		return "a person decided; that they might is what the fold of the events says"
	}
	switch e.GetData().(type) {
	case *releasev1.Event_ScopeValidated, *releasev1.Event_ScopeRefused:
		return "what the validator found at artifacts and targets"
	case *releasev1.Event_PreviewRefused:
		return "what the drivers said that they would change"
	case *releasev1.Event_StartHeld, *releasev1.Event_ExecutionRefused:
		return "what the executor found at the start, in other histories too"
	case *releasev1.Event_Notified:
		return "what channels answered"
	case *releasev1.Event_Escalated:
		return "whom the approval service called"
	case *releasev1.Event_EvidenceAdded:
		return "a message that brought evidence"
	case *releasev1.Event_Superseded:
		return "another release's request"
	}
	return "what became of the targets"
}

func (d *Decision) partly(detail string, taken ...string) {
	d.Result, d.Detail, d.Taken = Partly, detail, taken
}

// clock is the time by which an event was decided. Events of before it was kept have
// only their own, which is a little later: false.
func clock(e procedure.Entry) (time.Time, bool, error) {
	at := e.Event.GetTime().AsTime()
	if e.Event.GetDecided() == nil {
		return at, false, nil
	}
	now := e.Event.GetDecided().AsTime()
	if now.After(at) || now.Before(at.Add(-maxLate)) {
		return now, true, fmt.Errorf("%w: it was decided by the clock value %s, and happened %s", errDiffers, now.Format(time.RFC3339Nano), at.Format(time.RFC3339Nano))
	}
	return now, true, nil
}

// timed is clock for decisions that hang on it. Of events of before it was kept it says
// so, with what else has to be taken then.
func (d *Decision) timed(e procedure.Entry, also ...string) (now time.Time, kept bool, err error) {
	now, kept, err = clock(e)
	if !kept {
		d.Result = Partly
		d.Taken = append(append(d.Taken, "the time of the event as the clock value, of which none was kept"), also...)
	}
	return now, kept, err
}

// document is the procedure document with that digest.
func (p *pass) document(ctx context.Context, digest string) (*policy.Index, error) {
	index, err := p.documents.ByDigest(ctx, digest)
	if err == nil {
		p.inputs[digest] = true
	}
	return index, err
}

// same compares what was derived with what is stored, byte for byte.
func same(derived, stored *releasev1.Event) error {
	bytesOf := func(e *releasev1.Event) string {
		b, err := proto.MarshalOptions{Deterministic: true}.Marshal(&releasev1.Event{Data: e.GetData()})
		if err != nil {
			return err.Error()
		}
		return string(b)
	}
	if derived != nil && bytesOf(derived) == bytesOf(stored) {
		return nil
	}
	if derived == nil {
		return fmt.Errorf("%w: nothing follows from what is stored", errDiffers)
	}
	return fmt.Errorf("%w: %s", errDiffers, difference(derived, stored))
}

// difference says where two events differ, as far as one line can.
func difference(derived, stored *releasev1.Event) string {
	d, s := procedure.TypeOf(derived), procedure.TypeOf(stored)
	if d != s {
		return "it should be " + d
	}
	text := func(e *releasev1.Event) string { return protojson.Format(&releasev1.Event{Data: e.GetData()}) }
	dl, sl := strings.Split(text(derived), "\n"), strings.Split(text(stored), "\n")
	for i := range max(len(dl), len(sl)) {
		at := func(lines []string) string {
			if i < len(lines) {
				return strings.Join(strings.Fields(lines[i]), " ")
			}
			return "nothing"
		}
		if at(dl) != at(sl) {
			return fmt.Sprintf("derived is %.300s, recorded is %.300s", at(dl), at(sl))
		}
	}
	return "a field that this program does not know"
}

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
	d.partly("the digest of the request with its evidence, and the deadlines",
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
	trust := evidence.Trust{Index: index}
	if digest := index.Document().GetSigstore().GetTrustedRoot(); digest != "" {
		if trust.Root, err = p.root(ctx, digest); err != nil {
			return err
		}
	}
	var envelopes [][]byte
	for _, ref := range before.Evidence() {
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
	err = same(gates.Judge(trust, before, envelopes, beside, now), e.Event)
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

func (p *pass) approval(ctx context.Context, d *Decision, before procedure.State, e procedure.Entry, x *releasev1.ApprovalGiven) error {
	index, err := p.document(ctx, before.ProcedureDigest)
	if err != nil {
		return err
	}
	actor := e.Event.GetActor()
	own := index.GroupsOf(actor.GetId())
	for _, g := range actor.GetGroups() {
		if !slices.Contains(own, g) {
			return fmt.Errorf("%w: actor.groups: %s is not in %s by the procedure document", errDiffers, actor.GetId(), g)
		}
	}
	d.partly("the groups, until when it counts, and what was shown",
		"the yes, which a person said", "that "+actor.GetId()+" was in these groups still by the document then in effect")
	if x.GetShownDigest() == "" {
		d.Detail, d.Taken = "the groups, and until when it counts", append(d.Taken, "what was shown, of which nothing was kept")
	} else if err := p.wasShown(ctx, index, x.GetShownDigest()); err != nil {
		return err
	}
	now, kept, err := d.timed(e, "until when it counts")
	if err != nil {
		return err
	}
	if x.GetSignature() != nil {
		key, err := p.signature(index, actor.GetId())
		if err != nil {
			return err
		}
		d.Detail += "; signed by " + actor.GetId() + " with " + key
	}
	if x.GetStandIn() != nil {
		if err := standIn(index, x.GetStandIn(), actor.GetId(), now); err != nil {
			return err
		}
		d.Detail += "; by which right " + actor.GetId() + " stood in for " + x.GetStandIn().GetPerson()
		d.Taken = append(d.Taken, "that these delegations were there and not revoked, found in another history")
	}
	derived := authorize.Approval(index, before, x, now)
	if !kept {
		derived.GetApprovalGiven().Expires = x.GetExpires()
	}
	return same(derived, e.Event)
}

// wasShown compares what approvers were shown, as it is kept, with what there was to be
// seen.
func (p *pass) wasShown(ctx context.Context, index *policy.Index, digest string) error {
	if _, err := p.blob(ctx, digest); err != nil {
		return err
	}
	for _, s := range p.shown {
		document, err := authorize.Shown(index, s)
		if err != nil {
			return err
		}
		if sum := sha256.Sum256(document); "sha256:"+hex.EncodeToString(sum[:]) == digest {
			return nil
		}
	}
	return fmt.Errorf("%w: shown_digest: %s is nothing that there was to be seen of the release", errDiffers, digest)
}

func (p *pass) authorized(ctx context.Context, d *Decision, before procedure.State, e procedure.Entry) error {
	index, err := p.document(ctx, before.ProcedureDigest)
	if err != nil {
		return err
	}
	d.Result, d.Detail = Derived, "which approvals count and that they suffice"
	now, kept, err := d.timed(e, "until when it is valid, and when the review is due")
	if err != nil {
		return err
	}
	derived := authorize.Judge(index, before, now)
	if recorded := e.Event.GetAuthorized(); derived != nil && recorded.GetEmergency() && !recorded.GetCourseExcludes() {
		derived.GetAuthorized().CourseExcludes = false
		d.Result, d.Taken = Partly, append(d.Taken, "that who decides about its course may review it, as in records of before that was asked")
	}
	if derived != nil && !kept {
		derived.GetAuthorized().ValidUntil = e.Event.GetAuthorized().GetValidUntil()
		derived.GetAuthorized().ReviewDue = e.Event.GetAuthorized().GetReviewDue()
	}
	return same(derived, e.Event)
}

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
	judged, err := p.readings(ctx, index, before, x, now)
	if err != nil {
		return err
	}
	d.partly("the change digest", "who claimed it and for how long", "that nothing else spoke against the start")
	if judged > 0 {
		d.Detail = "the change digest, and that the change record let it start"
		d.Taken = append(d.Taken, "that the system gave the answer from which the change record is judged")
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

func (p *pass) verified(ctx context.Context, d *Decision, before procedure.State, e procedure.Entry, v *releasev1.Verification) error {
	index, err := p.document(ctx, before.ProcedureDigest)
	if err != nil {
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
	derived, err := verify.Rejudge(index, before, samples, v)
	if err != nil {
		return fmt.Errorf("%w: %w", errDiffers, err)
	}
	d.partly("the verdict of every check and of all together", "the samples, which the validator took", "that the bake lasted, or why it ended early")
	return same(derived, e.Event)
}
