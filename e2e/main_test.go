package e2e

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/blackdice/shipwarden/e2e/rig"
	"github.com/blackdice/shipwarden/e2e/rig/inprocess"
	"github.com/blackdice/shipwarden/e2e/shop"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	"github.com/blackdice/shipwarden/services/executor"
)

// yard is a running Shipwarden with a shop to release.
type yard struct {
	*testing.T
	*ground
}

// ground is what the tests of a group share.
type ground struct {
	*rig.Rig
	world *shop.World
	cfg   rig.Config
}

// plan says what is particular about a yard; its zero value is nothing.
type plan struct {
	// launch runs the services; nil means in this process, or with -processes not.
	launch rig.Launcher
	// rules changes the procedure document, and config everything else.
	rules  func(*shop.Rules)
	config func(*shop.World, *rig.Config) error
}

var (
	verbose     = flag.Bool("service-log", false, "print what the services log")
	asProcesses = flag.Bool("processes", false, "run the services of every yard as processes of their own: make e2e-processes")
)

// patience bounds the wait for anything that the machine does by itself.
const patience = 4 * time.Minute

// atOnce bounds how many yards run beside each other, on a machine of any size.
var atOnce = make(chan struct{}, 2)

// built holds what is built once for all tests.
var built string

func TestMain(m *testing.M) {
	executor.Obey()
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	level := slog.LevelError + 1
	if *verbose {
		level = slog.LevelDebug
	}
	slog.SetLogLoggerLevel(level)
	var err error
	if built, err = os.MkdirTemp("", "shipwarden-bin-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(built) }()
	return m.Run()
}

// launchers are the two ways to run the services. These stories are told both ways in
// every run; the others in one process, and with -processes as processes.
func launchers(t *testing.T) map[string]rig.Launcher {
	t.Helper()
	both := map[string]rig.Launcher{"as processes": processes(t)}
	if !*asProcesses {
		both["in one process"] = inprocess.Launch
	}
	return both
}

// processes runs services as processes of their own.
func processes(t *testing.T) rig.Launcher {
	t.Helper()
	log := io.Discard
	if *verbose {
		log = os.Stderr
	}
	return rig.Processes(binaries(t), log)
}

// binaries is the folder of the four services and of the command, built once.
func binaries(t *testing.T) string {
	t.Helper()
	if err := buildAll(); err != nil {
		t.Fatal(err)
	}
	return built
}

// bare has programs linked without what a debugger reads: that takes as long as all the rest.
const bare = "-s -w"

var buildAll = sync.OnceValue(func() error {
	packages := []string{"./cmd/shipwarden"}
	for _, name := range []string{"approval", "validator", "executor", "recorder"} {
		packages = append(packages, "github.com/blackdice/shipwarden/services/"+name+"/cmd/shipwarden-"+name)
	}
	cmd := exec.CommandContext(context.Background(), "go", append([]string{"build", "-ldflags", bare, "-o", built + "/"}, packages...)...)
	cmd.Dir = ".."
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build the binaries: %w\n%s", err, out)
	}
	return nil
})

// turn waits until fewer than two yards run, and makes room at the test's end.
func turn(t *testing.T) {
	t.Helper()
	select {
	case atOnce <- struct{}{}:
		t.Cleanup(func() { <-atOnce })
	case <-t.Context().Done():
		t.Fatal(t.Context().Err())
	}
}

// open starts a yard. It ends with the test.
func open(t *testing.T, p plan) *yard {
	t.Helper()
	turn(t)
	switch {
	case p.launch != nil:
	case *asProcesses:
		p.launch = processes(t)
	default:
		p.launch = inprocess.Launch
	}
	dir := scratch(t)
	world, err := shop.New(filepath.Join(dir, "world"), "../examples/shop")
	if err != nil {
		t.Fatal(err)
	}
	world.Cache = built
	if p.rules != nil {
		p.rules(&world.Rules)
	}
	if err := world.BuildTools(t.Context()); err != nil {
		t.Fatal(err)
	}
	level := configv1.Log_LEVEL_ERROR
	if *verbose {
		level = configv1.Log_LEVEL_DEBUG
	}
	cfg, err := world.Configure(rig.Config{
		Dir: filepath.Join(dir, "state"), Launch: p.launch, Unsafe: true, LogLevel: level, AckWait: 2 * time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	if p.config != nil {
		if err := p.config(world, &cfg); err != nil {
			t.Fatal(err)
		}
	}
	y := &yard{t, &ground{world: world, cfg: cfg}}
	t.Cleanup(func() { world.Stop(context.Background()) })
	y.start()
	t.Cleanup(func() { y.Stop() })
	return y
}

// start starts everything, and finds what was stored where something was.
func (y *yard) start() {
	y.Helper()
	ctx, cancel := context.WithTimeout(y.Context(), patience)
	defer cancel()
	r, err := rig.Start(ctx, y.cfg)
	if err != nil {
		y.Fatal(err)
	}
	y.Rig = r
}

// on makes the yard report to another test.
func (y *yard) on(t *testing.T) *yard { return &yard{t, y.ground} }

// tell runs a part of a story. Each stands on the one before, so that the first that
// fails is the last.
func (y *yard) tell(name string, part func(*yard)) {
	y.Helper()
	if !y.Run(name, func(t *testing.T) { part(y.on(t)) }) {
		y.FailNow()
	}
}

// scratch is a folder that the user who runs PostgreSQL can reach.
func scratch(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "shipwarden-e2e-") //nolint:usetesting // The database runs as another user, who cannot pass through the folder that a test gets.
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}
