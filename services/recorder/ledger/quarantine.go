package ledger

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/procedure"
	recorderv1 "github.com/blackdice/shipwarden/proto/shipwarden/recorder/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// artifactRow is what an artifact stands at after its newest event.
type artifactRow struct {
	seq    uint64
	stored time.Time
	procedure.Quarantined
}

// queueQuarantines writes every touched artifact once, as its newest event has it.
func queueQuarantines(out *pgx.Batch, artifacts map[string]artifactRow) error {
	for _, aggregate := range slices.Sorted(maps.Keys(artifacts)) {
		a := artifacts[aggregate]
		state := a.State
		if state == nil {
			state = &releasev1.Quarantine{}
		}
		body, err := deterministic.Marshal(state)
		if err != nil {
			return fmt.Errorf("encode the standing of %s: %w", aggregate, err)
		}
		out.Queue(`insert into quarantines (digest, held, changed, last_seq, state) values ($1, $2, $3, $4, $5)
			on conflict (digest) do update set held = excluded.held, changed = excluded.changed,
				last_seq = excluded.last_seq, state = excluded.state`,
			procedure.ArtifactOf(aggregate), a.Held, a.stored.UTC(), int64(a.seq), body) //nolint:gosec // Sequences are far below 2^63.
	}
	return nil
}

// Quarantines returns up to limit artifacts that are in quarantine, where all is set
// also those that were, by their newest event, newest first; those before a sequence
// where it is not 0, and one alone where a digest is given (PD-2.3).
func (r *Reader) Quarantines(ctx context.Context, digest string, all bool, before uint64, limit int) (out []*recorderv1.QuarantinedArtifact, asOf uint64, err error) {
	asOf, err = r.snapshot(ctx, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `select held, changed, last_seq, state from quarantines
			where ($1 = '' or digest = $1) and ($2 or held) and ($3 = 0 or last_seq < $3) order by last_seq desc limit $4`,
			clean(digest), all, int64(before), limit) //nolint:gosec // Checked by the caller.
		if err != nil {
			return fmt.Errorf("list quarantines: %w", err)
		}
		defer rows.Close()
		for rows.Next() {
			artifact := &recorderv1.QuarantinedArtifact{State: &releasev1.Quarantine{}}
			var changed time.Time
			var body []byte
			if err := rows.Scan(&artifact.Held, &changed, &artifact.Sequence, &body); err != nil {
				return fmt.Errorf("list quarantines: %w", err)
			}
			if err := proto.Unmarshal(body, artifact.GetState()); err != nil {
				return fmt.Errorf("decode the quarantine of event %d: %w", artifact.GetSequence(), err)
			}
			artifact.Time = timestamppb.New(changed)
			out = append(out, artifact)
		}
		return rows.Err()
	})
	return out, asOf, err
}
