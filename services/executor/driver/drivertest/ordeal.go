package drivertest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/driver"
)

// The environment that says how many ordeals a driver goes through, and from which seed on.
const (
	runsEnv = "SHIPWARDEN_ORDEAL_RUNS"
	seedEnv = "SHIPWARDEN_ORDEAL_SEED"
)

// steps is how many calls an ordeal makes before the last ones.
const steps = 8

// Ordeal puts a driver through ordeals, each at a target of its own and from a seed of its own:
// releases, ways back and attempts follow each other as an executor may order them, while
// executors are killed, fall asleep and come back, call twice and give up, and while the target
// has its troubles (Harness.Troubles, Harness.Astray). After every step, and at the end, what
// the driver's class promises is held against what the target has to say.
//
// few is how many there are where the environment says nothing; SHIPWARDEN_ORDEAL_RUNS asks for
// more, and SHIPWARDEN_ORDEAL_SEED for those from another seed on. `make ordeal` does both.
func Ordeal(t *testing.T, few int, target func(t *testing.T) Harness) {
	runs, seed := number(t, runsEnv, few), number(t, seedEnv, 1)
	t.Logf("%d ordeals from seed %d", runs, seed)
	for n := range runs {
		t.Run(fmt.Sprintf("seed %d", seed+n), func(t *testing.T) {
			t.Parallel()
			o := &ordeal{
				h: harness{target(t)}, dice: rand.New(rand.NewPCG(uint64(seed+n), 0)), //nolint:gosec // A test's dice.
				fence: 20, runs: map[driver.Key]int{}, called: map[driver.Key]bool{},
			}
			o.opaque = o.h.Open(t).Class() == releasev1.DriverClass_DRIVER_CLASS_OPAQUE
			defer o.tell(t)
			o.live(t)
		})
	}
}

func number(t *testing.T, name string, absent int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return absent
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s: %q is no number above 0", name, text)
	}
	return n
}

// ordeal is one of them, and what is known of it.
type ordeal struct {
	h      harness
	opaque bool
	dice   *rand.Rand
	// fence is the newest, releases how many there were.
	fence    uint64
	releases int
	// now is the newest call, done whether it is complete, sealed whether its key is.
	now          Call
	done, sealed bool
	// past are all calls, dead those that must be refused from now on.
	past, dead []Call
	// away is a call that is on its way still; nil where none is.
	away *away
	// last is the effect that the target had last.
	last string
	// called are the keys with which somebody called, runs how often each had its effect.
	called map[driver.Key]bool
	runs   map[driver.Key]int
	// mark is how far the target remembered, when somebody asked last.
	mark  string
	story []string
}

// away is a call that goes on when somebody wakes, or when what is on its way arrives.
type away struct {
	call Call
	wake func()
	// late says that a newer call or a seal succeeded meanwhile: nothing may come of it.
	late bool
}

func (o *ordeal) note(format string, args ...any) {
	o.story = append(o.story, fmt.Sprintf(format, args...))
}

// tell says what was done, where that was wrong.
func (o *ordeal) tell(t *testing.T) {
	t.Helper()
	if o.away != nil {
		o.away.wake()
	}
	if t.Failed() {
		for i, line := range o.story {
			t.Logf("%2d  %s", i+1, line)
		}
	}
}

// live goes through the steps, and then demands what is promised in the end.
func (o *ordeal) live(t *testing.T) {
	for range steps {
		switch dice := o.dice.IntN(20); {
		case o.away != nil && dice < 7:
			o.wake(t)
		case dice < 8 && o.now.Key != "" && !o.done:
			o.seal(t)
		case dice < 9 && (o.away == nil || o.away.late):
			o.forestall(t)
		case dice < 10 && len(o.dead) > 0:
			o.stale(t, o.dead[o.dice.IntN(len(o.dead))])
		case dice < 11 && o.h.Astray != nil:
			o.astray(t)
		default:
			o.step(t)
		}
		if t.Failed() {
			return
		}
	}
	o.end(t)
}

// step makes one call in one of the ways in which calls are made.
func (o *ordeal) step(t *testing.T) {
	c := o.choose(t)
	again := o.called[c.Key]
	point := o.h.Points[o.dice.IntN(len(o.h.Points))]
	troubles := slices.Sorted(maps.Keys(o.h.Troubles))
	// A process of its own waits without an end for whoever has the target, and may not be
	// answered with an error.
	alone := o.away == nil && (!o.opaque || !again)
	switch dice := o.dice.IntN(20); {
	case dice < 4 && alone:
		o.try(t, c, "killed at "+point, func() error { o.h.Crash(t, point, c); return errAway })
	case dice < 7 && alone && o.h.Sleep != nil:
		o.sleep(t, c, point)
	case dice < 12 && len(troubles) > 0 && o.away == nil:
		o.trouble(t, c, troubles[o.dice.IntN(len(troubles))])
	case dice < 14 && !o.h.Remote:
		long := time.Duration(o.dice.IntN(30)) * time.Millisecond
		o.try(t, c, fmt.Sprintf("given up after %s", long), func() error {
			ctx, cancel := context.WithTimeout(t.Context(), long)
			defer cancel()
			return o.call(ctx, t, c, o.h.Open(t))
		})
	case dice < 16:
		o.twice(t, c)
	default:
		o.plain(t, c)
	}
}

// errAway says that nobody heard how a call ended.
var errAway = errors.New("nobody was told")

// choose is what an executor may call next: another release, the same again, the way back, or
// another attempt, also at what is complete.
func (o *ordeal) choose(t *testing.T) Call {
	o.fence += 1 + o.dice.Uint64N(3)
	dice := o.dice.IntN(10)
	settled := o.away == nil || o.away.late
	c := o.now
	back := o.now.Previous != 0 && !o.now.Key.IsRollback()
	switch {
	case o.now.Key == "", settled && (dice < 2 || o.done && dice < 5):
		return o.fresh(t)
	case !o.sealed && dice < 6:
		c.Fence = at(o.fence)
		return c
	case back && dice < 8:
		c.Key = o.next(driver.RollbackKey)
	case o.done && o.opaque:
		// It would run again, and nobody asks for that.
		c.Fence = at(o.fence)
		return c
	case o.now.Key.IsRollback():
		c.Key = o.next(driver.RollbackKey)
	default:
		c.Key = o.next(driver.ApplyKey)
	}
	c.Fence = at(o.fence)
	return c
}

// next is the key of the next attempt of the newest release, forth or back.
func (o *ordeal) next(key func(release string, wave, attempt uint32) driver.Key) driver.Key {
	for attempt := uint32(1); ; attempt++ {
		if k := key(release(o.releases), 0, attempt); !o.called[k] {
			return k
		}
	}
}

// fresh is a release of another version than is there: it goes back to what the driver says
// that runs, as a release does that follows another. Where the driver does not know that, it has
// no way back, and an executor asks for none.
func (o *ordeal) fresh(t *testing.T) Call {
	o.releases++
	there, before := o.version(t), 0
	if running, err := o.h.Open(t).Running(t.Context()); err == nil {
		before = o.versionOf(t, running)
		there = before
	}
	version := 1 + o.dice.IntN(3)
	if version == there {
		version = 1 + version%3
	}
	return Call{Key: driver.ApplyKey(release(o.releases), 0, 1), Fence: at(o.fence), Version: version, Previous: before}
}

// version is what the target carries.
func (o *ordeal) version(t *testing.T) int { return o.versionOf(t, o.h.Carries(t)) }

func (o *ordeal) versionOf(t *testing.T, digest string) int {
	t.Helper()
	for version := range 4 {
		if o.h.digest(t, version) == digest {
			return version
		}
	}
	t.Fatalf("the target carries %q, which is no version", digest)
	return 0
}

// want is the version that a call is to leave behind.
func (c Call) want() int {
	if c.Key.IsRollback() {
		return c.Previous
	}
	return c.Version
}

func (o *ordeal) call(ctx context.Context, t *testing.T, c Call, d driver.Driver) error {
	_, err := c.Do(ctx, d, func(version int) driver.Plan { return o.h.Plan(t, version) })
	return err
}

// patience is how long a call is given: little, where somebody may sleep who has the target.
func (o *ordeal) patience() time.Duration {
	if o.away == nil {
		return o.h.slow()
	}
	if o.h.Shut != 0 {
		return 2 * o.h.Shut
	}
	return shut
}

// try makes a call, in whichever way, and holds what became of the target against it. It must
// have one effect at most, which is that of the call, and none where it had it last; and a call
// that succeeded left behind what it should.
func (o *ordeal) try(t *testing.T, c Call, how string, do func() error) error {
	t.Helper()
	o.called[c.Key] = true
	if o.now.Key != "" {
		o.past = append(o.past, o.now)
	}
	if c.Key != o.now.Key {
		o.sealed = false
	}
	o.now, o.done = c, false
	before, effects := o.version(t), o.h.Effects(t)
	began := time.Now()
	err := do()
	took := time.Since(began).Round(time.Millisecond)
	after := o.changed(t, c, before, effects)
	if err == nil {
		o.succeeded(t, c, after)
	}
	o.note("%s under %s, version %d from %d, %s, in %s: %v; carried %d, carries %d", c.Key, c.Fence, c.Version, c.Previous, how, took, err, before, after)
	return err
}

// changed checks what happened to the target since.
func (o *ordeal) changed(t *testing.T, c Call, before, effects int) (after int) {
	t.Helper()
	after = o.version(t)
	more := o.h.Effects(t) - effects
	o.runs[c.Key] += more
	switch {
	case more > 0 && after != c.want():
		t.Errorf("%s had %d effects, and the target carries version %d, not %d", c.Key, more, after, c.want())
	case more == 0 && after != before:
		t.Errorf("%s had no effect, and the target carries version %d, not %d any more", c.Key, after, before)
	case more > 1, o.runs[c.Key] > 1 && o.opaque:
		t.Errorf("%s had its effect more than once", c.Key)
	case more == 1 && o.last == c.Key.Effect() && !o.opaque:
		t.Errorf("%s was had a second time, with %s", c.Key.Effect(), c.Key)
	}
	if more > 0 {
		o.last = c.Key.Effect()
	}
	return after
}

// succeeded notes that a call did: whoever was there before it is refused from now on.
func (o *ordeal) succeeded(t *testing.T, c Call, carries int) {
	t.Helper()
	if carries != c.want() {
		t.Errorf("%s succeeded, and the target carries version %d, not %d", c.Key, carries, c.want())
	}
	o.done = true
	if o.away != nil {
		o.away.late = true
	}
	o.dead = nil
	for _, p := range o.past {
		if p.Key != c.Key {
			o.dead = append(o.dead, p)
		}
	}
}

// end is what is promised once all is over: nobody is away any more, whoever has the newest
// fence comes to his end and back, the driver knows it, and all others are refused.
func (o *ordeal) end(t *testing.T) {
	if o.away != nil {
		o.wake(t)
	}
	o.fence++
	c := o.now
	if c.Key == "" || o.sealed || o.opaque && !o.done {
		// What is sealed, or nobody knows of an opaque target, is not called again.
		c = o.fresh(t)
	}
	c.Fence = at(o.fence)
	o.plain(t, c)
	o.knows(t, c)
	if c.Previous != 0 && !c.Key.IsRollback() {
		o.fence++
		c.Key, c.Fence = o.next(driver.RollbackKey), at(o.fence)
		o.plain(t, c)
		o.knows(t, c)
	}
	for _, late := range o.dead {
		o.stale(t, late)
	}
}

// knows holds what the driver says against the target.
func (o *ordeal) knows(t *testing.T, c Call) {
	t.Helper()
	// An opaque driver has no trace of a way back on which nothing had to be taken back, and what
	// was unknown before is so after it.
	nothing := o.opaque && c.Key.IsRollback() && o.runs[c.Key] == 0
	running, err := o.h.Open(t).Running(t.Context())
	carries := o.h.Carries(t)
	if (running != carries || err != nil) && (!nothing || !errors.Is(err, driver.ErrUnknown)) || carries != o.h.digest(t, c.want()) {
		t.Errorf("the driver says %q (%v), the target carries %q, and version %d was placed", running, err, carries, c.want())
	}
	status, err := o.h.Open(t).Probe(t.Context(), c.Key)
	if err != nil || status != driver.StatusDone && (!nothing || status != driver.StatusNotStarted) {
		t.Errorf("probe of %s: %s, %v; want %s", c.Key, status, err, driver.StatusDone)
	}
	o.untouched(t)
}

// untouched asks for what somebody has changed by hand, which is nothing, whatever became of those
// who were let in; and whether the target remembers what it did before.
func (o *ordeal) untouched(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), o.h.slow())
	defer cancel()
	d := o.h.Open(t)
	if i, ok := d.(driver.Inspector); ok {
		if lines, err := i.Inspect(ctx); len(lines) > 0 || err != nil && !errors.Is(err, driver.ErrUnknown) {
			t.Errorf("nobody changed anything by hand, and a look says %q, %v", lines, err)
		}
	}
	m, ok := d.(driver.Marked)
	if !ok {
		return
	}
	if err := m.Remembers(ctx, o.mark); err != nil {
		t.Errorf("the target does not remember %q: %v", o.mark, err)
	}
	mark, err := m.Mark(ctx)
	if err != nil {
		t.Errorf("how far the target remembers: %v", err)
	}
	o.mark = mark
}
