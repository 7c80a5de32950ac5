package postgres

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

func TestTCPAsksForThePassword(t *testing.T) {
	cfg := Config{Dir: filepath.Join(openDir(t), "pg"), Listen: "127.0.0.1:0"}
	s := run(t, cfg)
	if got := query(t, s, "SELECT 'in'"); got != "in" {
		t.Fatalf("the DSN leads to %q", got)
	}
	if !strings.Contains(s.DSN("postgres"), s.Addr()) {
		t.Errorf("DSN does not use the address %s", s.Addr())
	}
	wrong := strings.Replace(s.DSN("postgres"), s.password, "guess", 1)
	_, err := pgx.Connect(t.Context(), wrong)
	var refused *pgconn.PgError
	if !errors.As(err, &refused) || refused.Code != "28P01" {
		t.Errorf("a wrong password: got %v, want 28P01", err)
	}
	info, err := os.Stat(filepath.Join(cfg.Dir, "password"))
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode().Perm(); got != 0o600 {
		t.Errorf("the password file has mode %o", got)
	}
}

func TestAClusterChangesFromSocketToTCPAndKeepsItsPassword(t *testing.T) {
	cfg := Config{Dir: filepath.Join(openDir(t), "pg")}
	first := run(t, cfg)
	if first.Addr() != "" {
		t.Errorf("without Listen it listens on %s", first.Addr())
	}
	store(t, first)
	first.Stop(t.Context())
	cfg.Listen = "127.0.0.1:0"
	if got := stored(t, run(t, cfg)); got != "kept" {
		t.Errorf("the row says %q", got)
	}
}

func TestATakenPortIsAnError(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	_, err = Start(t.Context(), Config{Dir: filepath.Join(openDir(t), "pg"), Listen: listener.Addr().String()})
	if !errors.Is(err, ErrStart) || !strings.Contains(err.Error(), "already in use") {
		t.Fatalf("got %v, want ErrStart with the reason", err)
	}
}

func TestOnlyLoopbackAddressesAreTaken(t *testing.T) {
	for listen, want := range map[string]error{
		"0.0.0.0:0":      ErrNotLoopback,
		"192.0.2.1:5432": ErrNotLoopback,
		"[::]:5432":      ErrNotLoopback,
		"example.com:1":  ErrNotLoopback,
		":5432":          ErrNotLoopback,
	} {
		if _, _, err := (Config{Listen: listen}).hostPort(); !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", listen, err, want)
		}
	}
	for _, listen := range []string{"127.0.0.1", "127.0.0.1:x", "127.0.0.1:70000", "127.0.0.1:-1"} {
		if _, _, err := (Config{Listen: listen}).hostPort(); err == nil || !strings.Contains(err.Error(), listen) {
			t.Errorf("%s: got %v, want an error naming it", listen, err)
		}
	}
	if host, port, err := (Config{Listen: "[::1]:5433"}).hostPort(); err != nil || host != "::1" || port != 5433 {
		t.Errorf("[::1]:5433 became %s %d, %v", host, port, err)
	}
}

func TestADirectoryClosedToTheServersUserIsNamed(t *testing.T) {
	closed := filepath.Join(openDir(t), "closed")
	if err := os.Mkdir(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	stranger := owner{name: "stranger", uid: 54321, gid: 54321, switched: true}
	err := stranger.checkReach(filepath.Join(closed, "not", "yet", "there"))
	if !errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), closed) || !strings.Contains(err.Error(), "stranger") {
		t.Fatalf("got %v, want ErrUnreachable naming user and directory", err)
	}
	if err := os.Chmod(closed, 0o711); err != nil {
		t.Fatal(err)
	}
	if err := stranger.checkReach(closed); err != nil {
		t.Errorf("open directory: %v", err)
	}
}

func TestPermissionClassesCountAsTheKernelCountsThem(t *testing.T) {
	dir := openDir(t)
	me := uint32(os.Geteuid())   //nolint:gosec // not negative
	mine := uint32(os.Getegid()) //nolint:gosec // not negative
	for name, test := range map[string]struct {
		mode fs.FileMode
		who  owner
		want bool
	}{
		"owner by owner bits":            {0o100, owner{uid: me, gid: 9}, true},
		"owner not by other bits":        {0o011, owner{uid: me, gid: mine}, false},
		"group by group bits":            {0o010, owner{uid: 54321, gid: mine}, true},
		"further group by group bits":    {0o010, owner{uid: 54321, gid: 9, groups: []uint32{mine}}, true},
		"group not by other bits":        {0o101, owner{uid: 54321, gid: mine}, false},
		"stranger by other bits":         {0o001, owner{uid: 54321, gid: 54321}, true},
		"stranger not by the other bits": {0o776, owner{uid: 54321, gid: 54321}, false},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(dir, strings.ReplaceAll(name, " ", "-"))
			if err := os.Mkdir(path, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(path, test.mode); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = os.Chmod(path, 0o700) })
			info, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			if got := test.who.mayEnter(info); got != test.want {
				t.Errorf("mode %o: got %t, want %t", test.mode, got, test.want)
			}
		})
	}
}
