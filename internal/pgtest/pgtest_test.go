package pgtest_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/blackdice/shipwarden/internal/pgtest"
)

// withoutMain makes this test program run its tests without pgtest.Main.
const withoutMain = "SHIPWARDEN_PGTEST_WITHOUT_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(withoutMain) != "" {
		os.Exit(m.Run())
	}
	pgtest.Main(m)
}

func connect(t *testing.T, dsn string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func mustExec(t *testing.T, conn *pgx.Conn, sql string) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func TestDatabasesAreEmptyAndApart(t *testing.T) {
	one, two := connect(t, pgtest.Database(t)), connect(t, pgtest.Database(t))
	mustExec(t, one, "CREATE TABLE mine (n int)")
	_, err := two.Exec(t.Context(), "SELECT * FROM mine")
	var missing *pgconn.PgError
	if !errors.As(err, &missing) || missing.Code != "42P01" {
		t.Errorf("the other database's table: got %v, want 42P01", err)
	}
}

func TestADatabaseIsDroppedAfterItsTest(t *testing.T) {
	var dsn string
	t.Run("inner", func(t *testing.T) {
		dsn = pgtest.Database(t)
		connect(t, dsn) // still open when the database goes
	})
	_, err := pgx.Connect(t.Context(), dsn)
	var missing *pgconn.PgError
	if !errors.As(err, &missing) || missing.Code != "3D000" {
		t.Errorf("got %v, want 3D000", err)
	}
}

func TestMigrationsRunOnceAndEveryTestGetsItsOwnCopy(t *testing.T) {
	runs := 0
	migrate := func(ctx context.Context, dsn string) error {
		runs++
		conn, err := pgx.Connect(ctx, dsn)
		if err != nil {
			return err
		}
		defer func() { _ = conn.Close(ctx) }()
		_, err = conn.Exec(ctx, "CREATE TABLE made (n int)")
		return err
	}
	for range 3 {
		t.Run("copy", func(t *testing.T) {
			conn := connect(t, pgtest.Migrated(t, "made", migrate))
			mustExec(t, conn, "INSERT INTO made VALUES (1)")
			var count int
			if err := conn.QueryRow(t.Context(), "SELECT count(*) FROM made").Scan(&count); err != nil {
				t.Fatal(err)
			}
			if count != 1 {
				t.Errorf("the copy holds %d rows, want only its own", count)
			}
		})
	}
	if runs != 1 {
		t.Errorf("the migration ran %d times", runs)
	}
}

func TestCommittedRowsSurviveTheKillOfAnOwnServer(t *testing.T) {
	own := pgtest.StartOwn(t)
	dsn := own.DSN()
	mustExec(t, connect(t, dsn), "CREATE TABLE kept AS SELECT 7 AS n")
	own.Kill(t)
	if conn, err := pgx.Connect(t.Context(), dsn); err == nil {
		_ = conn.Close(t.Context())
		t.Error("the killed server answers")
	}
	for _, again := range []string{"after a kill", "after a stop"} {
		own.Start(t)
		if own.DSN() != dsn {
			t.Errorf("%s the DSN changed", again)
		}
		var n int
		if err := connect(t, dsn).QueryRow(t.Context(), "SELECT n FROM kept").Scan(&n); err != nil || n != 7 {
			t.Errorf("%s: got %d, %v", again, n, err)
		}
		own.Stop(t)
	}
}

func TestWithoutMainATestIsToldSo(t *testing.T) {
	cmd := exec.Command(os.Args[0], "-test.run=TestDatabasesAreEmptyAndApart") //nolint:gosec // this very program
	cmd.Env = append(os.Environ(), withoutMain+"=yes")
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "pgtest.Main") {
		t.Errorf("got %v and %s, want a failure naming pgtest.Main", err, out)
	}
}
