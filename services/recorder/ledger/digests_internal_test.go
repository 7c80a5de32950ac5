package ledger

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/blackdice/shipwarden/internal/pgtest"
	"github.com/blackdice/shipwarden/services/recorder/migrations"
)

// Mails are kept for ever. Those of days that are told are not read again, and no day that
// is not told is left out.
func TestDaysThatAreToldAreNotReadAgain(t *testing.T) {
	dsn := pgtest.Database(t)
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	if err := migrations.Up(t.Context(), config, migrations.Schema); err != nil {
		t.Fatal(err)
	}
	open := func() *Digests {
		d, err := OpenDigests(t.Context(), dsn, migrations.Schema)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(d.Close)
		return d
	}
	d := open()
	is := func(d *Digests, want ...string) {
		t.Helper()
		all, err := d.Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, m := range all {
			got = append(got, m.Day+" "+m.Person)
		}
		if len(got) != len(want) {
			t.Fatalf("open are %v, want %v", got, want)
		}
		for i := range got {
			if got[i] != want[i] {
				t.Errorf("open are %v, want %v", got, want)
			}
		}
	}
	is(d)
	note := func(day string, people ...string) {
		t.Helper()
		if err := d.Note(t.Context(), DigestDay{Day: day, Kind: DigestTold}, people); err != nil {
			t.Fatal(err)
		}
	}
	end := func(day, person string) {
		t.Helper()
		if err := d.NoteMail(t.Context(), day, person, 1, DigestSent); err != nil {
			t.Fatal(err)
		}
	}
	note("2026-12-01", "anna", "ben")
	is(d, "2026-12-01 anna", "2026-12-01 ben")
	note("2026-12-02", "anna")
	end("2026-12-01", "anna")
	is(d, "2026-12-01 ben", "2026-12-02 anna")
	end("2026-12-02", "anna")
	is(d, "2026-12-01 ben")
	end("2026-12-01", "ben")
	is(d)
	note("2026-12-03", "cleo")
	is(d, "2026-12-03 cleo")
	// What cannot be shows that the day is not read.
	if _, err := d.pool.Exec(t.Context(), "insert into digests (day, person, attempt, state) values ('2026-12-01', 'dan', 0, 'due')"); err != nil {
		t.Fatal(err)
	}
	is(d, "2026-12-03 cleo")
	is(open(), "2026-12-01 dan", "2026-12-03 cleo")
	// A database that was restored to an earlier day is looked through again.
	d.since = "2026-12-04"
	is(d, "2026-12-01 dan", "2026-12-03 cleo")
}
