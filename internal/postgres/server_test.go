package postgres

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
)

// run starts a server that ends with the test.
func run(t *testing.T, cfg Config) *Server {
	t.Helper()
	s, err := Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Stop(context.Background()) })
	return s
}

// query returns the single text value of a statement.
func query(t *testing.T, s *Server, sql string) string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), s.DSN("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	var out string
	if err := conn.QueryRow(t.Context(), sql).Scan(&out); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return out
}

// store commits one row that later starts can look for.
func store(t *testing.T, s *Server) {
	t.Helper()
	query(t, s, "WITH made AS (SELECT lo_from_bytea(4711, 'kept')) SELECT 'done' FROM made")
}

func stored(t *testing.T, s *Server) string {
	t.Helper()
	return query(t, s, "SELECT convert_from(lo_get(4711), 'UTF8')")
}

func TestStateSurvivesStopAndStart(t *testing.T) {
	cfg := Config{Dir: filepath.Join(openDir(t), "pg"), Durable: true}
	first := run(t, cfg)
	store(t, first)
	first.Stop(t.Context())
	first.Stop(t.Context())
	if got := stored(t, run(t, cfg)); got != "kept" {
		t.Errorf("after a restart the row says %q", got)
	}
}

func TestDurabilityIsAsConfigured(t *testing.T) {
	for want, durable := range map[string]bool{"on": true, "off": false} {
		s := run(t, Config{Dir: filepath.Join(openDir(t), "pg"), Durable: durable})
		for _, name := range []string{"fsync", "synchronous_commit", "full_page_writes"} {
			if got := query(t, s, "SHOW "+name); got != want {
				t.Errorf("durable %t: %s is %s", durable, name, got)
			}
		}
		for name, want := range map[string]string{
			"data_checksums": "on", "server_encoding": "UTF8", "listen_addresses": "", "TimeZone": "UTC",
		} {
			if got := query(t, s, "SHOW "+name); got != want {
				t.Errorf("%s is %q, want %q", name, got, want)
			}
		}
	}
}

func TestASecondStartOnALiveDirectoryIsRefused(t *testing.T) {
	cfg := Config{Dir: filepath.Join(openDir(t), "pg")}
	s := run(t, cfg)
	_, err := Start(t.Context(), cfg)
	if !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), cfg.Dir) {
		t.Fatalf("got %v, want ErrInUse naming the directory", err)
	}
	if got := query(t, s, "SELECT 'alive'"); got != "alive" {
		t.Errorf("the first server answers %q", got)
	}
}

func TestAKilledPostmasterHindersNoStart(t *testing.T) {
	cfg := Config{Dir: filepath.Join(openDir(t), "pg"), Durable: true}
	first := run(t, cfg)
	store(t, first)
	if err := syscall.Kill(first.PID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-first.Ended()
	first.Stop(t.Context())
	if _, err := os.Stat(filepath.Join(cfg.Dir, "data", "postmaster.pid")); err != nil {
		t.Fatalf("the kill left no pid file to stumble over: %v", err)
	}
	if got := stored(t, run(t, cfg)); got != "kept" {
		t.Errorf("after the kill the row says %q", got)
	}
}

// bystander runs a process that is no postgres, with the given argv[0].
func bystander(t *testing.T, name string) int {
	t.Helper()
	path, err := exec.LookPath("sleep")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path)
	cmd.Args = []string{name, "600"}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return cmd.Process.Pid
}

// pretend writes pid into the first line of the stopped cluster's pid file.
func pretend(t *testing.T, cfg Config, pid int) {
	t.Helper()
	text := strconv.Itoa(pid) + "\n" + filepath.Join(cfg.Dir, "data") + "\n1\n5432\n\n\n"
	if err := os.WriteFile(filepath.Join(cfg.Dir, "data", "postmaster.pid"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestAPidFileWhoseNumberBelongsToAnotherProgramHindersNoStart(t *testing.T) {
	cfg := Config{Dir: filepath.Join(openDir(t), "pg")}
	first := run(t, cfg)
	store(t, first)
	first.Stop(t.Context())
	pid := bystander(t, "sleep")
	pretend(t, cfg, pid)
	if os.Geteuid() == 0 {
		// As the server's own user would have left it.
		who, err := pickOwner()
		if err != nil {
			t.Fatal(err)
		}
		if err := who.own(filepath.Join(cfg.Dir, "data", "postmaster.pid")); err != nil {
			t.Fatal(err)
		}
	}
	if got := stored(t, run(t, cfg)); got != "kept" {
		t.Errorf("the row says %q", got)
	}
	if !alive(pid) {
		t.Error("the unrelated process was ended")
	}
}

func TestAServerStartedByHandIsLeftAlone(t *testing.T) {
	cfg := Config{Dir: filepath.Join(openDir(t), "pg")}
	run(t, cfg).Stop(t.Context())
	pid := bystander(t, "postgres -D "+filepath.Join(cfg.Dir, "data"))
	pretend(t, cfg, pid)
	_, err := Start(t.Context(), cfg)
	if !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), strconv.Itoa(pid)) {
		t.Fatalf("got %v, want ErrInUse naming process %d", err, pid)
	}
	if !alive(pid) {
		t.Error("the server was ended")
	}
}

func TestAnOrphanIsStoppedAndItsWorkKept(t *testing.T) {
	cfg := Config{Dir: filepath.Join(openDir(t), "pg"), Durable: true}
	orphan := run(t, cfg)
	store(t, orphan)
	orphan.lock.Release() // what the kernel does when the starter dies
	if got := stored(t, run(t, cfg)); got != "kept" {
		t.Errorf("the row says %q", got)
	}
	<-orphan.Ended()
}

func TestAnInterruptedInitdbIsBegunAgain(t *testing.T) {
	cfg := Config{Dir: filepath.Join(openDir(t), "pg")}
	if err := os.MkdirAll(filepath.Join(cfg.Dir, "data.new", "base"), 0o755); err != nil {
		t.Fatal(err)
	}
	run(t, cfg)
	if _, err := os.Stat(filepath.Join(cfg.Dir, "data.new")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the unfinished cluster is still there: %v", err)
	}
}

func TestDataOfAnotherMajorVersionIsRefused(t *testing.T) {
	cfg := Config{Dir: filepath.Join(openDir(t), "pg")}
	if err := os.MkdirAll(filepath.Join(cfg.Dir, "data"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(cfg.Dir, "data", "PG_VERSION"), []byte("9\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Start(t.Context(), cfg)
	if !errors.Is(err, ErrVersion) || !strings.Contains(err.Error(), "written by PostgreSQL 9") {
		t.Fatalf("got %v, want ErrVersion naming both versions", err)
	}
}

func TestALongDirectoryStillGetsASocket(t *testing.T) {
	s := run(t, Config{Dir: filepath.Join(openDir(t), strings.Repeat("long", 25))})
	if !strings.HasPrefix(s.socketDir, "/tmp/swpg-") {
		t.Errorf("the socket lies in %s", s.socketDir)
	}
	s.Stop(t.Context())
	if _, err := os.Stat(s.socketDir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket directory was left: %v", err)
	}
}

func TestAStartThatFailsQuotesTheLogAndFreesTheDirectory(t *testing.T) {
	cfg := Config{Dir: filepath.Join(openDir(t), "pg")}
	run(t, cfg).Stop(t.Context())
	bad := cfg
	bad.MaxConnections = -5
	_, err := Start(t.Context(), bad)
	if !errors.Is(err, ErrStart) || !strings.Contains(err.Error(), "max_connections") {
		t.Fatalf("got %v, want ErrStart quoting max_connections", err)
	}
	run(t, cfg)
}

// TestNothingRunsAsRoot: PostgreSQL refuses to, and so that it does not matter who runs the
// tests, the server of whoever else runs them is theirs.
func TestNothingRunsAsRoot(t *testing.T) {
	s := run(t, Config{Dir: filepath.Join(openDir(t), "pg")})
	who, err := pickOwner()
	if err != nil {
		t.Fatal(err)
	}
	if who.uid == 0 || os.Geteuid() != 0 && int(who.uid) != os.Geteuid() {
		t.Fatalf("started by user %d, it is to run as user %d", os.Geteuid(), who.uid)
	}
	out, err := exec.Command("ps", "-o", "uid=", "-p", strconv.Itoa(s.PID())).Output() // The same on Linux and macOS.
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.TrimSpace(string(out)); got != strconv.Itoa(int(who.uid)) {
		t.Errorf("it runs as user %s, not as %d", got, who.uid)
	}
	for _, part := range []string{"data", "data/base", "data/PG_VERSION"} {
		info, err := os.Stat(filepath.Join(s.cfg.Dir, part))
		if err != nil {
			t.Fatal(err)
		}
		if stat, ok := info.Sys().(*syscall.Stat_t); !ok || stat.Uid != who.uid {
			t.Errorf("%s is not of user %d: %+v", part, who.uid, info.Sys())
		}
	}
}
