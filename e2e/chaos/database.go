package chaos

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/url"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/blackdice/shipwarden/internal/postgres"
	"github.com/blackdice/shipwarden/services/recorder/migrations"
)

// database is PostgreSQL, which can be killed and started again on its data.
type database struct {
	cfg   postgres.Config
	url   string
	kills int

	mu     sync.Mutex
	server *postgres.Server
}

// startDatabase makes a cluster with the schema, and a login for the recorder, whose
// connection string it leaves in a file.
func startDatabase(ctx context.Context, address, dir, file string) (*database, error) {
	d := &database{cfg: postgres.Config{Dir: dir, Listen: address, Durable: true}}
	var err error
	if d.server, err = postgres.Start(ctx, d.cfg); err != nil {
		return nil, err
	}
	d.url = d.server.DSN("postgres")
	config, err := pgx.ParseConfig(d.url)
	if err != nil {
		return d, err
	}
	if err := migrations.Up(ctx, config, migrations.Schema); err != nil {
		return d, err
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return d, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	// A password of letters and digits of our own, so quoting is safe.
	password := rand.Text()
	for _, statement := range []string{
		"create role chaos_recorder login password '" + password + "'",
		"grant " + migrations.Writer + ", " + migrations.Reader + " to chaos_recorder",
	} {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return d, fmt.Errorf("make the recorder's login: %w", err)
		}
	}
	dsn, err := url.Parse(d.url)
	if err != nil {
		return d, err
	}
	dsn.User = url.UserPassword("chaos_recorder", password)
	return d, os.WriteFile(file, []byte(dsn.String()), 0o600)
}

// kill kills the whole group of the postmaster, and starts it again after a while.
func (d *database) kill(ctx context.Context, away time.Duration) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	pid := d.server.PID()
	// Its backends are of its group; where they are not, they end by themselves.
	if syscall.Kill(-pid, syscall.SIGKILL) != nil {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	<-d.server.Ended()
	d.kills++
	d.server.Stop(ctx)
	pause(ctx, away)
	server, err := postgres.Start(context.WithoutCancel(ctx), d.cfg)
	if err != nil {
		return err
	}
	d.server = server
	return nil
}

func (d *database) stop() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.server != nil {
		d.server.Stop(context.Background())
	}
}
