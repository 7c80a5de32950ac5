package rig

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"

	"github.com/jackc/pgx/v5"

	"github.com/blackdice/shipwarden/internal/postgres"
	"github.com/blackdice/shipwarden/services/recorder/migrations"
)

// login is the role under which the recorder connects: it may add events, and keep
// the projections, and nothing else.
const login = "shipwarden_recorder"

// ownerURL is the file with the connection string of the owner of the tables, who
// migrates and rebuilds; the recorder's login may do neither.
const ownerURL = "owner.url"

// database starts PostgreSQL, brings the schema up to date, and leaves a file with
// the connection string of the recorder's login.
func (r *Rig) database(ctx context.Context) error {
	server, err := postgres.Start(ctx, postgres.Config{
		Dir: filepath.Join(r.cfg.Dir, "database"), Listen: "127.0.0.1:0", Durable: !r.cfg.Unsafe,
	})
	if err != nil {
		return fmt.Errorf("start the database: %w", err)
	}
	r.undo(func() { server.Stop(context.WithoutCancel(ctx)) })
	r.DatabaseURL = server.DSN("postgres")
	if err := os.WriteFile(r.secretFile(ownerURL), []byte(r.DatabaseURL), 0o600); err != nil {
		return err
	}
	config, err := pgx.ParseConfig(r.DatabaseURL)
	if err != nil {
		return err
	}
	if err := migrations.Up(ctx, config, migrations.Schema); err != nil {
		return err
	}
	password, err := secret(r.secretFile("database.password"))
	if err != nil {
		return err
	}
	if err := makeLogin(ctx, config, password); err != nil {
		return err
	}
	dsn, err := url.Parse(r.DatabaseURL)
	if err != nil {
		return err
	}
	dsn.User = url.UserPassword(login, password)
	return os.WriteFile(r.secretFile("database.url"), []byte(dsn.String()), 0o600)
}

func makeLogin(ctx context.Context, config *pgx.ConnConfig, password string) error {
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return fmt.Errorf("connect to the database: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	var there bool
	if err := conn.QueryRow(ctx, "select exists (select from pg_roles where rolname = $1)", login).Scan(&there); err != nil {
		return err
	}
	if there {
		return nil
	}
	// A password is text of letters and digits of our own, so quoting is safe.
	for _, statement := range []string{
		"create role " + login + " login password '" + password + "'",
		"grant " + migrations.Writer + ", " + migrations.Reader + " to " + login,
	} {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return fmt.Errorf("make the recorder's login: %w", err)
		}
	}
	return nil
}
