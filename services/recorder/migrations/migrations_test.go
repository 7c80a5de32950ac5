package migrations_test

import (
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/blackdice/shipwarden/internal/pgtest"
	"github.com/blackdice/shipwarden/services/recorder/migrations"
	"github.com/blackdice/shipwarden/services/recorder/recordertest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

const oneEvent = `insert into events (seq, aggregate, subject, event_id, type, stored, stored_nanos, headers, body, sha256, signed_by)
	values (1, 'rel.a', 'rel.a.approval.requested', 'e', 'requested', now(), 1, '', 'x', decode(repeat('ab', 32), 'hex'), 'k')`

func TestEventsAreAppendOnlyForEverybody(t *testing.T) {
	dsn := recordertest.Database(t)
	writer := recordertest.Connect(t, dsn, migrations.Writer)
	if _, err := writer.Exec(t.Context(), oneEvent); err != nil {
		t.Fatal(err)
	}
	superuser, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := superuser.Exec(t.Context(), "set search_path to shipwarden; set session_replication_role to replica"); err != nil {
		t.Fatal(err)
	}
	logins := map[string]*pgx.Conn{
		"the writer": writer, "the owner": recordertest.Connect(t, dsn, migrations.Owner),
		"the reader": recordertest.Connect(t, dsn, migrations.Reader), "a superuser without triggers": superuser,
	}
	for who, conn := range logins {
		for _, change := range []string{
			"update events set body = 'y'", "update events set rejected = 'no' where seq = 1",
			"delete from events", "truncate events", "truncate events cascade",
			oneEvent + " on conflict (seq) do update set body = 'y'",
			"merge into events e using (select 1 as s) x on e.seq = x.s when matched then delete",
		} {
			_, err := conn.Exec(t.Context(), change)
			var refused *pgconn.PgError
			if !errors.As(err, &refused) || refused.Code != "42501" {
				t.Errorf("%s: %s: got %v, want it refused", who, change, err)
			}
		}
	}
	var count int
	if err := writer.QueryRow(t.Context(), "select count(*) from events where body = 'x'").Scan(&count); err != nil || count != 1 {
		t.Errorf("%d events are as they were (%v), want 1", count, err)
	}
}

// What was told to whom is changed by nobody, so that a mail that was sent stays sent.
func TestWhichMailsPeopleGotIsAppendOnlyForEverybody(t *testing.T) {
	dsn := recordertest.Database(t)
	writer := recordertest.Connect(t, dsn, migrations.Writer)
	for _, add := range []string{
		"insert into digest_days (day, after_seq, through_seq, kind) values ('2026-12-01', 0, 5, 'told')",
		"insert into digests (day, person, attempt, state) values ('2026-12-01', 'anna', 0, 'due'), ('2026-12-01', 'anna', 1, 'sent')",
	} {
		if _, err := writer.Exec(t.Context(), add); err != nil {
			t.Fatal(err)
		}
	}
	for _, role := range []string{migrations.Writer, migrations.Owner, migrations.Reader} {
		conn := recordertest.Connect(t, dsn, role)
		for _, change := range []string{
			"update digests set state = 'unreachable' where state = 'sent'", "delete from digests", "truncate digests", "truncate digest_days cascade",
			"update digest_days set through_seq = 4", "delete from digest_days",
		} {
			_, err := conn.Exec(t.Context(), change)
			var refused *pgconn.PgError
			if !errors.As(err, &refused) || refused.Code != "42501" {
				t.Errorf("%s: %s: got %v, want it refused", role, change, err)
			}
		}
	}
	for _, second := range []string{
		"insert into digests (day, person, attempt, state) values ('2026-12-01', 'anna', 2, 'sent')",
		"insert into digests (day, person, attempt, state) values ('2026-12-01', 'anna', 1, 'given_up')",
		"insert into digest_days (day, after_seq, through_seq, kind) values ('2026-12-01', 0, 9, 'told')",
	} {
		if _, err := writer.Exec(t.Context(), second); err == nil {
			t.Errorf("%s: a mail came to two ends", second)
		}
	}
}

func TestRolesMayDoNoMoreThanTheirWork(t *testing.T) {
	dsn := recordertest.Database(t)
	for _, c := range []struct{ role, statement string }{
		{migrations.Reader, oneEvent},
		{migrations.Reader, "insert into digest_days (day, after_seq, through_seq, kind) values ('2026-12-01', 0, 5, 'told')"},
		{migrations.Reader, "update checkpoint set last_seq = 5"},
		{migrations.Reader, "insert into procedures values ('a', 'b', 1)"},
		{migrations.Writer, "delete from releases"},
		{migrations.Writer, "truncate releases"},
		{migrations.Writer, "delete from checkpoint"},
		{migrations.Writer, "insert into checkpoint values (true, 'x', 1, '')"},
		{migrations.Writer, "update refusals set refused = ''"},
		{migrations.Writer, "drop table events"},
		{migrations.Writer, "alter table events disable trigger all"},
		{migrations.Writer, "create table more (a int)"},
	} {
		_, err := recordertest.Connect(t, dsn, c.role).Exec(t.Context(), c.statement)
		var refused *pgconn.PgError
		if !errors.As(err, &refused) || refused.Code != "42501" {
			t.Errorf("%s: %s: got %v, want it refused", c.role, c.statement, err)
		}
	}
}

func TestSeveralProgramsMigrateAtOnce(t *testing.T) {
	dsn := pgtest.Database(t)
	done := make(chan error)
	for range 4 {
		go func() { done <- recordertest.Migrate(t.Context(), dsn) }()
	}
	for range 4 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if err := migrations.Check(t.Context(), recordertest.Connect(t, dsn, migrations.Reader)); err != nil {
		t.Error(err)
	}
}

func TestAnotherSchemaThanThePrograms(t *testing.T) {
	conn := recordertest.Connect(t, pgtest.Database(t), "none")
	if err := migrations.Check(t.Context(), conn); !errors.Is(err, migrations.ErrOutdated) {
		t.Errorf("got %v, want ErrOutdated", err)
	}
}
