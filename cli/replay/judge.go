package replay

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/recorder/record"
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
	case *releasev1.Event_StartHeld:
		return p.startHeld(ctx, d, before, x.StartHeld)
	case *releasev1.Event_ExecutionOverrun:
		return p.overrun(ctx, d, before, e, x.ExecutionOverrun)
	case *releasev1.Event_ExecutionFailed:
		return p.failed(ctx, d, before, x.ExecutionFailed)
	case *releasev1.Event_VerificationPassed:
		return p.verified(ctx, d, before, e, x.VerificationPassed.GetVerification())
	case *releasev1.Event_VerificationFailed:
		return p.verified(ctx, d, before, e, x.VerificationFailed.GetVerification())
	case *releasev1.Event_VerificationInconclusive:
		return p.verified(ctx, d, before, e, x.VerificationInconclusive.GetVerification())
	case *releasev1.Event_SignOffWanted:
		return p.signOffWanted(ctx, d, before, e)
	case *releasev1.Event_VerificationRevoked:
		return p.lookedLater(ctx, d, before, e, x.VerificationRevoked.GetLook())
	case *releasev1.Event_Reverified:
		return p.lookedLater(ctx, d, before, e, x.Reverified.GetLook())
	case *releasev1.Event_ChangePreviewed:
		return p.previewed(ctx, d, before, x.ChangePreviewed)
	case *releasev1.Event_DeadlinePassed, *releasev1.Event_Expired:
		now, _, err := clock(e)
		if err != nil {
			return err
		}
		d.Result, d.Detail = Derived, "the deadline and that it had passed"
		return same(procedure.DecideDeadline(before, now), e.Event)
	case *releasev1.Event_TargetFreed:
		by := procedure.Freed{Release: x.TargetFreed.GetRelease(), Sequence: x.TargetFreed.GetSequence()}
		d.partly("that it waited for nothing but these targets", "that the other release let them go there, and nobody went first")
		return same(procedure.DecideFreed(before, by, x.TargetFreed.GetTargets()), e.Event)
	case *releasev1.Event_Recorded:
		digest, err := record.Digest(p.report.Release, p.all, before.Head.Sequence)
		if err != nil {
			return err
		}
		if len(x.Recorded.GetRollbacks()) == 0 {
			// Of a release without ways back, or of before they had records of their own.
			d.Result, d.Detail = Derived, "the outcome and the digest of the record"
			return same(procedure.DecideRecorded(before, digest), e.Event)
		}
		back, err := record.RollbackDigests(p.report.Release, p.all, before)
		if err != nil {
			return err
		}
		d.Result, d.Detail = Derived, "the outcome, the digest of the record and those of the ways back"
		return same(procedure.DecideRecorded(before, digest, back...), e.Event)
	default:
		if decidedByEither(e.Event) {
			return p.handled(ctx, d, before, e)
		}
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
	case *releasev1.Event_ExecutionRefused:
		return "what the executor found at the start, in other histories too"
	case *releasev1.Event_Notified:
		return "what channels answered"
	case *releasev1.Event_Escalated:
		return "whom the approval service called"
	case *releasev1.Event_EvidenceAdded:
		return "a message that brought evidence, or that the store has what was not kept before"
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
