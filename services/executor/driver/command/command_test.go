package command_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/driver/command"
)

var (
	key   = driver.ApplyKey("shop-2", 0, 1)
	fence = driver.Fence{Epoch: "e", Sequence: 10}
)

func script(t *testing.T, text string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "deploy")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func opened(t *testing.T, folder, path string, arguments ...string) *command.Driver {
	t.Helper()
	return within(t, folder, 20*time.Second, path, arguments...)
}

// within is a driver whose command may take that long.
func within(t *testing.T, folder string, bound time.Duration, path string, arguments ...string) *command.Driver {
	t.Helper()
	d, err := command.New(&configv1.CommandDriver{
		Deploy:       &configv1.Command{Argv: append([]string{path}, arguments...), Timeout: durationpb.New(bound)},
		MarkerFolder: filepath.Join(folder, "markers"), Allow: []string{path},
	}, command.Options{Target: "shop-1"})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func lines(t *testing.T, path string) int {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return strings.Count(string(data), "\n")
}

func TestFailureIsRememberedAndNotRunAgain(t *testing.T) {
	folder := t.TempDir()
	runs := filepath.Join(folder, "runs")
	d := opened(t, folder, script(t, `echo run >> `+runs+`; echo password=hunter2hunter2; echo full disk >&2; exit 4`))
	for i := range 3 {
		result, err := d.Apply(t.Context(), key, fence, plan("", 2))
		if err == nil || errors.Is(err, driver.ErrUnknown) || !strings.Contains(err.Error(), "exit status 4") {
			t.Errorf("got %v", err)
		}
		if text := string(result.Output); !strings.Contains(text, "full disk") || strings.Contains(text, "hunter2") || result.Redacted != 1 || result.Repeated != (i > 0) {
			t.Errorf("run %d: output %q, %d redacted, repeated %t", i, text, result.Redacted, result.Repeated)
		}
	}
	if n := lines(t, runs); n != 1 {
		t.Errorf("%d runs", n)
	}
	if status, err := d.Probe(t.Context(), key); status != driver.StatusFailed || err != nil {
		t.Errorf("probe: %s, %v", status, err)
	}
	if data, err := os.ReadFile(filepath.Join(folder, "markers", "shop-2", "0", "1.end")); err != nil || strings.Contains(string(data), "hunter2") {
		t.Errorf("end marker %s, %v", data, err)
	}
}

func TestKilledAtItsDeadlineIsUnknownForGood(t *testing.T) {
	folder := t.TempDir()
	runs := filepath.Join(folder, "runs")
	d := within(t, folder, 300*time.Millisecond, script(t, `echo run >> `+runs+`; while :; do :; done`))
	if _, err := d.Apply(t.Context(), key, fence, plan("", 2)); !errors.Is(err, driver.ErrUnknown) {
		t.Errorf("got %v", err)
	}
	if _, err := d.Apply(t.Context(), key, fence, plan("", 2)); !errors.Is(err, driver.ErrUnknown) {
		t.Errorf("again: %v", err)
	}
	if n := lines(t, runs); n > 1 {
		t.Errorf("%d runs", n)
	}
}

func TestWhatHasBegunEndsThoughTheCallerGivesUp(t *testing.T) {
	folder := t.TempDir()
	gate, begun := filepath.Join(folder, "gate"), filepath.Join(folder, "begun")
	d := opened(t, folder, script(t, `echo > `+begun+`; until [ -e `+gate+` ]; do :; done`))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := d.Apply(ctx, key, fence, plan("", 2))
		done <- err
	}()
	eventually(t, func() bool { return lines(t, begun) == 1 })
	cancel()

	// Meanwhile, everybody else learns that it is at work.
	if status, err := d.Probe(t.Context(), key); status != driver.StatusStarted || err != nil {
		t.Errorf("probe: %s, %v", status, err)
	}
	other := driver.ApplyKey("shop-3", 0, 1)
	for _, k := range []driver.Key{key, other} {
		digest := 2
		if k == other {
			digest = 3
		}
		if _, err := d.Apply(t.Context(), k, driver.Fence{Epoch: "e", Sequence: 11}, plan("", digest)); !errors.Is(err, driver.ErrBusy) {
			t.Errorf("%s: %v", k, err)
		}
	}
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Errorf("the run: %v", err)
	}
	if got, err := d.Running(t.Context()); got != plan("", 2).Artifact.Digest || err != nil {
		t.Errorf("running %q, %v", got, err)
	}
}

func TestWithoutRollbackCommandThereIsNoWayBack(t *testing.T) {
	folder := t.TempDir()
	d := opened(t, folder, script(t, "exit 0"))
	if _, err := d.Apply(t.Context(), key, fence, plan("", 2)); err != nil {
		t.Fatal(err)
	}
	p := plan("", 3)
	p.Previous = plan("", 2).Artifact.Digest
	preview, err := d.Preview(t.Context(), p)
	if err != nil || preview.RollbackReady || !strings.Contains(preview.RollbackReason, "no rollback command") {
		t.Errorf("%+v, %v", preview, err)
	}
	if _, err := d.Rollback(t.Context(), driver.RollbackKey("shop-3", 0, 1), fence, p); !errors.Is(err, driver.ErrNoWayBack) {
		t.Errorf("got %v", err)
	}
}

func TestHostileParametersAreRefusedBeforeAnythingRuns(t *testing.T) {
	folder := t.TempDir()
	runs := filepath.Join(folder, "runs")
	d := opened(t, folder, script(t, `echo "$1" >> `+runs), "{param.region}")
	for _, region := range []string{"--upload-pack=evil", "-x"} {
		p := plan("", 2)
		p.Parameters = map[string]string{"region": region}
		if _, err := d.Apply(t.Context(), key, fence, p); !errors.Is(err, driver.ErrInvalid) {
			t.Errorf("%q: %v", region, err)
		}
		if _, err := d.Preview(t.Context(), p); !errors.Is(err, driver.ErrInvalid) {
			t.Errorf("preview with %q: %v", region, err)
		}
	}
	if _, err := d.Apply(t.Context(), key, fence, plan("", 2)); !errors.Is(err, driver.ErrInvalid) || !strings.Contains(err.Error(), "{param.region}") {
		t.Errorf("without the parameter: %v", err)
	}
	if n := lines(t, runs); n != 0 {
		t.Errorf("%d runs", n)
	}
	p := plan("", 2)
	p.Parameters = map[string]string{"region": "$(touch /tmp/x); `id`"}
	if _, err := d.Apply(t.Context(), key, fence, p); err != nil {
		t.Errorf("a strange but harmless value: %v", err)
	}
	if data, err := os.ReadFile(runs); err != nil || string(data) != "$(touch /tmp/x); `id`\n" {
		t.Errorf("the command saw %q, %v", data, err)
	}
}

func TestExecutableThatIsSwappedIsNotRun(t *testing.T) {
	folder := t.TempDir()
	good, evil, link := script(t, "exit 0"), script(t, "echo > "+filepath.Join(folder, "evil")), filepath.Join(folder, "deploy")
	if err := os.Symlink(good, link); err != nil {
		t.Fatal(err)
	}
	d, err := command.New(&configv1.CommandDriver{
		Deploy:       &configv1.Command{Argv: []string{link}},
		MarkerFolder: filepath.Join(folder, "markers"), Allow: []string{good},
	}, command.Options{Target: "shop-1"})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Remove(link), os.Symlink(evil, link)); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Apply(t.Context(), key, fence, plan("", 2)); !errors.Is(err, driver.ErrInvalid) {
		t.Errorf("got %v", err)
	}
	if err := os.Chmod(good, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Remove(link), os.Symlink(good, link)); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Apply(t.Context(), key, fence, plan("", 2)); !errors.Is(err, driver.ErrInvalid) || !strings.Contains(err.Error(), "written by anybody") {
		t.Errorf("world-writable: %v", err)
	}
	if n := lines(t, filepath.Join(folder, "evil")); n != 0 {
		t.Error("it ran")
	}
}

func eventually(t *testing.T, condition func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-deadline:
			t.Fatal("not in time")
		case <-tick.C:
		}
	}
}
