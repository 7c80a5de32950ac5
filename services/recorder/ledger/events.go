package ledger

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/proto"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/recorder/view"
)

// selectRecorded is what scanRecorded takes.
const selectRecorded = `select seq, stored_nanos, sha256, body, subject, event_id, signed_by, coalesce(rejected, ''),
		case when type in ('approval_given', 'procedure_approved', 'procedure_activated', 'procedure_reviewed') then headers end
	from events`

// selectSealed is the same with the signature of every event.
const selectSealed = `select seq, stored_nanos, sha256, body, subject, event_id, signed_by, coalesce(rejected, ''),
		headers
	from events`

// eventsOf reads the events of an aggregate behind a sequence; sealed asks for the
// signature of each.
func eventsOf(ctx context.Context, tx pgx.Tx, aggregate string, after uint64, sealed bool) ([]view.Recorded, error) {
	query := selectRecorded
	if sealed {
		query = selectSealed
	}
	rows, err := tx.Query(ctx, query+` where aggregate = $1 and seq > $2 order by seq`, aggregate, after)
	if err != nil {
		return nil, fmt.Errorf("read the events of %s: %w", aggregate, err)
	}
	all, err := pgx.CollectRows(rows, scanRecorded)
	if err != nil {
		return nil, fmt.Errorf("read the events of %s: %w", aggregate, err)
	}
	return all, nil
}

func scanRecorded(row pgx.CollectableRow) (view.Recorded, error) {
	var r view.Recorded
	var nanos int64
	var digest, body, header []byte
	var id string
	if err := row.Scan(&r.Entry.Sequence, &nanos, &digest, &body, &r.Subject, &id, &r.SignedBy, &r.Rejected, &header); err != nil {
		return r, err
	}
	copy(r.Entry.Digest[:], digest)
	r.Entry.Stored = time.Unix(0, nanos).UTC()
	if header != nil {
		r.Body, r.Signature = body, signatureIn(header)
	}
	if id == "" {
		return r, nil // Not authentic: what its body claims is nobody's word.
	}
	r.Entry.Event = &releasev1.Event{}
	if err := proto.Unmarshal(body, r.Entry.Event); err != nil {
		return r, fmt.Errorf("event %d: %w", r.Entry.Sequence, err)
	}
	return r, nil
}
