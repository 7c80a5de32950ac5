package replay

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/approval/authorize"
)

// What people decide: who approved what they were shown, and whether that suffices.

func (p *pass) approval(ctx context.Context, d *Decision, before procedure.State, e procedure.Entry, x *releasev1.ApprovalGiven) error {
	index, err := p.document(ctx, before.ProcedureDigest)
	if err != nil {
		return err
	}
	actor := e.Event.GetActor()
	at, err := onDutyAt(e)
	if err != nil {
		return err
	}
	own := index.GroupsAt(actor.GetId(), at)
	for _, g := range actor.GetGroups() {
		if !slices.Contains(own, g) {
			return fmt.Errorf("%w: actor.groups: %s is not in %s by the procedure document", errDiffers, actor.GetId(), g)
		}
	}
	if err := onCall("actor", index, actor.GetId(), actor.GetGroups(), actor.GetOnCall(), at); err != nil {
		return err
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
		key, err := p.signature(ctx, index, actor.GetId())
		if err != nil {
			return err
		}
		d.Detail += "; signed by " + actor.GetId() + " with " + key
	}
	d.onDuty(index, actor.GetId(), actor.GetOnCall(), at)
	d.onDuty(index, x.GetStandIn().GetPerson(), x.GetStandIn().GetOnCall(), at)
	if x.GetStandIn() != nil {
		if err := standIn(index, x.GetStandIn(), actor.GetId(), now); err != nil {
			return err
		}
		if err := onCall("stand_in", index, x.GetStandIn().GetPerson(), x.GetStandIn().GetGroups(), x.GetStandIn().GetOnCall(), at); err != nil {
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
