package execute_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/blackdice/shipwarden/internal/evidence"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/verdict"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/execute"
	"github.com/blackdice/shipwarden/services/executor/site"
	"github.com/blackdice/shipwarden/services/executor/site/sitetest"
)

// errBus is what a client of the bus says, of which nothing belongs on record.
var errBus = errors.New("nats: no responders for $O.EVIDENCE.M.x at 10.0.0.5:4222")

// unread are procedure documents of which one cannot be read.
type unread struct {
	site.Procedures
	digest string
}

func (u unread) ByDigest(ctx context.Context, digest string) (*policy.Index, error) {
	if digest == u.digest {
		return nil, errBus
	}
	return u.Procedures.ByDigest(ctx, digest)
}

// TestAClaimedWaveEndsWhereNothingCanBeRead takes away, between a claim and its effect, what it
// would be judged by. A wave that has begun is brought to its end, and not left half done until
// its time is over; one that has not is looked at again until then, and lets its targets go.
func TestAClaimedWaveEndsWhereNothingCanBeRead(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, why string
		down      func(t *testing.T, w *sitetest.World, e *sitetest.Executor, digest string)
	}{
		{"a piece of evidence", "cannot be judged again: the store gave no answer", func(_ *testing.T, _ *sitetest.World, e *sitetest.Executor, digest string) {
			e.Blobs = lost{e.Blobs, digest, errBus}
		}},
		{"the document in effect", "what it is judged by cannot be read", func(t *testing.T, w *sitetest.World, e *sitetest.Executor, _ string) {
			e.Procedures = unread{e.Procedures, w.Activate(t, signedGates("")+"# since the claim\n")}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := sitetest.New(t, sitetest.Noop("eu1"), sitetest.Noop("eu2"), sitetest.Noop("eu3"))
			w.Digest = w.Activate(t, signedGates(""))
			e := w.Executor(t, "one", nil)
			step := execute.New(e.Site, time.Now)
			turn := func(r *sitetest.Release) *releasev1.Event {
				t.Helper()
				events, err := e.Turn(t.Context(), step, r.Task(t, 1))
				if err != nil || len(events) == 0 {
					t.Fatalf("in phase %s: %v, %v", r.State(t).Phase, events, err)
				}
				return events[0]
			}
			waits := w.Release(t, proceduretest.Key("waits"), proceduretest.Waves([]string{"eu1"}, []string{"eu2"}))
			begun := w.Release(t, proceduretest.Key("begun"), proceduretest.Waves([]string{"eu3"}))
			waits.Evidence = tested(t, w, time.Minute)
			begun.Evidence = waits.Evidence
			waits.To(t, procedure.PhaseExecute)
			turn(waits)
			turn(waits)
			waits.Do(t, "", proceduretest.Verified(waits.State(t), releasev1.CheckResult_VERDICT_PASS, false))
			turn(waits)
			begun.To(t, procedure.PhaseExecute)
			turn(begun)
			apply(t, e, begun, "eu3")
			test.down(t, w, e, waits.Evidence[0].GetDigest())
			if turn(begun).GetExecutionFinished() == nil {
				t.Errorf("what has begun is not brought to its end: %s", begun.State(t).Phase)
			}

			claim := waits.State(t).Claim
			early := execute.New(e.Site, func() time.Time { return claim.Deadline.Add(-time.Nanosecond) })
			if drafts, err := early.Act(t.Context(), waits.Task(t, 1)); err == nil {
				t.Errorf("before its claim is over: %v", drafts)
			}
			step = execute.New(e.Site, func() time.Time { return claim.Deadline })
			reason := turn(waits).GetExecutionFailed().GetReason()
			if !strings.Contains(reason, "it was not begun: until "+claim.Deadline.UTC().Format(time.RFC3339)) {
				t.Errorf("when its claim is over: %q", reason)
			}
			if !strings.Contains(reason, test.why) || strings.Contains(reason, errBus.Error()) {
				t.Errorf("on record is %q", reason)
			}
			s := waits.State(t)
			if s.Phase != procedure.PhaseRemedy || s.Result("eu2").GetStatus() != releasev1.TargetResult_STATUS_SKIPPED || len(w.Effects(t, "eu2", waits.ID)) != 0 {
				t.Errorf("in phase %s, %v, %d effects", s.Phase, s.Result("eu2"), len(w.Effects(t, "eu2", waits.ID)))
			}
		})
	}
}

// TestWhyAnEmergencyGoesAroundAGateIsOnRecord: that its evidence counts no more, or that nobody
// could read it; afterwards nothing else would tell.
func TestWhyAnEmergencyGoesAroundAGateIsOnRecord(t *testing.T) {
	t.Parallel()
	w := sitetest.New(t, sitetest.Noop("eu1"))
	w.Carries(t, "eu1", 1)
	w.Digest = w.Activate(t, signedGates(", bypassable: true"))
	for name, test := range map[string]struct {
		age       time.Duration
		down      bool
		rule, why string
	}{
		"too old":   {2 * time.Hour, false, "evidence.outdated", "older than 1h0m0s"},
		"no answer": {time.Minute, true, "evidence.unknown", "cannot be judged again: the store gave no answer"},
	} {
		r := w.Release(t, proceduretest.Key(test.rule), proceduretest.Emergency)
		r.Evidence = tested(t, w, test.age)
		r.To(t, procedure.PhaseExecute)
		one := w.Executor(t, "one", nil)
		if test.down {
			one.Blobs = lost{one.Blobs, r.Evidence[0].GetDigest(), errBus}
		}
		events, err := one.Turn(t.Context(), execute.New(one.Site, time.Now), r.Task(t, 1))
		if err != nil || len(events) == 0 {
			t.Fatalf("%s: %v, %v", name, events, err)
		}
		f := events[0].GetExecutionClaimed().GetFindings()
		if len(f) != 1 || f[0].GetRule() != test.rule || f[0].GetSubject() != "tests" || f[0].GetSeverity() != releasev1.Finding_SEVERITY_WARNING ||
			!strings.Contains(f[0].GetMessage(), test.why) || strings.Contains(f[0].GetMessage(), "nats") {
			t.Errorf("%s: %v", name, events[0])
		}
		if s := r.State(t); s.Phase != procedure.PhaseExecuting || !slices.Contains(s.Bypassed, "gate tests") {
			t.Errorf("%s: in phase %s, around %v", name, s.Phase, s.Bypassed)
		}
		w.Unlock(t, "eu1", r.ID, w.Standing(t, "eu1").State)
	}
}

// TestAHoldForWhatCannotBeReadSaysWhichAndHowMany, and nothing of what the client said: the
// first piece, a word on it, and how many more there are.
func TestAHoldForWhatCannotBeReadSaysWhichAndHowMany(t *testing.T) {
	t.Parallel()
	w := sitetest.New(t, sitetest.Noop("eu1"))
	w.Carries(t, "eu1", 1)
	w.Digest = w.Activate(t, signedGates("")+"sigstore: {trusted_root: \"sha256:"+strings.Repeat("0", 64)+"\"}\n")
	for why, word := range map[error]string{evidence.ErrTampered: "evidence was changed", errBus: "the store gave no answer", evidence.ErrNotFound: "evidence is not there"} {
		r := w.Release(t, proceduretest.Key(word))
		r.Evidence = append(tested(t, w, time.Minute), tested(t, w, 2*time.Minute)...)
		r.To(t, procedure.PhaseExecute)
		one := w.Executor(t, "one", nil)
		one.Blobs = &counting{Blobs: one.Blobs, err: why}
		events, err := one.Turn(t.Context(), execute.New(one.Site, time.Now), r.Task(t, 1))
		if err != nil || len(events) == 0 {
			t.Fatal(events, err)
		}
		holds := events[0].GetStartHeld().GetReasons()
		want := "by the trusted root sha256:" + strings.Repeat("0", 64) + " nothing can be judged again: " + word + " (and 2 more)"
		if len(holds) != 1 || holds[0].GetRule() != "evidence.unknown" || holds[0].GetMessage() != want {
			t.Errorf("%v", holds)
		}
	}
}

// counting is a store of evidence that notes who asks it, and answers with an error.
type counting struct {
	site.Blobs
	err error
	// together, where it is not nil, is done as soon as all pieces are being read at a time.
	together *sync.WaitGroup
	// alone says that one was read while others were not.
	alone atomic.Bool

	mu    sync.Mutex
	times map[string]int
	until []time.Time
}

func (a *counting) Get(ctx context.Context, digest string) ([]byte, error) {
	a.mu.Lock()
	if a.times == nil {
		a.times = map[string]int{}
	}
	a.times[digest]++
	first := a.times[digest] == 1
	until, _ := ctx.Deadline()
	a.until = append(a.until, until)
	a.mu.Unlock()
	if a.together != nil && first {
		a.together.Done()
		all := make(chan struct{})
		go func() { a.together.Wait(); close(all) }()
		select {
		case <-all:
		case <-time.After(10 * time.Second):
			a.alone.Store(true)
		}
	}
	return nil, a.err
}

// TestAStoreThatIsSilentCostsAnEmergencyOneLook: its pieces are read at a time, within one time,
// and once, however often the act judges by them. All of that is time that the claim and its
// drivers do not have.
func TestAStoreThatIsSilentCostsAnEmergencyOneLook(t *testing.T) {
	w := sitetest.New(t, sitetest.Noop("eu1"))
	w.Carries(t, "eu1", 1)
	w.Digest = w.Activate(t, signedGates(", bypassable: true"))
	r := w.Release(t, proceduretest.Emergency)
	r.Evidence = slices.Concat(tested(t, w, time.Minute), tested(t, w, 2*time.Minute), tested(t, w, 3*time.Minute))
	r.To(t, procedure.PhaseExecute)
	one := w.Executor(t, "one", nil)
	for _, phase := range []procedure.Phase{procedure.PhaseExecute, procedure.PhaseExecuting} {
		store := &counting{Blobs: one.Blobs, err: errBus, together: &sync.WaitGroup{}}
		store.together.Add(3)
		one.Blobs = store
		if s := r.State(t); s.Phase != phase {
			t.Fatalf("in phase %s", s.Phase)
		}
		begun := time.Now()
		if _, err := one.Turn(t.Context(), execute.New(one.Site, time.Now), r.Task(t, 1)); err != nil {
			t.Fatal(err)
		}
		for digest, times := range store.times {
			if times != 1 {
				t.Errorf("%s: %s was read %d times", phase, digest, times)
			}
		}
		for _, until := range store.until {
			if until.IsZero() || !until.Equal(store.until[0]) || until.Sub(begun) > time.Minute {
				t.Errorf("%s: read until %s, begun %s", phase, store.until, begun)
				break
			}
		}
		if len(store.until) != 3 || store.alone.Load() {
			t.Errorf("%s: %d reads, one after the other: %v", phase, len(store.until), store.alone.Load())
		}
		one.Blobs = store.Blobs
	}
	if len(w.Effects(t, "eu1", r.ID)) != 1 {
		t.Errorf("in phase %s: %s", r.State(t).Phase, r.State(t).EndReason)
	}
}

// TestAClaimHasAllItsTimeHoweverLongTheLookTook: what is looked at before the claim may take
// minutes. None of them is taken from the deadline, nor from what is left of it for the drivers
// by the executor's own clock; what was judged is judged by the time of the look.
func TestAClaimHasAllItsTimeHoweverLongTheLookTook(t *testing.T) {
	w := sitetest.New(t, sitetest.Noop("eu1"))
	w.Carries(t, "eu1", 1)
	r := w.Release(t)
	r.Execute = 30 * time.Minute
	r.To(t, procedure.PhaseExecute)
	var long atomic.Int64
	now := func() time.Time { return time.Now().Add(time.Duration(long.Load())) }
	one := w.Executor(t, "one", func(point string) {
		if point == sitetest.Looking {
			long.Store(int64(8 * time.Minute))
		}
	})
	task := r.Task(t, 1)
	events, err := one.Turn(t.Context(), execute.New(one.Site, now), task)
	if err != nil || len(events) == 0 || events[0].GetExecutionClaimed() == nil {
		t.Fatal(events, err)
	}
	if decided := events[0].GetDecided().AsTime(); decided.After(task.Now.Add(time.Minute)) {
		t.Errorf("decided %s, looked at %s", decided, task.Now)
	}
	if left := one.Until(r.Task(t, 1)).Sub(now()); left < r.Execute-verdict.Margin {
		t.Errorf("%s of %s are left", left, r.Execute)
	}
}
