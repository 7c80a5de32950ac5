package ledger

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/services/recorder/view"
)

// ProcedureChanges returns the histories of procedure documents, newest event first
// (PD-9.4): of that procedure, or of all where the id is empty; up to limit events, and
// those before a sequence where it is not 0. Delegations and the list of procedures, which
// lie beside them, are no changes of a document. An event that does not follow from those
// before it says so in Rejected, whatever the services made of it. A history is folded
// from its beginning for that: there are a few events for each change.
func (r *Reader) ProcedureChanges(ctx context.Context, id string, before uint64, limit int) (out []view.Recorded, asOf uint64, err error) {
	var all []view.Recorded
	asOf, err = r.snapshot(ctx, func(tx pgx.Tx) error {
		// Bounds instead of a pattern, so that the index is used.
		from, to := procedure.ProcedureAggregate(""), procedure.ProcedureAggregate("~")
		if id != "" {
			from, to = procedure.ProcedureAggregate(id), procedure.ProcedureAggregate(id)
		}
		rows, err := tx.Query(ctx, selectRecorded+` where aggregate between $1 and $2 and not starts_with(aggregate, $4) and ($3 = 0 or seq < $3) order by seq`,
			from, to, int64(before), procedure.ProcedureAggregate(procedure.BesidePrefix)) //nolint:gosec // Checked by the caller.
		if err != nil {
			return fmt.Errorf("read the history of procedure documents: %w", err)
		}
		if all, err = pgx.CollectRows(rows, scanRecorded); err != nil {
			return fmt.Errorf("read the history of procedure documents: %w", err)
		}
		return nil
	})
	documents := map[string]procedure.Document{}
	for i := range all {
		documents = judge(documents, &all[i])
	}
	for i := len(all) - 1; i >= 0 && len(out) < limit; i-- {
		out = append(out, all[i])
	}
	return out, asOf, err
}

// judge folds one more event, and marks it where it does not follow.
func judge(documents map[string]procedure.Document, r *view.Recorded) map[string]procedure.Document {
	if r.Entry.Event == nil || r.Rejected != "" {
		return documents
	}
	aggregate := r.Entry.Event.GetAggregate()
	d, known := documents[aggregate]
	if !known {
		d = procedure.NewDocument("")
		d.Aggregate = aggregate
	}
	next, err := procedure.EvolveDocument(d, r.Entry)
	if err != nil {
		r.Rejected = err.Error()
		// The services go on from the newest event, and so does whoever reads on.
		next = procedure.Document{
			Aggregate: aggregate, Head: procedure.Head{Sequence: r.Entry.Sequence, Digest: r.Entry.Digest}, Standing: procedure.StandingOf(r.Entry.Event),
		}
	}
	documents[aggregate] = next
	return documents
}
