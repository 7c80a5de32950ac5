package drivertest_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/artifact"
	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/driver/drivertest"
	"github.com/blackdice/shipwarden/services/executor/driver/ledger"
	"github.com/blackdice/shipwarden/services/executor/driver/noop"
)

// bugEnv makes TestSuiteOnABrokenDriver run the suite on the driver with that bug.
const bugEnv = "SHIPWARDEN_DRIVERTEST_BUG"

// bugs are mistakes that a driver may have, and a promise that shows each.
var bugs = []struct{ name, caught string }{
	{"takes stale fences", "a_stale_fence_is_refused"},
	{"repeats a key", "the_same_key_twice_is_one_effect"},
	{"repeats an effect in a later attempt", "a_later_attempt_at_a_complete_effect_changes_nothing"},
	{"rolls back what never came", "rollback_of_what_was_never_applied_changes_nothing"},
	{"applies in its preview", "preview_changes_nothing_and_repeats_itself"},
	{"answers before the effect", "apply_places_the_version"},
	{"claims a way back", "preview_changes_nothing_and_repeats_itself"},
	{"dry-runs its way back by going it", "dry_run:_what_it_says_is_possible"},
	{"says of every way back that it is possible", "dry_run:_to_nothing_there_is_no_way_back"},
	{"changes the target when it is asked what would change", "diff:_it_changes_nothing_and_says_the_same_again"},
	{"says something else each time", "diff:_it_changes_nothing_and_says_the_same_again"},
	{"says what would change of a digest that is none", "diff:_of_a_digest_that_is_none"},
	{"forgets after a crash", "crash_at_noop.counted,_then_a_later_attempt"},
	{"forgets what was sealed", "what_was_sealed_before_it_began_never_has_its_effect"},
	{"is opaque without saying so", "only_a_new_attempt_runs_again_after_an_unknown_outcome"},
}

func TestTheSuiteCatchesBrokenDrivers(t *testing.T) {
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, bug := range bugs {
		t.Run(bug.name, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), executable, "-test.run=^TestSuiteOnABrokenDriver$")
			cmd.Env = append(os.Environ(), bugEnv+"="+bug.name)
			output, err := cmd.CombinedOutput()
			if err == nil || !strings.Contains(string(output), "--- FAIL: TestSuiteOnABrokenDriver/"+bug.caught) {
				t.Errorf("not caught by %s: %v\n%s", bug.caught, err, output)
			}
		})
	}
}

// Without a bug the driver passes, so that what is caught is the bug.
func TestSuiteOnABrokenDriver(t *testing.T) {
	drivertest.Exercise(t, func(t *testing.T) drivertest.Harness { return target(t.TempDir(), os.Getenv(bugEnv)) })
}

// trials are mistakes that show only where releases, crashes and latecomers meet: each must be
// found by some of the ordeals.
var trials = []string{
	"takes stale fences", "repeats a key", "repeats an effect in a later attempt", "answers before the effect",
	"forgets after a crash", "forgets what was sealed", "takes another target's place",
	"takes its own way back for a change by hand", "remembers less than it said",
}

// ordeals is how many a broken driver goes through.
const ordeals = "60"

func TestOrdealsCatchBrokenDrivers(t *testing.T) {
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, bug := range trials {
		t.Run(bug, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), executable, "-test.run=^TestOrdealOfABrokenDriver$")
			cmd.Env = append(os.Environ(), bugEnv+"="+bug, "SHIPWARDEN_ORDEAL_RUNS="+ordeals, "SHIPWARDEN_ORDEAL_SEED=1")
			output, err := cmd.CombinedOutput()
			if err == nil || !strings.Contains(string(output), "--- FAIL: TestOrdealOfABrokenDriver/seed_") {
				t.Errorf("not caught: %v\n%s", err, output)
			}
		})
	}
}

// Without a bug the driver comes through.
func TestOrdealOfABrokenDriver(t *testing.T) {
	drivertest.Ordeal(t, 60, func(t *testing.T) drivertest.Harness {
		bug := os.Getenv(bugEnv)
		h := target(t.TempDir(), bug)
		h.Astray = func(t *testing.T) (driver.Driver, func() bool) {
			other := t.TempDir()
			d := &stray{Driver: noop.New(noop.Options{Target: "n", Folder: other}), takes: bug == "takes another target's place"}
			return d, func() bool { return drivertest.Folder(t, other) == "" || !d.called }
		}
		return h
	})
}

// A seal that breaks off while somebody is at work may have sealed all the same: nobody who is told so makes
// the same attempt again, and neither does an ordeal.
func TestOrdealOfASealThatBreaksOff(t *testing.T) {
	drivertest.Ordeal(t, 60, func(t *testing.T) drivertest.Harness {
		h := target(t.TempDir(), "")
		open, asleep := h.Open, false
		h.Open = func(t *testing.T) driver.Driver { return breaksOff{open(t), &asleep} }
		// Asleep is who has not called yet.
		h.Sleep = func(t *testing.T, _ string, call drivertest.Call) (func(), bool) {
			asleep = true
			return func() {
				asleep = false
				_, _ = call.Do(context.Background(), open(t), func(v int) driver.Plan { return h.Plan(t, v) })
			}, true
		}
		return h
	})
}

// breaksOff is a driver whose seals are had, and not said to be, while somebody is asleep.
type breaksOff struct {
	driver.Driver
	asleep *bool
}

func (b breaksOff) Seal(ctx context.Context, key driver.Key, f driver.Fence) (driver.Status, error) {
	status, err := b.Driver.Seal(ctx, key, f)
	if *b.asleep {
		return driver.StatusUnknown, context.DeadlineExceeded
	}
	return status, err
}

// stray is a driver that knows that it is at the wrong place.
type stray struct {
	*noop.Driver
	takes, called bool
}

func (s *stray) Apply(ctx context.Context, key driver.Key, f driver.Fence, p driver.Plan) (driver.Result, error) {
	if !s.takes {
		return driver.Result{}, driver.ErrConflict
	}
	s.called = true
	return s.Driver.Apply(ctx, key, f, p)
}

func target(folder, bug string) drivertest.Harness {
	inner := func(at func(string)) *broken {
		return &broken{Driver: noop.New(noop.Options{Target: "n", Folder: folder, At: at}), folder: folder, bug: bug}
	}
	entries := func(t *testing.T) []ledger.Entry {
		entries, err := ledger.Read(filepath.Join(folder, noop.LedgerName))
		if err != nil {
			t.Fatal(err)
		}
		return entries
	}
	return drivertest.Harness{
		Open:    func(*testing.T) driver.Driver { return inner(nil) },
		Plan:    func(_ *testing.T, version int) driver.Plan { return drivertest.Plan("n", version) },
		Effects: func(t *testing.T) int { return len(entries(t)) },
		Carries: func(t *testing.T) string {
			if all := entries(t); len(all) > 0 {
				return all[len(all)-1].Digest
			}
			return ""
		},
		State:  func(t *testing.T) string { return drivertest.Folder(t, folder) },
		Points: noop.Points,
		// A panic stands for the kill: what is tested here is the suite.
		Crash: func(_ *testing.T, point string, call drivertest.Call) (reached bool) {
			defer func() { reached = recover() != nil }()
			d := inner(func(p string) {
				if p == point {
					panic(p)
				}
			})
			_, _ = call.Do(context.Background(), d, func(v int) driver.Plan { return drivertest.Plan("n", v) })
			return false
		},
	}
}

// broken is a good driver with one mistake.
type broken struct {
	*noop.Driver
	folder, bug string
}

// effect is an effect that nothing guards.
func (b *broken) effect(key driver.Key, f driver.Fence, digest string) {
	_ = ledger.Append(filepath.Join(b.folder, noop.LedgerName), ledger.Entry{
		Time: time.Unix(0, 0), Key: key, Fence: f, Digest: digest, Action: ledger.Apply,
	})
}

func (b *broken) Class() releasev1.DriverClass {
	if b.bug == "is opaque without saying so" {
		return releasev1.DriverClass_DRIVER_CLASS_OPAQUE
	}
	return b.Driver.Class()
}

func (b *broken) Preview(ctx context.Context, p driver.Plan) (driver.Preview, error) {
	preview, err := b.Driver.Preview(ctx, p)
	switch b.bug {
	case "applies in its preview":
		b.effect("p/0/1", driver.Fence{}, p.Artifact.Digest)
	case "claims a way back":
		preview.RollbackReady = true
	}
	return preview, err
}

// times counts how often any driver was asked what would change.
var times atomic.Int64

func (b *broken) Diff(ctx context.Context, p driver.Plan) (driver.Diff, error) {
	out := driver.Diff{Asked: true, Text: "it would carry " + p.Artifact.Digest}
	if _, err := artifact.Hex(p.Artifact.Digest); err != nil && b.bug != "says what would change of a digest that is none" {
		return driver.Diff{}, fmt.Errorf("%w: %w", driver.ErrInvalid, err)
	}
	switch b.bug {
	case "changes the target when it is asked what would change":
		b.effect("p/0/1", driver.Fence{}, p.Artifact.Digest)
	case "says something else each time":
		out.Text += fmt.Sprint(times.Add(1))
	}
	return out, ctx.Err()
}

func (b *broken) DryRunRollback(ctx context.Context, p driver.Plan) (driver.DryRun, error) {
	run, err := b.Driver.DryRunRollback(ctx, p)
	switch {
	case b.bug == "dry-runs its way back by going it" && run.Possible:
		b.effect("p/0/rollback-1", driver.Fence{}, p.Previous)
	case b.bug == "says of every way back that it is possible":
		run.Possible, run.Steps = true, "nothing"
	}
	return run, err
}

func (b *broken) Apply(ctx context.Context, key driver.Key, f driver.Fence, p driver.Plan) (driver.Result, error) {
	switch b.bug {
	case "answers before the effect":
		return driver.Result{Digest: p.Artifact.Digest}, key.Validate()
	case "forgets after a crash":
		// The fence is lost with the process: nothing remembers an attempt begun.
		if record, err := b.Probe(ctx, key); err == nil && record == driver.StatusNotStarted && f.Sequence > 20 {
			b.effect(key, f, p.Artifact.Digest)
		}
	}
	result, err := b.Driver.Apply(ctx, key, f, p)
	if b.bug == "takes stale fences" && errors.Is(err, driver.ErrStaleFence) {
		b.effect(key, f, p.Artifact.Digest)
		return result, nil
	}
	again := b.bug == "repeats a key" || b.bug == "repeats an effect in a later attempt" && !strings.HasSuffix(string(key), "/1")
	if err == nil && result.Repeated && again {
		b.effect(key, f, p.Artifact.Digest)
	}
	return result, err
}

// Inspect finds what nobody has changed by hand, which is nothing.
func (b *broken) Inspect(context.Context) ([]string, error) {
	last, err := ledger.LastEffect(filepath.Join(b.folder, noop.LedgerName), "")
	if b.bug == "takes its own way back for a change by hand" && last.Key.IsRollback() {
		return []string{"it is not as it was placed"}, err
	}
	return nil, err
}

// Mark is how many effects it has had.
func (b *broken) Mark(context.Context) (string, error) {
	entries, err := ledger.Read(filepath.Join(b.folder, noop.LedgerName))
	return fmt.Sprint(len(entries)), err
}

func (b *broken) Remembers(ctx context.Context, mark string) error {
	has, err := b.Mark(ctx)
	if b.bug == "remembers less than it said" && mark != "" && mark != "1" || mark > has && len(mark) >= len(has) {
		return fmt.Errorf("%s of %s effects: %w", has, mark, driver.ErrConflict)
	}
	return err
}

func (b *broken) Seal(ctx context.Context, key driver.Key, f driver.Fence) (driver.Status, error) {
	if b.bug == "forgets what was sealed" {
		return b.Probe(ctx, key)
	}
	return b.Driver.Seal(ctx, key, f)
}

func (b *broken) Rollback(ctx context.Context, key driver.Key, f driver.Fence, p driver.Plan) (driver.Result, error) {
	result, err := b.Driver.Rollback(ctx, key, f, p)
	if b.bug == "rolls back what never came" && err == nil && result.Repeated {
		b.effect(key, f, p.Previous)
	}
	return result, err
}

func Example() {
	call := drivertest.Call{Key: driver.ApplyKey("shop-k7q2m3xw5d8ta4bc", 0, 1), Fence: driver.Fence{Epoch: "e1", Sequence: 10}, Version: 1}
	d := noop.New(noop.Options{Target: "shop-1"})
	result, err := call.Do(context.Background(), d, func(version int) driver.Plan { return drivertest.Plan("shop-1", version) })
	fmt.Println(result.Repeated, err)
	result, err = call.Do(context.Background(), d, func(version int) driver.Plan { return drivertest.Plan("shop-1", version) })
	fmt.Println(result.Repeated, err)
	// Output:
	// false <nil>
	// true <nil>
}
