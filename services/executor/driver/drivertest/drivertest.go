package drivertest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/driver"
)

// Harness is a fake target, and the way to reach it.
type Harness struct {
	// Open is a driver for the target, as a newly started executor would have it.
	Open func(t *testing.T) driver.Driver
	// Plan is the plan that places a version. The suite asks for versions 1 to 3 and
	// sets Previous itself. The same version is the same artifact each time.
	Plan func(t *testing.T, version int) driver.Plan
	// Effects counts how often what the target carries has changed, as seen by the
	// target.
	Effects func(t *testing.T) int
	// Carries is the digest that the target carries, as seen by the target; "" for
	// nothing.
	Carries func(t *testing.T) string
	// State is all that the target and the driver keep, as text: Preview must leave
	// it as it is.
	State func(t *testing.T) string
	// Points are the places at which Crash can kill, in the order of a call that
	// succeeds.
	Points []string
	// Crash makes the call in an executor that is killed at the point, and returns
	// when it is gone. It says whether the call came that far.
	Crash func(t *testing.T, point string, call Call) (reached bool)
	// Sleep makes the call in an executor that is stopped at the point, and returns when
	// it is. It says whether the call came that far; wake lets it go on and waits for
	// its end. Absent: what depends on it is not tested.
	Sleep func(t *testing.T, point string, call Call) (wake func(), reached bool)
	// Lose removes from the target what it keeps of a version, as somebody who tidies up
	// does. Absent: the driver keeps nothing there that it goes back to.
	Lose func(t *testing.T, version int)
	// Troubles are what the target can be made to do wrong in an ordeal, by name: to lose answers,
	// to do half of what it is asked, to be slow. Each is for one call, that of the driver that it
	// returns, and over ends it; what is on its way until then has arrived when over returns.
	Troubles map[string]func(t *testing.T) (d driver.Driver, over func())
	// Astray is a driver of the target that is led to the place of another one, by name, address
	// or configuration; untouched says whether that is as it was. Absent: the driver cannot tell.
	Astray func(t *testing.T) (d driver.Driver, untouched func() bool)
	// Remote says that of a call that was given up something may arrive afterwards, so that
	// none is in an ordeal but by its Troubles.
	Remote bool
	// DiffReads says that Diff reads the artifact. Absent: it must do without its content.
	DiffReads bool
	// Shut is how long a seal waits for a target that somebody is at work on. Absent: 300 ms.
	Shut time.Duration
	// Slow is how long one call may take. Absent: 30 s.
	Slow time.Duration
	// Gone is how long a call is waited for whose target has its troubles, which it may not get over.
	// Absent: Slow.
	Gone time.Duration
	// Few asks for the promises alone that no other part of the driver can keep (see few), for
	// targets of which each takes seconds.
	Few bool
}

// few are the promises, by the beginning of their names, that are asked for where Few is said: what
// keeps the others, keys, fences and seals, is shared by drivers, and those of quick targets are
// asked for all of them each time.
var few = []string{
	"apply places the version", "the same key twice", "rollback places what was there", "rollback to nothing",
	"preview changes nothing", "of many calls with one key", "an attempt under a superseded key", "a stale fence is refused",
	"what was sealed before it began", "dry run: what it says", "diff: it changes nothing", "crash", "asleep at",
}

// fewer takes those promises, and reports names that no promise has.
func fewer(lists [][]promise) (chosen []promise, unknown []string) {
	used := map[string]bool{}
	for _, list := range lists {
		for _, p := range list {
			if i := slices.IndexFunc(few, func(name string) bool { return strings.HasPrefix(p.name, name) }); i >= 0 {
				chosen, used[few[i]] = append(chosen, p), true
			}
		}
	}
	return chosen, slices.DeleteFunc(slices.Clone(few), func(name string) bool { return used[name] })
}

// Call is one call of Apply or Rollback. It can be sent to another process.
type Call struct {
	// Key says whether it is Apply or Rollback.
	Key driver.Key `json:"key"`
	// Fence is the fence of the call.
	Fence driver.Fence `json:"fence"`
	// Version is what is released.
	Version int `json:"version"`
	// Previous is what was there before; 0 for nothing.
	Previous int `json:"previous"`
}

// Do makes the call.
func (c Call) Do(ctx context.Context, d driver.Driver, plan func(version int) driver.Plan) (driver.Result, error) {
	p := plan(c.Version)
	if c.Previous != 0 {
		before := plan(c.Previous)
		p.Previous, p.PreviousVersion = before.Artifact.Digest, before.Version
	}
	if c.Key.IsRollback() {
		return d.Rollback(ctx, c.Key, c.Fence, p)
	}
	return d.Apply(ctx, c.Key, c.Fence, p)
}

// Exercise runs the suite of the driver's class.
func Exercise(t *testing.T, target func(t *testing.T) Harness) {
	first := target(t)
	class := first.Open(t).Class()
	s := suite{target: target, lent: first.Points, few: first.Few}
	if len(s.lent) == 0 {
		t.Fatal("the harness names no point to crash at")
	}
	switch class {
	case releasev1.DriverClass_DRIVER_CLASS_FENCED:
		s.run(t, s.every(), s.dryRuns(), s.diffs(), s.sealed(), s.fenced(), s.notOpaque())
	case releasev1.DriverClass_DRIVER_CLASS_PROBEABLE:
		s.run(t, s.every(), s.dryRuns(), s.diffs(), s.sealed(), s.notOpaque(), s.probeable())
	case releasev1.DriverClass_DRIVER_CLASS_OPAQUE:
		s.run(t, s.every(), s.dryRuns(), s.diffs(), s.sealed(), s.opaque())
	case releasev1.DriverClass_DRIVER_CLASS_UNSPECIFIED:
		fallthrough
	default:
		t.Fatalf("the driver's class is %s: it must be one of the three", class)
	}
}

type suite struct {
	target func(t *testing.T) Harness
	// lent are the points of the first harness; all have the same.
	lent []string
	few  bool
}

// promise is one test of the suite.
type promise struct {
	name string
	test func(t *testing.T, h harness)
}

func (s suite) run(t *testing.T, lists ...[]promise) {
	if s.few {
		chosen, unknown := fewer(lists)
		if len(unknown) > 0 {
			t.Fatalf("there are no promises like %q", unknown)
		}
		lists = [][]promise{chosen}
	}
	for _, list := range lists {
		for _, p := range list {
			t.Run(p.name, func(t *testing.T) { p.test(t, harness{Harness: s.target(t)}) })
		}
	}
}

// harness adds what the tests say again and again.
type harness struct{ Harness }

func (h harness) slow() time.Duration {
	if h.Slow != 0 {
		return h.Slow
	}
	return 30 * time.Second
}

func (h harness) digest(t *testing.T, version int) string {
	if version == 0 {
		return ""
	}
	return h.Plan(t, version).Artifact.Digest
}

// do makes the call in an executor of its own.
func (h harness) do(t *testing.T, c Call) (driver.Result, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), h.slow())
	defer cancel()
	return c.Do(ctx, h.Open(t), func(version int) driver.Plan { return h.Plan(t, version) })
}

// must makes the call, which must succeed.
func (h harness) must(t *testing.T, c Call) driver.Result {
	t.Helper()
	result, err := h.do(t, c)
	if err != nil {
		t.Fatalf("%s under %s: %v\n%s", c.Key, c.Fence, err, result.Output)
	}
	return result
}

// wants checks what the target has to say.
func (h harness) wants(t *testing.T, version, effects int) {
	t.Helper()
	if got, want := h.Carries(t), h.digest(t, version); got != want {
		t.Errorf("the target carries %q, want version %d, %q", got, version, want)
	}
	if got := h.Effects(t); got != effects {
		t.Errorf("the target had %d effects, want %d", got, effects)
	}
}

func at(sequence uint64) driver.Fence { return driver.Fence{Epoch: "e1", Sequence: sequence} }

// apply and back are the calls of a release named after its version.
func apply(version int, attempt uint32, f driver.Fence) Call {
	return Call{Key: driver.ApplyKey(release(version), 0, attempt), Fence: f, Version: version, Previous: version - 1}
}

func back(version int, attempt uint32, f driver.Fence) Call {
	c := apply(version, attempt, f)
	c.Key = driver.RollbackKey(release(version), 0, attempt)
	return c
}

func release(version int) string { return fmt.Sprintf("shop-%d7q2m3xw5d8ta4bc", version) }
