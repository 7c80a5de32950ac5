// Package migrations holds the schema of the recorder's database and brings a
// database up to it.
//
// Three roles divide what may be done: shipwarden_owner owns the tables,
// shipwarden_writer may add events and keep the projections, shipwarden_reader
// may look. None of them logs in; logins are granted them. Changing or deleting
// an event is refused to all of them, the owner included, by triggers (PD-8.2).
package migrations

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
)

// Roles of the database.
const (
	Owner  = "shipwarden_owner"
	Writer = "shipwarden_writer"
	Reader = "shipwarden_reader"
)

// Schema is where the record lies.
const Schema = "shipwarden"

// Version is the newest version of the schema, which Up leads to.
const Version = 6

// ErrOutdated says that the database has another schema than this program was
// built for, and that nobody migrated it.
var ErrOutdated = errors.New("schema of the database does not fit this program")

//go:embed *.sql
var files embed.FS

// lock keeps two programs that start at once from migrating at once.
const lock = 7_402_211_509

// Up makes the roles and the schema where they are missing and migrates it to
// Version. The login of cfg must be a superuser, or may create roles and schemas.
// It is safe to call from several processes at once.
func Up(ctx context.Context, cfg *pgx.ConnConfig, schema string) error {
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return fmt.Errorf("connect to migrate: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if _, err := conn.Exec(ctx, "select pg_advisory_lock($1)", int64(lock)); err != nil {
		return fmt.Errorf("wait for other migrations: %w", err)
	}
	for _, statement := range bootstrap(schema) {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return fmt.Errorf("make roles and schema %s: %w", schema, err)
		}
	}
	return migrate(ctx, cfg, schema)
}

func migrate(ctx context.Context, cfg *pgx.ConnConfig, schema string) (err error) {
	db := stdlib.OpenDB(*cfg, stdlib.OptionAfterConnect(func(ctx context.Context, conn *pgx.Conn) error {
		return Assume(ctx, conn, Owner, schema)
	}))
	defer func() { err = errors.Join(err, db.Close()) }()
	provider, err := newProvider(db)
	if err != nil {
		return err
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("migrate schema %s: %w", schema, err)
	}
	// The services ask for the version and nothing else of this table.
	if _, err := db.ExecContext(ctx, "grant select on goose_db_version to "+Writer+", "+Reader); err != nil {
		return fmt.Errorf("let services read the version of schema %s: %w", schema, err)
	}
	return nil
}

func newProvider(db *sql.DB) (*goose.Provider, error) {
	sub, err := fs.Sub(files, ".")
	if err != nil {
		return nil, fmt.Errorf("open migrations: %w", err)
	}
	provider, err := goose.NewProvider(goose.DialectPostgres, db, sub, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return nil, fmt.Errorf("read migrations: %w", err)
	}
	return provider, nil
}

// Check returns ErrOutdated where the schema of the connection is not Version.
func Check(ctx context.Context, conn *pgx.Conn) error {
	var version int64
	err := conn.QueryRow(ctx, "select coalesce(max(version_id), 0) from goose_db_version where is_applied").Scan(&version)
	if err != nil {
		return fmt.Errorf("%w: read its version: %w", ErrOutdated, err)
	}
	if version != Version {
		return fmt.Errorf("%w: it has version %d, want %d", ErrOutdated, version, Version)
	}
	return nil
}

// Assume makes the connection work in the schema with the rights of the role. The
// login must be the role, a member of it, or a superuser.
func Assume(ctx context.Context, conn *pgx.Conn, role, schema string) error {
	if _, err := conn.Exec(ctx, "select set_config('search_path', $1, false), set_config('role', $2, false)", schema, role); err != nil {
		return fmt.Errorf("become %s in schema %s: %w", role, schema, err)
	}
	return nil
}

// bootstrap makes what the migrations stand on. Roles belong to the whole
// cluster, so another database may be making the same ones at this moment.
func bootstrap(schema string) []string {
	var statements []string
	for _, role := range []string{Owner, Writer, Reader} {
		statements = append(statements, strings.ReplaceAll(`do $$
begin
    if not exists (select from pg_roles where rolname = 'ROLE') then
        create role ROLE nologin;
        if not (select rolsuper from pg_roles where rolname = current_user) then
            grant ROLE to current_user;
        end if;
    end if;
exception when duplicate_object or unique_violation then
    null;
end
$$`, "ROLE", role))
	}
	// Who writes may also look, so that one login serves both connections.
	grant := `do $$
begin
    if not pg_has_role('WRITER', 'READER', 'member') then
        grant READER to WRITER;
    end if;
exception when unique_violation then
    null;
end
$$`
	quoted := pgx.Identifier{schema}.Sanitize()
	return append(statements,
		strings.NewReplacer("WRITER", Writer, "READER", Reader).Replace(grant),
		"create schema if not exists "+quoted+" authorization "+Owner,
		"grant usage on schema "+quoted+" to "+Writer+", "+Reader)
}
