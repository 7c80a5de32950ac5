package drivertest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/blackdice/shipwarden/services/executor/driver"
)

// The environment by which a test binary learns that it is to be something else.
const (
	executorEnv = "SHIPWARDEN_DRIVERTEST_EXECUTOR"
	appEnv      = "SHIPWARDEN_DRIVERTEST_APP"
)

// Executor makes the driver and the plans of the target in a folder, in whichever
// process: at is to be called at every point.
type Executor struct {
	// Open makes the driver.
	Open func(folder string, at func(point string)) (driver.Driver, error)
	// Plan makes the plan that places a version.
	Plan func(folder string, version int) driver.Plan
}

type order struct {
	Folder string `json:"folder"`
	Point  string `json:"point"`
	Stop   bool   `json:"stop"`
	Call   Call   `json:"call"`
}

// Main is the TestMain of a driver whose harness uses Kill or AppEnv: the test
// binary is started again as the executor that dies, or as the application.
func Main(m *testing.M, e Executor) {
	Obey(e)
	os.Exit(m.Run())
}

// Obey is Main for a TestMain that has more to do: it returns where the test binary is to
// run its tests, and ends it where it is to be something else.
func Obey(e Executor) {
	switch {
	case os.Getenv(appEnv) != "":
		os.Exit(exitStatus(app(os.Getenv(appEnv), os.Args[len(os.Args)-1])))
	case os.Getenv(executorEnv) != "":
		os.Exit(exitStatus(e.obey(os.Getenv(executorEnv))))
	}
}

func exitStatus(err error) int {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// obey makes the ordered call, and dies or stops at the ordered point, as by kill -9
// or kill -STOP.
func (e Executor) obey(text string) error {
	var o order
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		return err
	}
	d, err := e.Open(o.Folder, func(point string) {
		switch {
		case point != o.Point:
		case o.Stop:
			_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP)
		default:
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			<-time.After(time.Minute) // the signal is there long before
		}
	})
	if err != nil {
		return err
	}
	_, err = o.Call.Do(context.Background(), d, func(version int) driver.Plan { return e.Plan(o.Folder, version) })
	return err
}

// Kill is a Harness.Crash: it makes the call in a process of its own, which kills
// itself at the point. The test's TestMain must be Main.
func Kill(t *testing.T, folder, point string, call Call) (reached bool) {
	t.Helper()
	text, err := json.Marshal(order{Folder: folder, Point: point, Call: call})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), executable(t))
	cmd.Env = append(os.Environ(), executorEnv+"="+string(text))
	output, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return false
	case errors.As(err, &exit) && !exit.Exited():
		return true
	}
	t.Fatalf("%s until %s: %v\n%s", call.Key, point, err, output)
	return false
}

// Sleep is a Harness.Sleep: it makes the call in a process of its own, which stops
// itself at the point. The test's TestMain must be Main. What the call answers when it
// is woken is its own affair: the target tells what it did.
func Sleep(t *testing.T, folder, point string, call Call) (wake func(), reached bool) {
	t.Helper()
	text, err := json.Marshal(order{Folder: folder, Point: point, Stop: true, Call: call})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), executable(t))
	cmd.Env = append(os.Environ(), executorEnv+"="+string(text))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var status syscall.WaitStatus
	for {
		_, err := syscall.Wait4(cmd.Process.Pid, &status, syscall.WUNTRACED, nil)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if !status.Stopped() {
		return nil, false
	}
	var once sync.Once
	wake = func() {
		once.Do(func() {
			_ = cmd.Process.Signal(syscall.SIGCONT)
			_ = cmd.Wait()
		})
	}
	t.Cleanup(wake)
	return wake, true
}

func executable(t *testing.T) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// App is an application that is the test binary: each time that it is started,
// with a digest as its last argument, it writes down that it carries it now. It may have
// one of Faults, once.
type App struct{ path string }

// Faults are what an application can do wrong when it is started.
var Faults = []string{faultRefuses, faultDenies, faultSlow}

const (
	faultRefuses = "it does nothing, and says so"
	faultDenies  = "it does what it should, and says that it did not"
	faultSlow    = "it is slow"
)

// slowness is how long a slow application takes to begin.
const slowness = 150 * time.Millisecond

// Fault has the next start of the application go wrong in one of the ways. It returns what
// takes that back where nothing was started.
func (a App) Fault(t *testing.T, name string) (over func()) {
	t.Helper()
	if err := os.WriteFile(a.fault(), []byte(name), 0o600); err != nil {
		t.Fatal(err)
	}
	return func() { _ = os.Remove(a.fault()) }
}

// Troubles are a Harness.Troubles: each of Faults.
func (a App) Troubles(open func(t *testing.T) driver.Driver) map[string]func(t *testing.T) (driver.Driver, func()) {
	all := map[string]func(t *testing.T) (driver.Driver, func()){}
	for _, name := range Faults {
		all[name] = func(t *testing.T) (driver.Driver, func()) {
			t.Helper()
			over := a.Fault(t, name)
			return open(t), over
		}
	}
	return all
}

func (a App) fault() string { return a.path + ".fault" }

// NewApp keeps what the application writes down in a file.
func NewApp(path string) App { return App{path: path} }

// Env is the environment that makes the test binary the application.
func (a App) Env() map[string]string { return map[string]string{appEnv: a.path} }

// app is the application.
func app(path, digest string) error {
	fault, _ := os.ReadFile(App{path}.fault())
	_ = os.Remove(App{path}.fault())
	switch string(fault) {
	case faultRefuses:
		return errors.New(faultRefuses)
	case faultSlow:
		<-time.After(slowness)
	case faultDenies:
		return errors.Join(carry(path, digest), errors.New(faultDenies))
	}
	return carry(path, digest)
}

func carry(path, digest string) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(file, digest)
	return errors.Join(err, file.Close())
}

// Starts are the digests with which the application was started, oldest first.
func (a App) Starts(t *testing.T) []string {
	t.Helper()
	data, err := os.ReadFile(a.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return strings.Fields(string(data))
}

// Carries is a Harness.Carries.
func (a App) Carries(t *testing.T) string {
	t.Helper()
	if starts := a.Starts(t); len(starts) > 0 {
		return starts[len(starts)-1]
	}
	return ""
}

// Changes is a Harness.Effects: how often the application was started with
// another digest than before. A repair that starts it again is not counted.
func (a App) Changes(t *testing.T) int {
	t.Helper()
	n, before := 0, ""
	for _, digest := range a.Starts(t) {
		if digest != before {
			n++
		}
		before = digest
	}
	return n
}

// Folder is a Harness.State: every name below a folder, with its mode, time of
// change and content.
func Folder(t *testing.T, folder string) string {
	t.Helper()
	var state strings.Builder
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		fmt.Fprintf(&state, "%s %s %s", path, info.Mode(), info.ModTime())
		switch {
		case info.Mode().IsRegular():
			data, err := os.ReadFile(path) //nolint:gosec // a file that the walk found
			if err != nil {
				return err
			}
			fmt.Fprintf(&state, " %q", data)
		case info.Mode()&fs.ModeSymlink != 0:
			to, err := os.Readlink(path)
			if err != nil {
				return err
			}
			fmt.Fprintf(&state, " -> %s", to)
		}
		state.WriteByte('\n')
		return nil
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return state.String()
}
