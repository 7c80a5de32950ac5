package pgtest

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/blackdice/shipwarden/internal/postgres"
)

// counter numbers the databases of this binary.
var counter atomic.Int64

// template is a database that was migrated once.
type template struct {
	once sync.Once
	name string
	err  error
}

// Database returns the DSN of an empty database that is dropped when the test
// ends, whatever connections it left open.
func Database(t testing.TB) string {
	t.Helper()
	return create(t, server(t), "template0")
}

// Migrated returns the DSN of a database on which migrate has run. migrate runs
// once per key in a test binary, on the template that the databases are copied
// from, and must close its connections; use one key for one function.
func Migrated(t testing.TB, key string, migrate func(ctx context.Context, dsn string) error) string {
	t.Helper()
	s := server(t)
	shared.mu.Lock()
	made := shared.templates[key]
	if made == nil {
		made = &template{}
		shared.templates[key] = made
	}
	shared.mu.Unlock()
	made.once.Do(func() {
		made.name = fmt.Sprintf("template_%d", counter.Add(1))
		made.err = makeTemplate(t.Context(), s, made.name, migrate)
	})
	if made.err != nil {
		t.Fatalf("migrate the template %q: %v", key, made.err)
	}
	return create(t, s, made.name)
}

// server returns the shared server or fails the test.
func server(t testing.TB) *postgres.Server {
	t.Helper()
	s, err := shared.get(context.WithoutCancel(t.Context()))
	if err != nil {
		t.Fatalf("get a database: %v", err)
	}
	return s
}

func makeTemplate(ctx context.Context, s *postgres.Server, name string, migrate func(context.Context, string) error) error {
	if err := exec(ctx, s, "CREATE DATABASE "+name+" TEMPLATE template0"); err != nil {
		return err
	}
	if err := migrate(ctx, s.DSN(name)); err != nil {
		return err
	}
	// PostgreSQL copies only from databases that nobody is connected to.
	return exec(ctx, s, "ALTER DATABASE "+name+" ALLOW_CONNECTIONS false")
}

func create(t testing.TB, s *postgres.Server, from string) string {
	t.Helper()
	name := fmt.Sprintf("test_%d", counter.Add(1))
	if err := exec(t.Context(), s, "CREATE DATABASE "+name+" TEMPLATE "+from); err != nil {
		t.Fatalf("create a database: %v", err)
	}
	t.Cleanup(func() {
		// The test's context has ended by now.
		if err := exec(context.Background(), s, "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			t.Errorf("drop the test's database: %v", err)
		}
	})
	return s.DSN(name)
}

// exec runs one statement as the superuser. The names in it are made here.
func exec(ctx context.Context, s *postgres.Server, sql string) error {
	conn, err := pgx.Connect(ctx, s.DSN("postgres"))
	if err != nil {
		return fmt.Errorf("connect to postgres: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if _, err := conn.Exec(ctx, sql); err != nil {
		return fmt.Errorf("%s: %w", sql, err)
	}
	return nil
}
