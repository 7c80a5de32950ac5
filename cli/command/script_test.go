package command

import (
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/blackdice/shipwarden/cli/settings"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"shipwarden": func() {
			ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
			defer stop()
			os.Exit(Main(ctx, os.Args[1:], ThisProcess())) //nolint:gocritic // the process ends
		},
	})
}

// TestScripts plays the transcripts of testdata/script: the command as a process of
// its own against real connections. -update writes what it says into them.
func TestScripts(t *testing.T) {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	bus := openDesk(t, public)
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		UpdateScripts:       *update,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			served, address := serve(env.T().(testing.TB))
			env.Values[servicesKey{}] = served
			env.Setenv("SERVICE", address)
			env.Setenv("BUS", bus)
			env.Setenv("DIGEST", changeDigest)
			return furnish(env, address, bus, private)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits,
			"calls": calls,
			"same":  same,
		},
	})
}

type servicesKey struct{}

// furnish writes what a user has: a context file, a token, a key.
func furnish(env *testscript.Env, address, bus string, private ed25519.PrivateKey) error {
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return err
	}
	context, err := settings.Settings{
		ApprovalURL: address, RecorderURL: "http://" + address, TokenFile: "../alice.token", NATSURL: bus,
	}.File()
	if err != nil {
		return err
	}
	if err := os.Mkdir(filepath.Join(env.WorkDir, ".shipwarden"), 0o755); err != nil {
		return err
	}
	example, err := os.ReadFile(filepath.Join("..", "..", "examples", "procedure.yaml"))
	if err != nil {
		return err
	}
	for name, content := range map[string][]byte{
		".shipwarden/cli.yaml": context,
		"alice.token":          []byte("alice-token\n"),
		"example.yaml":         example,
		"ci.pem":               pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}),
	} {
		if err := os.WriteFile(filepath.Join(env.WorkDir, name), content, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// exits CODE program args… runs a program that must end with exactly this code.
func exits(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("run %s: %v", args[1], err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// calls FILE compares the decisions that the services were asked for with a file.
func calls(ts *testscript.TestScript, _ bool, args []string) {
	s, ok := ts.Value(servicesKey{}).(*services)
	if !ok {
		ts.Fatalf("no services")
	}
	s.mu.Lock()
	got := strings.Join(s.calls, "\n") + "\n"
	s.calls = nil
	s.mu.Unlock()
	want := strings.ReplaceAll(ts.ReadFile(args[0]), "$DIGEST", ts.Getenv("DIGEST"))
	if got != want {
		ts.Fatalf("the services were asked for\n%swant\n%s", got, want)
	}
}
