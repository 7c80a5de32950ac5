package sitetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/blackdice/shipwarden/internal/reactor"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	"github.com/blackdice/shipwarden/services/executor/driver/drivertest"
)

// orderEnv tells a test binary that it is to be an executor, and which one.
const orderEnv = "SHIPWARDEN_SITETEST_EXECUTOR"

type order struct {
	URL     string            `json:"url"`
	Folder  string            `json:"folder"`
	Point   string            `json:"point"`
	Targets []json.RawMessage `json:"targets"`
}

// Main is the TestMain of a package whose tests call Die or have targets of the kinds
// Host and Command: the test binary is started again as executor or application. The
// steps are those that an executor that dies runs.
func Main(m *testing.M, steps ...Step) {
	if text := os.Getenv(orderEnv); text != "" {
		if err := obey(text, steps); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	drivertest.Main(m, drivertest.Executor{})
}

// Die runs an executor in a process of its own until it is killed at the point.
func (w *World) Die(t *testing.T, point string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	output, err := w.command(ctx, t, point).CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.Exited() || ctx.Err() != nil {
		t.Fatalf("the executor was not killed at %s: %v\n%s", point, err, output)
	}
}

// Process runs an executor in a process of its own until kill kills it, at whatever it is.
func (w *World) Process(t *testing.T) (kill func()) {
	t.Helper()
	cmd := w.command(context.WithoutCancel(t.Context()), t, "")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill = sync.OnceFunc(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	t.Cleanup(kill)
	return kill
}

// command is the test binary as an executor that dies at the point; at none where that is empty.
func (w *World) command(ctx context.Context, t *testing.T, point string) *exec.Cmd {
	t.Helper()
	o := order{URL: w.URL(), Folder: w.Folder, Point: point}
	for _, target := range w.Targets {
		text, err := protojson.Marshal(target)
		if err != nil {
			t.Fatal(err)
		}
		o.Targets = append(o.Targets, text)
	}
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, executable())
	cmd.Env = append(os.Environ(), orderEnv+"="+string(text))
	return cmd
}

func obey(text string, steps []Step) error {
	var o order
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		return err
	}
	var targets []*configv1.TargetDriver
	for _, text := range o.Targets {
		target := &configv1.TargetDriver{}
		if err := protojson.Unmarshal(text, target); err != nil {
			return err
		}
		targets = append(targets, target)
	}
	conn, err := nats.Connect(o.URL)
	if err != nil {
		return err
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		return err
	}
	s, err := newSite(js, fmt.Sprintf("doomed-%d", os.Getpid()), o.Folder, targets, func(point string) {
		if point == o.Point {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			<-time.After(time.Minute) // the signal is there long before
		}
	})
	if err != nil {
		return err
	}
	e := &Executor{Site: s, JS: js, Turns: reactor.NewTurns(), conn: conn}
	ends := make(chan error, len(steps))
	for _, step := range steps {
		go func() { ends <- e.run(context.Background(), step(s, time.Now)) }()
	}
	return <-ends
}
