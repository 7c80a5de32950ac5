package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

// desk is where a person types commands.
type desk struct {
	*testing.T
	dir, shop string
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	source, err := filepath.Abs("../examples/shop")
	if err != nil {
		t.Fatal(err)
	}
	return &desk{t, scratch(t), source}
}

// command is `shipwarden` with arguments, in the desk's folder.
func (s *desk) command(ctx context.Context, args ...string) *exec.Cmd {
	s.Helper()
	cmd := exec.CommandContext(ctx, filepath.Join(binaries(s.T), "shipwarden"), args...)
	cmd.Dir = s.dir
	return cmd
}

// types runs a command that must end well, and returns what it prints.
func (s *desk) types(args ...string) string {
	s.Helper()
	cmd := s.command(s.Context(), args...)
	var out, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaints
	if err := cmd.Run(); err != nil {
		s.Fatalf("shipwarden %s: %v\n%s%s", strings.Join(args, " "), err, &out, &complaints)
	}
	return strings.TrimSpace(out.String())
}

// sees runs a command again and again until it prints a text: what was decided is on
// record a moment later.
func (s *desk) sees(text string, args ...string) {
	s.Helper()
	out := ""
	for end := time.Now().Add(patience); !strings.Contains(out, text); out = s.types(args...) {
		if time.Now().After(end) {
			s.Fatalf("shipwarden %s does not tell of %q:\n%s", strings.Join(args, " "), text, out)
		}
	}
}

// The demo ends with 0 only if all of its story happened.
func TestDemo(t *testing.T) {
	t.Parallel()
	turn(t)
	s := newDesk(t)
	out := s.types("demo", "--dir", filepath.Join(s.dir, "demo"), "--shop", s.shop)
	for _, part := range []string{
		"outcome: succeeded", "outcome: rolled-back", "-rb1", "Nothing differs.", "A retrospective review is owed", "held: ",
		"paused by erin", "verified no more", `required flag(s) "comment" not set`, "That was all of it",
	} {
		if !strings.Contains(out, part) {
			t.Errorf("%q is not in what it tells:\n%s", part, out)
		}
	}
	for _, name := range []string{"1-planned.md", "2-bad.md", "2-bad.json", "2-bad-rb1.json", "3-emergency.md", "4-frozen.md", "5-paused.md", "6-revoked.md"} {
		if raw, err := os.ReadFile(filepath.Join(s.dir, "demo", "records", name)); err != nil || len(raw) == 0 {
			t.Errorf("the record %s: %v", name, err)
		}
	}
	// What is left can be taken up again, with a request to try.
	said, stop := s.devSays(filepath.Join(s.dir, "demo"))
	defer stop()
	if strings.Contains(said, "is not the procedure document in effect") {
		t.Errorf("it warns of a document that the demo left:\n%s", said)
	}
	all := strings.Fields(s.types("get", "-o", "name"))
	if len(all) != 5 {
		t.Errorf("%d releases are on record, not 5", len(all))
	}
	keyring := filepath.Join(s.dir, "demo", "state", "config", "keyring.yaml")
	for _, id := range all {
		if out := s.types("replay", id, "--keyring", keyring, "-o", "table"); !strings.Contains(out, "Nothing differs.") || !strings.Contains(out, "derived") {
			t.Errorf("replay of %s:\n%s", id, out)
		}
	}
	if out := s.types("replay", all[0], "--keyring", keyring, "-o", "json"); !json.Valid([]byte(out)) || !strings.Contains(out, all[0]) {
		t.Errorf("replay of %s is no JSON, or does not name it:\n%s", all[0], out)
	}
	id := s.types("submit", "-f", filepath.Join(s.dir, "demo", "world", "requests", "next.yaml"))
	s.sees(id, "get", "-o", "name")
}

// dev starts `shipwarden dev`, and returns what stops it as Ctrl-C does.
func (s *desk) dev(dir string) (stop func()) {
	s.Helper()
	_, stop = s.devSays(dir)
	return stop
}

// devSays is dev, and returns what it prints as well.
func (s *desk) devSays(dir string) (said string, stop func()) {
	s.Helper()
	ready := &banner{end: "Ctrl-C stops it.", seen: make(chan struct{})}
	cmd := s.command(context.WithoutCancel(s.Context()), "dev", "--free-ports", "--dir", dir, "--shop", s.shop)
	cmd.Stdout, cmd.Stderr = ready, ready
	if err := cmd.Start(); err != nil {
		s.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	ctx, cancel := context.WithTimeout(s.Context(), patience)
	defer cancel()
	select {
	case <-ready.seen:
	case err := <-ended:
		s.Fatalf("dev ended: %v\n%s", err, &ready.text)
	case <-ctx.Done():
		_ = cmd.Process.Kill()
		<-ended
		s.Fatalf("dev is not ready\n%s", &ready.text)
	}
	return ready.first, func() {
		if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
			s.Error(err)
		}
		if err := <-ended; err != nil {
			s.Errorf("dev ended: %v\n%s", err, &ready.text)
		}
	}
}

// banner holds what dev says of itself to what is so: somebody answers at every address,
// the state is where it says, and the bus syncs every write.
func (s *desk) banner(said, dir string) {
	s.Helper()
	rows := map[string]string{} // the last one of a name: services have their pages after their addresses
	pages := 0
	for line := range strings.Lines(said) {
		words := strings.Fields(line)
		if len(words) < 2 || !strings.HasPrefix(line, "  ") {
			continue
		}
		if strings.HasSuffix(words[1], "/metrics,") {
			pages++
			if page := fetch(s.T, strings.TrimSuffix(words[1], ",")); !strings.Contains(page, "shipwarden_") {
				s.Errorf("%s shows no metrics", words[1])
			}
			continue
		}
		rows[words[0]] = words[1]
	}
	if pages != 4 {
		s.Errorf("it names the pages of %d services, not of 4:\n%s", pages, said)
	}
	for _, name := range []string{"approval", "recorder"} {
		conn, err := (&net.Dialer{}).DialContext(s.Context(), "tcp", rows[name])
		if err != nil {
			s.Errorf("nobody is at the address of %s: %v\n%s", name, err, said)
			continue
		}
		_ = conn.Close()
	}
	if filepath.Join(s.dir, rows["state"]) != dir {
		s.Errorf("it says that the state lies in %q of %s, not in %s", rows["state"], s.dir, dir)
	}
	for _, part := range []string{"secrets", "bus", "config"} {
		if _, err := os.Stat(filepath.Join(dir, "state", part)); err != nil {
			s.Errorf("it is not there: %v", err)
		}
	}
	if !strings.Contains(said, "Not for production") {
		s.Errorf("it does not say that it is not for production:\n%s", said)
	}
	// That is what JetStream says when it is asked, not what it was told.
	if !strings.Contains(said, "every write is synced") {
		s.Errorf("the bus does not sync every write:\n%s", said)
	}
	if conn, err := nats.Connect(rows["bus"]); !errors.Is(err, nats.ErrAuthorization) {
		s.Errorf("the bus at %q lets in whoever comes, or is not there: %v, %v", rows["bus"], conn, err)
	}
}

// banner waits for the end of what dev prints when it is ready. It is written by one
// goroutine, and read when that has ended or seen is closed.
type banner struct {
	end  string
	seen chan struct{}
	done bool
	// first is what was written up to the end.
	first string
	text  bytes.Buffer
}

func (b *banner) Write(p []byte) (int, error) {
	n, err := b.text.Write(p)
	if !b.done && strings.Contains(b.text.String(), b.end) {
		b.done, b.first = true, b.text.String()
		close(b.seen)
	}
	return n, err
}

// A new dev has something to ask for, and what it stores survives its end.
func TestDevSurvivesARestart(t *testing.T) {
	t.Parallel()
	turn(t)
	s := newDesk(t)
	dir := filepath.Join(s.dir, "state")
	said, stop := s.devSays(dir)
	s.banner(said, dir)
	if out := s.types("get", "-o", "name"); out != "" {
		t.Errorf("a new state holds releases: %s", out)
	}
	request := filepath.Join(dir, "world", "requests", "first.yaml")
	id := s.types("submit", "-f", request)
	s.sees(id, "get", "-o", "name")
	stop()
	stop = s.dev(dir)
	defer stop()
	if out := s.types("get", "-o", "name"); !strings.Contains(out, id) {
		t.Errorf("%s is not on record any more: %s", id, out)
	}
	if again := s.types("submit", "-f", request); again != id {
		t.Errorf("the same request is another release: %s, not %s", again, id)
	}
	s.types("withdraw", id, "--reason", "Enough of it.", "--token-file", filepath.Join(dir, "state", "secrets", "alice.token"))
	s.sees("Enough of it.", "describe", id)
}
