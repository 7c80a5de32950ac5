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

// TestACommandBeginsOnlyWithAllItsTime has a command that may take 20 s, and callers
// whose claim is over sooner, by the one clock or by the other.
func TestACommandBeginsOnlyWithAllItsTime(t *testing.T) {
	for _, test := range []struct {
		name  string
		left  time.Duration
		now   func() time.Time
		after time.Duration // by which the calendar jumps once the marker is made
		want  driver.Status
	}{
		{"the claim is over too soon", 19 * time.Second, time.Now, 0, driver.StatusNotStarted},
		{"the calendar jumped ahead", time.Hour, func() time.Time { return time.Now().Round(0).Add(time.Hour) }, 0, driver.StatusNotStarted},
		{"it slept behind the marker", time.Hour, time.Now, time.Hour, driver.StatusFailed},
	} {
		t.Run(test.name, func(t *testing.T) {
			folder := t.TempDir()
			runs := filepath.Join(folder, "runs")
			jump := time.Duration(0)
			path := script(t, `echo run >> `+runs)
			d, err := command.New(&configv1.CommandDriver{
				Deploy:       &configv1.Command{Argv: []string{path}, Timeout: durationpb.New(20 * time.Second)},
				MarkerFolder: filepath.Join(folder, "markers"), Allow: []string{path},
			}, command.Options{
				Target: "shop-1", Now: func() time.Time { return test.now().Add(jump) },
				At: func(point string) {
					if point == command.PointStarted {
						jump = test.after
					}
				},
			})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), test.left)
			defer cancel()
			if _, err := d.Apply(ctx, key, fence, plan("", 2)); !errors.Is(err, driver.ErrNoTime) {
				t.Errorf("got %v", err)
			}
			if status, err := d.Probe(t.Context(), key); status != test.want || err != nil {
				t.Errorf("probe: %s, %v; want %s", status, err, test.want)
			}
			if n := lines(t, runs); n != 0 {
				t.Errorf("%d runs", n)
			}
			preview, err := d.Preview(t.Context(), plan("", 2))
			if err != nil || preview.Bound != 20*time.Second {
				t.Errorf("the preview names %s, %v", preview.Bound, err)
			}
		})
	}
}

// TestASealIsTheLastWord seals a command between its marker and its execution, as
// nobody may who asks the clock alone.
func TestASealIsTheLastWord(t *testing.T) {
	folder := t.TempDir()
	runs := filepath.Join(folder, "runs")
	path := script(t, `echo run >> `+runs)
	other := opened(t, folder, path)
	var status driver.Status
	var sealed error
	d, err := command.New(&configv1.CommandDriver{
		Deploy: &configv1.Command{Argv: []string{path}}, MarkerFolder: filepath.Join(folder, "markers"), Allow: []string{path},
	}, command.Options{Target: "shop-1", At: func(point string) {
		if point == command.PointStarted {
			status, sealed = other.Seal(t.Context(), key, fence)
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Apply(t.Context(), key, fence, plan("", 2)); !errors.Is(err, driver.ErrSealed) || !strings.Contains(err.Error(), string(key)) {
		t.Errorf("got %v", err)
	}
	// Whoever seals cannot see that it is not executed yet.
	if status != driver.StatusStarted || sealed != nil || lines(t, runs) != 0 {
		t.Errorf("seal: %s, %v; %d runs", status, sealed, lines(t, runs))
	}
	if status, err := d.Probe(t.Context(), key); status != driver.StatusFailed || err != nil {
		t.Errorf("probe: %s, %v", status, err)
	}
	if _, err := os.Lstat(filepath.Join(folder, "markers", "shop-2", "0", "1.run")); !os.IsNotExist(err) {
		t.Errorf("the ticket: %v", err)
	}
}

// TestAScriptKnowsWhereItLies has the system find it by another name, and its
// interpreter get what it would have got.
func TestAScriptKnowsWhereItLies(t *testing.T) {
	for name, first := range map[string]string{
		"plain": "#!/bin/sh", "spaced": "#! \t/bin/sh ", "with an argument": "#!/bin/sh -eu", "with a tab": "#!/bin/sh\t-eu",
	} {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			path := filepath.Join(folder, "deploy")
			if err := os.WriteFile(path, []byte(first+"\necho \"$0|$#|$1|$-\"\n"), 0o755); err != nil {
				t.Fatal(err)
			}
			result, err := opened(t, folder, path, "a b").Apply(t.Context(), key, fence, plan("", 2))
			said := strings.Split(strings.TrimSpace(string(result.Output)), "|")
			if err != nil || len(said) != 4 || said[0] != path || said[1] != "1" || said[2] != "a b" {
				t.Fatalf("%q, %v", said, err)
			}
			if strict := strings.Contains(said[3], "u"); strict != strings.Contains(first, "-eu") {
				t.Errorf("options %q", said[3])
			}
		})
	}
}

// TestAnInterpreterMayBeAScript has one script interpret another.
func TestAnInterpreterMayBeAScript(t *testing.T) {
	folder := t.TempDir()
	inner, outer := filepath.Join(folder, "inner"), filepath.Join(folder, "outer")
	for path, text := range map[string]string{inner: "#!/bin/sh\necho \"$@\"\n", outer: "#!" + inner + " x\n"} {
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	result, err := opened(t, folder, outer, "y").Apply(t.Context(), key, fence, plan("", 2))
	if want := "x " + outer + " y\n"; err != nil || string(result.Output) != want {
		t.Errorf("%q, %v; want %q", result.Output, err, want)
	}
	if err := os.WriteFile(inner, []byte("#!"+outer+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	next := driver.ApplyKey("shop-2", 0, 2)
	if _, err := opened(t, folder, outer).Apply(t.Context(), next, fence, plan("", 2)); !errors.Is(err, driver.ErrInvalid) {
		t.Errorf("in a circle: %v", err)
	}
}
