package ledger

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	recorderv1 "github.com/blackdice/shipwarden/proto/shipwarden/recorder/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// link adds to releases those that were asked for to take them back. Their own
// histories say nothing of it, so what is added may be another at every time of asking.
func (r *Reader) link(ctx context.Context, releases []*recorderv1.Release) error {
	of := make(map[string]*recorderv1.Release, len(releases))
	names := make([]string, 0, len(releases))
	for _, release := range releases {
		release.TakenBackBy = nil
		of[release.GetRelease()] = release
		names = append(names, release.GetRelease())
	}
	if len(names) == 0 {
		return nil
	}
	rows, err := r.pool.Query(ctx, `select rollback_of, release, phase, outcome, requested from releases
		where rollback_of <> '' and rollback_of = any($1) order by requested, release`, names)
	if err != nil {
		return fmt.Errorf("look for releases that take others back: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var taken string
		var outcome int32
		var requested time.Time
		back := &recorderv1.WayBack{}
		if err := rows.Scan(&taken, &back.Release, &back.Phase, &outcome, &requested); err != nil {
			return fmt.Errorf("look for releases that take others back: %w", err)
		}
		back.Outcome, back.Requested = releasev1.Outcome(outcome), timestamppb.New(requested)
		if release := of[taken]; release != nil {
			release.TakenBackBy = append(release.TakenBackBy, back)
		}
	}
	return rows.Err()
}
