package ledger

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/procedure"
	recorderv1 "github.com/blackdice/shipwarden/proto/shipwarden/recorder/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// Position is a place in the list of releases: behind that release. A release
// keeps its place for good, so pages neither repeat nor skip one while new ones
// are recorded.
type Position struct {
	Requested time.Time
	Release   string
}

// conditions collects what a row must fulfill. Values are parameters, always.
type conditions struct {
	where []string
	args  []any
}

// add takes a condition in which each ? stands for the value.
func (c *conditions) add(sql string, value any) {
	c.args = append(c.args, value)
	c.where = append(c.where, strings.ReplaceAll(sql, "?", "$"+strconv.Itoa(len(c.args))))
}

func (c *conditions) addText(sql, value string) {
	if value != "" {
		c.add(sql, clean(value))
	}
}

func (c *conditions) filter(f *recorderv1.Filter) {
	switch {
	case f.GetWayBackOf() != "":
		c.add("way_back_of = ?", f.GetWayBackOf())
	case !f.GetRollbacks():
		c.where = append(c.where, "way_back_of = ''")
	}
	c.addText("service = ?", f.GetService())
	c.addText("environment = ?", f.GetEnvironment())
	c.addText("phase = ?", f.GetPhase())
	c.addText("release in (select release from release_targets where target = ?)", f.GetTarget())
	c.addText("release in (select release from release_people where person = ?)", f.GetPerson())
	c.addText("release in (select release from release_artifacts where digest = ?)", f.GetArtifactDigest())
	if t := f.GetRequestedAfter(); t != nil {
		c.add("requested >= ?", t.AsTime())
	}
	if t := f.GetRequestedBefore(); t != nil {
		c.add("requested < ?", t.AsTime())
	}
	if t := f.GetEndedAfter(); t != nil {
		c.add("ended >= ?", t.AsTime())
	}
	if t := f.GetEndedBefore(); t != nil {
		c.add("ended < ?", t.AsTime())
	}
	if f.GetOpenFollowUps() {
		c.where = append(c.where, "open_follow_ups > 0")
	}
	if len(f.GetOutcomes()) > 0 {
		outcomes := make([]int16, 0, len(f.GetOutcomes()))
		for _, o := range f.GetOutcomes() {
			outcomes = append(outcomes, int16(o)) //nolint:gosec // A handful of outcomes.
		}
		c.add("outcome = any(?)", outcomes)
	}
	// Whatever is in another phase is open, of which there are few.
	if f.GetOpen() || f.GetPhase() != "" && f.GetPhase() != procedure.PhaseClosed.String() {
		c.where = append(c.where, "not closed")
	}
}

// Listed is a release and its place in the list.
type Listed struct {
	Position

	Release *recorderv1.Release
}

// List returns up to limit releases that the filter chooses, newest first, behind
// the position where there is one.
func (r *Reader) List(ctx context.Context, f *recorderv1.Filter, behind *Position, limit int) ([]Listed, uint64, error) {
	c := &conditions{where: []string{"true"}}
	c.filter(f)
	if behind != nil {
		c.args = append(c.args, behind.Requested, behind.Release)
		c.where = append(c.where, fmt.Sprintf("(requested, release) < ($%d, $%d)", len(c.args)-1, len(c.args)))
	}
	c.args = append(c.args, limit)
	query := "select requested, release, view from releases where " + strings.Join(c.where, " and ") +
		" order by requested desc, release desc limit $" + strconv.Itoa(len(c.args))
	var views [][]byte
	var out []Listed
	asOf, err := r.snapshot(ctx, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, query, c.args...)
		if err != nil {
			return fmt.Errorf("list releases: %w", err)
		}
		defer rows.Close()
		for rows.Next() {
			var view []byte
			var at Position
			if err := rows.Scan(&at.Requested, &at.Release, &view); err != nil {
				return fmt.Errorf("list releases: %w", err)
			}
			out = append(out, Listed{Position: at})
			views = append(views, view)
		}
		return rows.Err()
	})
	if err != nil {
		return nil, asOf, err
	}
	releases, err := r.decode(ctx, views...)
	if err != nil {
		return nil, asOf, err
	}
	for i := range out {
		out[i].Release = releases[i]
	}
	return out, asOf, nil
}

// Refusals returns up to limit refused requests, newest first; those before a
// sequence where it is not 0.
func (r *Reader) Refusals(ctx context.Context, before uint64, limit int) (out []*recorderv1.Refusal, asOf uint64, err error) {
	asOf, err = r.snapshot(ctx, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `select seq, stored, refused from refusals
			where $1 = 0 or seq < $1 order by seq desc limit $2`, int64(before), limit) //nolint:gosec // Checked by the caller.
		if err != nil {
			return fmt.Errorf("list refusals: %w", err)
		}
		defer rows.Close()
		for rows.Next() {
			refused := &releasev1.RequestRefused{}
			refusal := &recorderv1.Refusal{Refused: refused}
			var stored time.Time
			var body []byte
			if err := rows.Scan(&refusal.Sequence, &stored, &body); err != nil {
				return fmt.Errorf("list refusals: %w", err)
			}
			if err := proto.Unmarshal(body, refused); err != nil {
				return fmt.Errorf("decode refusal %d: %w", refusal.GetSequence(), err)
			}
			refusal.Time = timestamppb.New(stored)
			out = append(out, refusal)
		}
		return rows.Err()
	})
	return out, asOf, err
}
