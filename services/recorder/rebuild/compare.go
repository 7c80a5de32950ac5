package rebuild

import (
	"context"
	"fmt"
	"io"

	"github.com/jackc/pgx/v5"

	"github.com/blackdice/shipwarden/services/recorder/migrations"
)

// maxNamed bounds the differing rows that a report names, for each table.
const maxNamed = 20

// tables are compared row by row: by what a row is named, and by all of it. Of
// events, whose bodies may be many, the digests stand for the bodies.
var tables = []struct{ name, key, row string }{
	{"checkpoint", "''", "t::text"},
	{"events", "seq", "row(seq, aggregate, subject, event_id, type, stored, stored_nanos, md5(headers), md5(body), sha256, signed_by, rejected)::text"},
	{"releases", "release", "t::text"},
	{"release_targets", "target, release", "t::text"},
	{"release_people", "person, release, part", "t::text"},
	{"release_artifacts", "digest, release", "t::text"},
	{"targets", "target", "t::text"},
	{"quarantines", "digest", "t::text"},
	{"refusals", "seq", "t::text"},
	{"procedures", "digest", "t::text"},
}

// Report is what a comparison found.
type Report struct {
	// Sequence is the last message of both records.
	Sequence uint64
	Tables   []Table
}

// Table is what was found in one table.
type Table struct {
	Name          string
	Live, Rebuilt int
	// Differing is how many rows are not the same in both, Rows names the first.
	Differing int
	Rows      []string
}

// Differs reports whether the records are not the same.
func (r Report) Differs() bool {
	for _, t := range r.Tables {
		if t.Differing > 0 {
			return true
		}
	}
	return false
}

// Print writes the report for people.
func (r Report) Print(w io.Writer) {
	fmt.Fprintf(w, "as of message %d\n", r.Sequence)
	for _, t := range r.Tables {
		fmt.Fprintf(w, "%-18s %8d live %8d rebuilt %6d differ\n", t.Name, t.Live, t.Rebuilt, t.Differing)
		for _, row := range t.Rows {
			fmt.Fprintf(w, "  %s\n", row)
		}
		if more := t.Differing - len(t.Rows); more > 0 {
			fmt.Fprintf(w, "  and %d more\n", more)
		}
	}
}

// Compare compares every row of both records as of one message. The live record is
// read as of one moment, and what it has more by then is rebuilt first.
func (r *Rebuild) Compare(ctx context.Context) (Report, error) {
	live, err := r.connect(ctx, migrations.Schema)
	if err != nil {
		return Report{}, err
	}
	defer func() { _ = live.Close(context.WithoutCancel(ctx)) }()
	rebuilt, err := r.connect(ctx, fresh)
	if err != nil {
		return Report{}, err
	}
	defer func() { _ = rebuilt.Close(context.WithoutCancel(ctx)) }()
	var report Report
	options := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	err = pgx.BeginTxFunc(ctx, live, options, func(tx pgx.Tx) error {
		if err := tx.QueryRow(ctx, "select last_seq from checkpoint").Scan(&report.Sequence); err != nil {
			return fmt.Errorf("read the live checkpoint: %w", err)
		}
		if err := r.until(ctx, report.Sequence); err != nil {
			return err
		}
		for _, t := range tables {
			found, err := compare(ctx, tx, rebuilt, t.name, t.key, t.row)
			if err != nil {
				return fmt.Errorf("compare table %s: %w", t.name, err)
			}
			report.Tables = append(report.Tables, found)
		}
		return nil
	})
	return report, err
}

// side is one of two ordered lists of rows.
type side struct {
	rows     pgx.Rows
	key, row string
	ended    bool
	count    int
}

func (s *side) next() error {
	if s.ended = !s.rows.Next(); s.ended {
		return s.rows.Err()
	}
	s.count++
	return s.rows.Scan(&s.key, &s.row)
}

type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

func compare(ctx context.Context, a, b querier, name, key, row string) (Table, error) {
	t := Table{Name: name}
	// The text of a row's key in one order on both sides, whatever the key is.
	query := fmt.Sprintf(`select k, r from (select row(%s)::text collate "C" as k, %s as r from %s t) x order by k`, key, row, name)
	live, rebuilt := &side{}, &side{}
	for _, s := range []struct {
		*side
		from querier
	}{{live, a}, {rebuilt, b}} {
		rows, err := s.from.Query(ctx, query)
		if err != nil {
			return t, err
		}
		defer rows.Close()
		s.rows = rows
		if err := s.next(); err != nil {
			return t, err
		}
	}
	for !live.ended || !rebuilt.ended {
		var err error
		switch {
		case rebuilt.ended || !live.ended && live.key < rebuilt.key:
			t.differ("only live: %s", live.key)
			err = live.next()
		case live.ended || rebuilt.key < live.key:
			t.differ("only rebuilt: %s", rebuilt.key)
			err = rebuilt.next()
		default:
			if live.row != rebuilt.row {
				t.differ("not the same: %s", live.key)
			}
			if err = live.next(); err == nil {
				err = rebuilt.next()
			}
		}
		if err != nil {
			return t, err
		}
	}
	t.Live, t.Rebuilt = live.count, rebuilt.count
	return t, nil
}

func (t *Table) differ(format, key string) {
	t.Differing++
	if len(t.Rows) < maxNamed {
		t.Rows = append(t.Rows, fmt.Sprintf(format, key))
	}
}
