package replay

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/approval/authorize"
)

// handled judges again that a person might decide what is for people of the release's own document
// and of the one in effect, by that which the event names. Events of before it was kept name none:
// there it is the release's own, and who had the right only by a group that had taken the place of
// another stays taken from the record.
func (p *pass) handled(ctx context.Context, d *Decision, before procedure.State, e procedure.Entry) error {
	actor := e.Event.GetActor()
	digest := cmp.Or(actor.GetProcedureDigest(), before.ProcedureDigest)
	index, err := p.document(ctx, digest)
	if err != nil {
		return err
	}
	own, err := p.document(ctx, before.ProcedureDigest)
	if err != nil {
		return err
	}
	at, err := onDutyAt(e)
	if err != nil {
		return err
	}
	who := index.Person(actor.GetId())
	if who == nil || who.GetId() != actor.GetId() || who.GetInactive() || who.GetMachine() || own.Person(actor.GetId()).GetMachine() {
		return fmt.Errorf("%w: actor.id: by the procedure document %s nobody may decide as %s", errDiffers, digest, actor.GetId())
	}
	if index.Document().GetId() != own.Document().GetId() {
		return fmt.Errorf("%w: actor.procedure_digest: %s is of the procedure %s, and not %s", errDiffers, digest, index.Document().GetId(), own.Document().GetId())
	}
	in := index.GroupsAt(actor.GetId(), at)
	for _, g := range actor.GetGroups() {
		if !slices.Contains(in, g) {
			return fmt.Errorf("%w: actor.groups: %s is not in %s by the procedure document %s", errDiffers, actor.GetId(), g, digest)
		}
	}
	if err := onCall("actor", index, actor.GetId(), actor.GetGroups(), actor.GetOnCall(), at); err != nil {
		return err
	}
	if role := authorize.ReviewConflict(before, []string{actor.GetId()}, own, index); e.Event.GetReviewCompleted() != nil && role != "" && actor.GetProcedureDigest() != "" {
		return fmt.Errorf("%w: actor.id: %s is %s and may not review it", errDiffers, actor.GetId(), role)
	}
	right := authorize.Right(index, before, p.counted(), e.Event)
	switch {
	case right == "" && actor.GetProcedureDigest() != "":
		return fmt.Errorf("%w: actor.procedure_digest: by the procedure document %s %s may not decide this", errDiffers, digest, actor.GetId())
	case right == "":
		d.Result, d.Taken = Taken, []string{why(e.Event)}
		return nil
	}
	d.partly("that "+actor.GetId()+" might, "+right+" by the procedure document "+digest, "what a person decided")
	if digest == before.ProcedureDigest {
		d.Taken = append(d.Taken, "that "+actor.GetId()+" was there still by the document then in effect")
	} else {
		d.Taken = append(d.Taken, "that this document was the one in effect then, found in another history")
	}
	d.onDuty(index, actor.GetId(), actor.GetOnCall(), at)
	return nil
}

// counted are the events so far that count.
func (p *pass) counted() (all []procedure.Entry) {
	for _, r := range p.all {
		if r.Rejected == "" && r.Entry.Event != nil {
			all = append(all, r.Entry)
		}
	}
	return all
}

// decidedByEither reports whether a person made a decision that is for people of either document.
func decidedByEither(e *releasev1.Event) bool {
	return e.GetActor().GetKind() == releasev1.Actor_KIND_HUMAN && procedure.ByEither(procedure.TypeOf(e))
}
