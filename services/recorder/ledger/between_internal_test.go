package ledger

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/blackdice/shipwarden/internal/pgtest"
	"github.com/blackdice/shipwarden/services/recorder/migrations"
)

// However many releases there are, those of one day's events are found by their key.
func TestTheReleasesOfADayAreFoundByTheirKey(t *testing.T) {
	config, err := pgx.ParseConfig(pgtest.Database(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := migrations.Up(t.Context(), config, migrations.Schema); err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.ConnectConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	// The tables are empty: it would read all of them, where it may.
	if _, err := conn.Exec(t.Context(), "set search_path = "+migrations.Schema+"; set enable_seqscan = off; set enable_hashjoin = off; set enable_mergejoin = off; set enable_bitmapscan = off"); err != nil {
		t.Fatal(err)
	}
	rows, err := conn.Query(t.Context(), "explain "+between, int64(0), int64(9), work)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Join(plan, "\n")
	if !strings.Contains(text, "releases_pkey") || !strings.Contains(text, "Index Cond: (release = substr(") {
		t.Errorf("the plan is\n%s", text)
	}
}
