package postgres

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/blackdice/shipwarden/internal/dirlock"
)

// Server is a running private cluster. Its methods may be called concurrently.
type Server struct {
	cfg       Config
	lock      *dirlock.Lock
	cmd       *exec.Cmd
	socketDir string
	host      string // empty without TCP
	port      int
	password  string
	ended     chan struct{} // closed when the process has ended
	endErr    error         // set before ended is closed
	stopOnce  sync.Once
}

// Start makes the cluster if there is none, runs it, and returns when it answers
// queries. ctx bounds the start only; the server runs until Stop or until this
// process ends. The errors that callers may want to tell apart are ErrNoBinaries,
// ErrInUse, ErrUnreachable, ErrNotLoopback, ErrVersion and ErrStart.
func Start(ctx context.Context, cfg Config) (*Server, error) {
	if cfg.StartTimeout == 0 {
		cfg.StartTimeout = DefaultStartTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, cfg.StartTimeout)
	defer cancel()
	s := &Server{cfg: cfg, port: socketPort}
	if err := s.start(ctx); err != nil {
		s.release()
		return nil, fmt.Errorf("start postgres in %s: %w", cfg.Dir, err)
	}
	return s, nil
}

func (s *Server) start(ctx context.Context) error {
	who, err := pickOwner()
	if err != nil {
		return err
	}
	if err := s.openDir(who); err != nil {
		return err
	}
	if err := clearPrevious(ctx, s.cfg); err != nil {
		return err
	}
	binaries, err := prepare(ctx, s.cfg, who)
	if err != nil {
		return err
	}
	if s.password, err = ensurePassword(s.cfg.passwordFile()); err != nil {
		return err
	}
	if err := s.makeSocketDir(who); err != nil {
		return err
	}
	if err := os.Rename(s.cfg.logFile(), s.cfg.logFile()+".1"); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("keep the previous log: %w", err)
	}
	for {
		retry, err := s.launch(ctx, who, binaries)
		if err == nil || !retry || ctx.Err() != nil {
			return err
		}
	}
}

// openDir makes Config.Dir and takes its lock.
func (s *Server) openDir(who owner) error {
	dir, err := filepath.Abs(s.cfg.Dir)
	if err != nil || s.cfg.Dir == "" {
		return fmt.Errorf("directory %q is not usable: %w", s.cfg.Dir, errors.Join(err, os.ErrInvalid))
	}
	s.cfg.Dir = dir
	// Others may pass through, not look: the server's user needs to get to data.
	if err := os.Mkdir(dir, 0o711); err != nil && !errors.Is(err, os.ErrExist) {
		return fmt.Errorf("make its directory: %w", err)
	}
	if err := who.checkReach(dir); err != nil {
		return err
	}
	s.lock, err = dirlock.Acquire(dir)
	if errors.Is(err, dirlock.ErrLocked) {
		return fmt.Errorf("%w: %w", ErrInUse, err)
	}
	return err
}

// makeSocketDir makes an empty directory for the socket: a leftover socket lock
// could name a process number that is somebody else's by now.
func (s *Server) makeSocketDir(who owner) error {
	s.socketDir = filepath.Join(s.cfg.Dir, "run")
	if len(s.socketDir)+len("/.s.PGSQL.65535") > maxSocketPath {
		dir, err := os.MkdirTemp("/tmp", "swpg-")
		if err != nil {
			return fmt.Errorf("make a short socket directory: %w", err)
		}
		s.socketDir = dir
		return who.own(dir)
	}
	if err := os.RemoveAll(s.socketDir); err != nil {
		return fmt.Errorf("empty the socket directory: %w", err)
	}
	if err := os.Mkdir(s.socketDir, 0o700); err != nil {
		return fmt.Errorf("make the socket directory: %w", err)
	}
	return who.own(s.socketDir)
}

// launch starts the process once and waits until it answers. retry says that a
// further try can succeed: the backends of a killed predecessor end on their own
// shortly, and a random port may be taken by somebody in between.
func (s *Server) launch(ctx context.Context, who owner, binaries Binaries) (retry bool, err error) {
	if s.cfg.Listen != "" {
		if s.host, s.port, err = s.cfg.hostPort(); err != nil {
			return false, err
		}
	}
	log, err := os.OpenFile(s.cfg.logFile(), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return false, fmt.Errorf("open its log: %w", err)
	}
	defer func() { _ = log.Close() }() // the child has its own copy
	args := append([]string{"-D", s.cfg.dataDir()}, s.cfg.settings(s.socketDir, s.host, s.port)...)
	//nolint:gosec,noctx // a program that Find chose; the server outlives ctx.
	s.cmd = exec.Command(filepath.Join(binaries.Dir, "postgres"), args...)
	s.cmd.Dir = "/"
	s.cmd.Env = childEnv()
	s.cmd.SysProcAttr = childAttributes(who.credential())
	s.cmd.Stdout, s.cmd.Stderr = log, log
	wait, err := startPinned(s.cmd)
	if err != nil {
		return false, fmt.Errorf("run %s: %w", s.cmd.Path, err)
	}
	s.ended = make(chan struct{})
	go func() {
		s.endErr = <-wait
		close(s.ended)
	}()
	if err := s.waitAnswer(ctx); err != nil {
		s.terminate(context.WithoutCancel(ctx), time.Second)
		tail := s.logTail()
		retry = strings.Contains(tail, "is still in use") ||
			strings.HasSuffix(s.cfg.Listen, ":0") && strings.Contains(tail, "Address already in use")
		return retry, fmt.Errorf("%w: %w: %s", ErrStart, err, tail)
	}
	return false, nil
}

// waitAnswer connects until that succeeds or the process or ctx ends. It uses the
// socket, which is surely ours, while the port may be held by another program.
func (s *Server) waitAnswer(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case <-s.ended:
			cancel(fmt.Errorf("it ended: %w", s.endErr))
		case <-ctx.Done():
		}
	}()
	if poll(ctx, func() bool {
		conn, err := pgx.Connect(ctx, s.socketDSN("postgres"))
		return err == nil && conn.Close(ctx) == nil
	}) != nil {
		return context.Cause(ctx)
	}
	return nil
}

func (s *Server) logTail() string {
	raw, err := os.ReadFile(s.cfg.logFile())
	if err != nil {
		return err.Error()
	}
	return lastLines(raw)
}

// DSN is the connection URL of a database, as the superuser: by TCP when that is
// configured. It then carries the password; treat it as a secret.
func (s *Server) DSN(database string) string {
	if s.host == "" {
		return s.socketDSN(database)
	}
	dsn := url.URL{
		Scheme:   "postgres",
		User:     url.UserPassword(Superuser, s.password),
		Host:     s.Addr(),
		Path:     "/" + database,
		RawQuery: "sslmode=disable",
	}
	return dsn.String()
}

// socketDSN is the connection URL by the Unix socket.
func (s *Server) socketDSN(database string) string {
	query := url.Values{"host": {s.socketDir}, "port": {strconv.Itoa(s.port)}, "sslmode": {"disable"}}
	dsn := url.URL{Scheme: "postgres", User: url.User(Superuser), Path: "/" + database, RawQuery: query.Encode()}
	return dsn.String()
}

// Addr is the TCP address in use, or "" without TCP.
func (s *Server) Addr() string {
	if s.host == "" {
		return ""
	}
	return net.JoinHostPort(s.host, strconv.Itoa(s.port))
}

// PID is the process number of the postmaster.
func (s *Server) PID() int { return s.cmd.Process.Pid }

// Ended is closed when postgres has ended, asked to or not.
func (s *Server) Ended() <-chan struct{} { return s.ended }

// Stop shuts the cluster down: open transactions are rolled back, clients are
// disconnected, everything committed is on disk. When ctx ends first it is made
// to leave at once, which costs a recovery at the next start and no data. The
// directory is free when Stop returns. Calling it again does nothing.
func (s *Server) Stop(ctx context.Context) {
	s.stopOnce.Do(func() {
		s.terminate(ctx, DefaultStartTimeout)
		s.release()
	})
}

// release gives back what the running server held in the file system.
func (s *Server) release() {
	if s.socketDir != "" {
		_ = os.RemoveAll(s.socketDir)
	}
	s.lock.Release()
}

// terminate asks ever more firmly, at most grace for the first, polite time.
func (s *Server) terminate(ctx context.Context, grace time.Duration) {
	const firm = 5 * time.Second
	for _, step := range []struct {
		signal syscall.Signal
		wait   time.Duration
	}{{syscall.SIGINT, grace}, {syscall.SIGQUIT, firm}, {syscall.SIGKILL, firm}} {
		_ = s.cmd.Process.Signal(step.signal) // fails when it has ended already
		timer := time.NewTimer(step.wait)
		polite := ctx.Done()
		if step.signal != syscall.SIGINT {
			polite = nil
		}
		select {
		case <-s.ended:
			timer.Stop()
			return
		case <-polite:
		case <-timer.C:
		}
		timer.Stop()
	}
}
