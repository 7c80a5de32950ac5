package service

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
)

// signalService makes this test program behave as a service that is told to
// stop: the tests of signals need a process of their own.
const signalService = "SHIPWARDEN_SERVICE_TEST_SIGNALS"

func TestMain(m *testing.M) {
	if path := os.Getenv(signalService); path != "" {
		os.Args = []string{"test", "-config", path}
		os.Exit(Main("test", func(string) (string, error) { return "", nil }, func(string) error { return nil }, waitForSignal))
	}
	os.Exit(m.Run())
}

func waitForSignal(ctx context.Context, _ string) error {
	fmt.Fprintln(os.Stdout, "running")
	<-ctx.Done()
	fmt.Fprintln(os.Stdout, "draining")
	if os.Getenv(signalService) == "stubborn" {
		select {}
	}
	return nil
}

func loadTokens(path string) (*configv1.Tokens, error) {
	cfg := &configv1.Tokens{}
	return cfg, LoadConfig(path, cfg)
}

func TestMainFollowsItsCommandLine(t *testing.T) {
	dir := t.TempDir()
	good, bad := filepath.Join(dir, "good.yaml"), filepath.Join(dir, "bad.yaml")
	token := "tokens: [{sha256: " + strings.Repeat("ab", 32) + ", person: ada}]\n"
	for path, text := range map[string]string{good: token, bad: token + "color: red\n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	failure := errors.New("the disk is on fire")
	for name, test := range map[string]struct {
		args     []string
		checkErr error
		runErr   error
		status   int
		ran      bool
		out      string // within both outputs
	}{
		"runs":                      {args: []string{"-config", good}, status: ExitOK, ran: true},
		"fails":                     {args: []string{"-config", good}, runErr: failure, status: ExitFailure, ran: true, out: "test: the disk is on fire"},
		"checks what a file names":  {args: []string{"-check-config", "-config", good}, checkErr: failure, status: ExitUsage, out: "test: the disk is on fire"},
		"starts with nothing amiss": {args: []string{"-config", good}, checkErr: failure, status: ExitUsage, out: "test: the disk is on fire"},
		"checks a good file":        {args: []string{"-check-config", "-config", good}, status: ExitOK, out: good + " is valid"},
		"checks a bad file":         {args: []string{"-check-config", "-config", bad}, status: ExitUsage, out: "bad.yaml:2:1"},
		"refuses a bad file":        {args: []string{"-config", bad}, status: ExitUsage, out: "color"},
		"refuses a missing file":    {args: []string{"-config", filepath.Join(dir, "absent")}, status: ExitUsage, out: "no such file"},
		"needs a file":              {args: nil, status: ExitUsage, out: "-config"},
		"takes no arguments":        {args: []string{"-config", good, "more"}, status: ExitUsage, out: "-config"},
		"refuses unknown flags":     {args: []string{"-verbose"}, status: ExitUsage, out: "verbose"},
		"prints the version":        {args: []string{"-version"}, status: ExitOK, out: "test devel (revision "},
		"helps":                     {args: []string{"-help"}, status: ExitOK, out: "-check-config"},
		"version needs no file":     {args: []string{"-version", "-config", "absent"}, status: ExitOK, out: "go1."},
		"a check needs a file too":  {args: []string{"-check-config"}, status: ExitUsage, out: "-config"},
		"names what else it does":   {args: []string{"-help"}, status: ExitOK, out: "test mend -config FILE"},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			ran := false
			status := mainWith(t.Context(), "test", test.args, &out, &out, loadTokens, func(*configv1.Tokens) error { return test.checkErr },
				func(_ context.Context, cfg *configv1.Tokens) error {
					ran = len(cfg.GetTokens()) == 1
					return test.runErr
				}, "mend -config FILE", "mend everything")
			if status != test.status || ran != test.ran || !strings.Contains(out.String(), test.out) {
				t.Errorf("status %d, ran %t, output %q; want %d, %t, %q", status, ran, out.String(), test.status, test.ran, test.out)
			}
		})
	}
}

// A service that is stopped while it waits for the bus was asked to, and says nothing.
func TestAServiceThatIsStoppedBeforeItWasReadyEndsWell(t *testing.T) {
	path := filepath.Join(t.TempDir(), "good.yaml")
	if err := os.WriteFile(path, []byte("tokens: [{sha256: "+strings.Repeat("ab", 32)+", person: ada}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, broken := range map[string]bool{"waiting": false, "failing": true} {
		ctx, cancel := context.WithCancel(t.Context())
		var out bytes.Buffer
		status := mainWith(ctx, "test", []string{"-config", path}, &out, &out, loadTokens, func(*configv1.Tokens) error { return nil },
			func(ctx context.Context, _ *configv1.Tokens) error {
				if broken {
					cancel()
					return ErrDrain
				}
				return WaitReady(ctx, func(context.Context) error {
					cancel()
					return ErrNoConnection
				})
			})
		if want := map[bool]int{true: ExitFailure, false: ExitOK}[broken]; status != want || broken != (out.Len() > 0) {
			t.Errorf("%s: status %d, and it says %q", name, status, out.String())
		}
		cancel()
	}
}

// startSignalService runs this program as a service and returns it when it runs.
func startSignalService(t *testing.T, how string) (*exec.Cmd, func() string) {
	t.Helper()
	cmd := exec.Command(os.Args[0]) //nolint:gosec // this very program
	cmd.Env = append(os.Environ(), signalService+"="+how)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	line := func() string {
		var text string
		if _, err := fmt.Fscanln(out, &text); err != nil {
			t.Fatalf("read from the service: %v", err)
		}
		return text
	}
	if got := line(); got != "running" {
		t.Fatalf("the service says %q", got)
	}
	return cmd, line
}

func TestATermSignalStopsAServiceInOrder(t *testing.T) {
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		cmd, line := startSignalService(t, "polite")
		if err := cmd.Process.Signal(signal); err != nil {
			t.Fatal(err)
		}
		if got := line(); got != "draining" {
			t.Errorf("after %s it says %q", signal, got)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("after %s it ends with %v", signal, err)
		}
	}
}

func TestASecondSignalEndsAStubbornService(t *testing.T) {
	cmd, line := startSignalService(t, "stubborn")
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	line() // the first one has been taken
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != 128+int(syscall.SIGINT) {
		t.Errorf("it ends with %v, want the second signal's status", err)
	}
}
