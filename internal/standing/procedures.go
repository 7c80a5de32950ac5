package standing

import (
	"context"
	"fmt"
	"slices"

	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// Begun is which procedures have a document in effect. Whichever begins is written into
// this one history in the batch with its first document, so that of two that begin at once
// the store takes one, and the other has to look again.
type Begun struct {
	Head
	// All are their ids as they stand in subjects, in alphabetical order; without those that
	// began before there was such a history.
	All []string
}

// ReadBegun reads which procedures there are.
func ReadBegun(ctx context.Context, r Reader) (Begun, error) {
	aggregate := procedure.ProceduresAggregate()
	e, found, err := r.Last(ctx, aggregate)
	if err != nil {
		return Begun{}, fmt.Errorf("read which procedures there are: %w", err)
	}
	if !found {
		return Begun{Head: Head{Aggregate: aggregate}}, nil
	}
	return Begun{Head: headOf(aggregate, e), All: e.Event.GetProcedureBegun().GetAll()}, nil
}

// With is the event after which there is one more, with that document and beside the others
// that its caller knows of.
func (b Begun) With(id, digest string, others []string) *releasev1.Event {
	all := append(slices.Concat(b.All, others), id)
	slices.Sort(all)
	return &releasev1.Event{ProcedureDigest: digest, Data: &releasev1.Event_ProcedureBegun{ProcedureBegun: &releasev1.ProcedureBegun{
		Id: id, Digest: digest, All: slices.Compact(all),
	}}}
}
