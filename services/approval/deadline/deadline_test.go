package deadline_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/natstest"
	"github.com/blackdice/shipwarden/internal/reactor"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/approval/approvaltest"
	"github.com/blackdice/shipwarden/services/approval/deadline"
)

func TestMain(m *testing.M) { approvaltest.Main(m) }

type rig struct {
	*approvaltest.Rig
	nats  natstest.Server
	ahead atomic.Int64 // of the clock, in nanoseconds
}

func rigOn(t *testing.T, n natstest.Server) *rig {
	t.Helper()
	return &rig{Rig: approvaltest.On(t, n, approvaltest.Document()), nats: n}
}

func (r *rig) now() time.Time { return time.Now().Add(time.Duration(r.ahead.Load())) }

func (r *rig) clock(t *testing.T) *deadline.Clock {
	t.Helper()
	c, err := deadline.New(t.Context(), r.JetStream(), r.Store, r.now)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// held makes a release that is held until then.
func (r *rig) held(t *testing.T, until time.Time, changes ...func(*releasev1.Request)) string {
	t.Helper()
	release := r.Reach(t, procedure.PhaseRisk, changes...)
	r.Do(t, release, "", &releasev1.Event{Data: &releasev1.Event_Held{Held: proceduretest.Hold("freeze", until)}})
	return release
}

// set lets the step set the release's timer, which whoever is asked knows of on return.
func (r *rig) set(t *testing.T, c *deadline.Clock, release string) {
	t.Helper()
	r.act(t, c, r.Task(t, release, r.now()))
}

func (r *rig) act(t *testing.T, c *deadline.Clock, task reactor.Task) {
	t.Helper()
	if _, err := c.Setter().Act(t.Context(), task); err != nil {
		t.Fatal(err)
	}
	r.nats.Synced(t, "KV_"+eventstore.BucketDeadlines)
}

func (r *rig) timers(t *testing.T) jetstream.Stream {
	t.Helper()
	s, err := r.JetStream().Stream(t.Context(), eventstore.StreamTimers)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// fired waits for the release's timer and returns when it fired and on what subject.
func (r *rig) fired(t *testing.T, release string) (subject string, at time.Time) {
	t.Helper()
	natstest.Eventually(t, "a timer fires", func() bool {
		m, err := r.timers(t).GetLastMsgForSubject(t.Context(), "timer.fired."+release+".*")
		if err != nil {
			return false
		}
		subject, at = m.Subject, m.Time
		return true
	})
	return subject, at
}

func TestATimerIsSetToTheNanosecondAndFiresNotEarly(t *testing.T) {
	t.Parallel()
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		r := rigOn(t, n)
		c := r.clock(t)
		until := time.Now().Add(6 * time.Second) // A slow machine has set it by then, too.
		release := r.held(t, until)
		r.set(t, c, release)
		m, err := r.timers(t).GetLastMsgForSubject(t.Context(), "timer.set."+release+".*")
		if err != nil {
			t.Fatal(err)
		}
		if got := m.Header.Get("Nats-Schedule"); got != "@at "+until.UTC().Format(time.RFC3339Nano) {
			t.Errorf("set to %q", got)
		}
		subject, at := r.fired(t, release)
		if at.Before(until) {
			t.Errorf("fired %s early", until.Sub(at))
		}
		if err := c.Fired(t.Context(), subject); err != nil {
			t.Fatal(err)
		}
		if s := r.State(t, release); s.Phase != procedure.PhaseRisk {
			t.Errorf("phase %s", s.Phase)
		}
	})
}

func TestATimerThatCameEarlyChangesNothing(t *testing.T) {
	t.Parallel()
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		r := rigOn(t, n)
		c := r.clock(t)
		release := r.held(t, time.Now().Add(time.Hour))
		before := r.Events(t, release)
		for range 3 {
			if err := c.Fired(t.Context(), "timer.fired."+release+".17"); err != nil {
				t.Fatal(err)
			}
		}
		if after := r.Events(t, release); !slices.Equal(after, before) {
			t.Errorf("events %v", after)
		}
		if _, err := r.timers(t).GetLastMsgForSubject(t.Context(), "timer.set."+release+".*"); err != nil {
			t.Errorf("no timer is set: %v", err)
		}
	})
}

func TestForgedTimersDoNothing(t *testing.T) {
	t.Parallel()
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		r := rigOn(t, n)
		c := r.clock(t)
		if err := c.Fired(t.Context(), "timer.fired.shop-nothing.17"); err != nil {
			t.Errorf("of no release: %v", err)
		}
		for _, subject := range []string{"timer.fired", "timer.fired.a.b.c", "timer.fired.REL.1", "timer.fired.*.1", "timer.fired.>.1"} {
			if err := c.Fired(t.Context(), subject); !errors.Is(err, reactor.ErrUnprocessable) {
				t.Errorf("%s: %v", subject, err)
			}
		}
	})
}

func TestTwoClocksAtOnceSayItOnce(t *testing.T) {
	t.Parallel()
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		r := rigOn(t, n)
		until := time.Now().Add(200 * time.Millisecond)
		release := r.held(t, until)
		r.set(t, r.clock(t), release)
		subject, _ := r.fired(t, release)
		var all sync.WaitGroup
		for range 5 {
			c := r.clock(t)
			all.Go(func() {
				if err := c.Fired(t.Context(), subject); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		passed := 0
		for _, e := range r.Events(t, release) {
			if e == "deadline_passed" {
				passed++
			}
		}
		if passed != 1 {
			t.Errorf("the deadline passed %d times", passed)
		}
	})
}

// The server's clock is ahead of this machine's, and so every timer comes early.
func TestATimerThatComesEarlyByThisClockComesAgain(t *testing.T) {
	t.Parallel()
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		r := rigOn(t, n)
		c := r.clock(t)
		until := time.Now().Add(200 * time.Millisecond)
		release := r.held(t, until)
		r.ahead.Store(int64(-time.Hour))
		r.set(t, c, release)
		subject, _ := r.fired(t, release)
		if err := c.Fired(t.Context(), subject); err == nil || !strings.Contains(err.Error(), "again after") {
			t.Fatalf("after a timer that came early: %v, want it again when it is time", err)
		}
		r.ahead.Store(0)
		if err := c.Fired(t.Context(), subject); err != nil {
			t.Fatal(err)
		}
		if s := r.State(t, release); s.Phase != procedure.PhaseRisk {
			t.Errorf("phase %s", s.Phase)
		}
	})
}

// Its release has gone on meanwhile, and by this clock it has not fired yet.
func TestATimerOfAnEarlierDeadlineSetsTheNextOne(t *testing.T) {
	t.Parallel()
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		r := rigOn(t, n)
		c := r.clock(t)
		release := r.held(t, time.Now().Add(200*time.Millisecond))
		r.set(t, c, release)
		subject, _ := r.fired(t, release)
		r.Do(t, release, "rita", proceduretest.Withdraw())
		r.ahead.Store(int64(-2 * time.Second))
		if err := c.Fired(t.Context(), subject); err != nil {
			t.Fatal(err)
		}
		next, _ := procedure.NextDeadline(r.State(t, release))
		m, err := r.timers(t).GetLastMsgForSubject(t.Context(), "timer.set."+release+".*")
		if err != nil {
			t.Fatal(err)
		}
		if got := m.Header.Get("Nats-Schedule"); got != "@at "+next.At.UTC().Format(time.RFC3339Nano) {
			t.Errorf("the next timer is %q, want one at %s", got, next.At.UTC())
		}
	})
}

func nobody(context.Context) ([]string, error) { return nil, nil }

func TestALostBucketIsFilledFromTheRecord(t *testing.T) {
	t.Parallel()
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		r := rigOn(t, n)
		c := r.clock(t)
		until := time.Now().Add(time.Hour)
		release := r.held(t, until)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			c.Sweep(ctx, time.Hour, time.Hour, func(context.Context) ([]string, error) { return []string{release, "shop-nothing"}, nil }, func() {})
		}()
		natstest.Eventually(t, "the release is known again", func() bool {
			all, err := c.Waiting(t.Context())
			return err == nil && slices.Equal(all, []string{release})
		})
		cancel()
		<-done
		m, err := r.timers(t).GetLastMsgForSubject(t.Context(), "timer.set."+release+".*")
		if err != nil || m.Header.Get("Nats-Schedule") != "@at "+until.UTC().Format(time.RFC3339Nano) {
			t.Errorf("its timer: %v, %v", m, err)
		}
	})
}

func TestALostTimerIsSweptUp(t *testing.T) {
	t.Parallel()
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		r := rigOn(t, n)
		c := r.clock(t)
		release := r.held(t, time.Now().Add(300*time.Millisecond))
		r.set(t, c, release)
		if err := r.timers(t).Purge(t.Context()); err != nil {
			t.Fatal(err)
		}
		var missed atomic.Int32
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			c.Sweep(ctx, 20*time.Millisecond, 10*time.Millisecond, nobody, func() { missed.Add(1) })
		}()
		natstest.Eventually(t, "the sweeper finds the release", func() bool { return r.State(t, release).Phase == procedure.PhaseRisk })
		natstest.Eventually(t, "the next timer", func() bool {
			_, err := r.timers(t).GetLastMsgForSubject(t.Context(), "timer.set."+release+".*")
			return err == nil
		})
		cancel()
		<-done
		if missed.Load() == 0 {
			t.Error("nobody is told that a timer was missed")
		}
	})
}

func TestAClockAheadOfTheServersDoesNotFillTheHistory(t *testing.T) {
	t.Parallel()
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		r := rigOn(t, n)
		c := r.clock(t)
		release := r.held(t, time.Now().Add(time.Hour))
		before := len(r.Events(t, release))
		r.ahead.Store(int64(2 * time.Hour))
		if err := c.Fired(t.Context(), "timer.fired."+release+".17"); err == nil {
			t.Error("it is content with a deadline that has not passed")
		}
		h, err := r.Store.Load(t.Context(), procedure.Aggregate(release))
		if err != nil {
			t.Fatal(err)
		}
		if s, _ := procedure.Fold(release, h.Entries); s.Phase != procedure.PhaseHeld || len(h.Entries) > before+1 {
			t.Errorf("phase %s, %d events more", s.Phase, len(h.Entries)-before)
		}
	})
}

func TestAnApprovalThatNobodyGivesEndsTheRelease(t *testing.T) {
	t.Parallel()
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		r := rigOn(t, n)
		c := r.clock(t)
		release := r.Reach(t, procedure.PhaseRisk)
		r.Do(t, release, "", proceduretest.Risk(r.State(t, release), time.Now(), func(f *procedure.RiskFacts) {
			f.ApproveBy = time.Now().Add(200 * time.Millisecond)
		}))
		r.set(t, c, release)
		subject, _ := r.fired(t, release)
		if err := c.Fired(t.Context(), subject); err != nil {
			t.Fatal(err)
		}
		if s := r.State(t, release); s.Outcome != releasev1.Outcome_OUTCOME_EXPIRED {
			t.Errorf("phase %s, outcome %s", s.Phase, s.Outcome)
		}
	})
}

func TestAnEarlierDeadlineMovesTheTimerAndALaterOneDoesNot(t *testing.T) {
	t.Parallel()
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		r := rigOn(t, n)
		c := r.clock(t)
		release := r.held(t, time.Now().Add(time.Hour))
		r.set(t, c, release)
		r.set(t, c, release) // once is enough
		task := r.Task(t, release, r.now())
		for _, until := range []time.Duration{2 * time.Hour, 30 * time.Minute} {
			task.State.HeldUntil = time.Now().Add(until)
			r.act(t, c, task)
		}
		info, err := r.timers(t).Info(t.Context(), jetstream.WithSubjectFilter("timer.set.>"))
		if err != nil || len(info.State.Subjects) != 2 || info.State.LastSeq != 2 {
			t.Errorf("timers %v, %v", info.State.Subjects, err)
		}
	})
}

func TestWaitingListsWhatIsNotAtAnEndAndTheClosedIsForgotten(t *testing.T) {
	t.Parallel()
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		r := rigOn(t, n)
		c := r.clock(t)
		open := r.held(t, time.Now().Add(time.Hour), proceduretest.Key("open"))
		closing := r.Reach(t, procedure.PhaseFollowUp, proceduretest.Key("closing"), func(q *releasev1.Request) {
			q.Validation.Bake = durationpb.New(time.Second)
		})
		for _, release := range []string{open, closing} {
			r.set(t, c, release)
		}
		all, err := c.Waiting(t.Context())
		slices.Sort(all)
		if want := sorted(open, closing); err != nil || !slices.Equal(all, want) {
			t.Fatalf("waiting %v, %v", all, err)
		}
		r.Do(t, closing, "", proceduretest.Notify(r.State(t, closing)))
		if s := r.State(t, closing); s.Phase != procedure.PhaseClosed {
			t.Fatalf("phase %s", s.Phase)
		}
		if err := c.Fired(t.Context(), "timer.fired."+closing+".17"); err != nil {
			t.Fatal(err)
		}
		n.Synced(t, "KV_"+eventstore.BucketDeadlines)
		if all, err = c.Waiting(t.Context()); err != nil || !slices.Equal(all, []string{open}) {
			t.Errorf("waiting %v, %v", all, err)
		}
		if err := c.Fired(t.Context(), "timer.fired."+closing+".18"); err != nil {
			t.Errorf("forgotten twice: %v", err)
		}
	})
}

func sorted(s ...string) []string { slices.Sort(s); return s }

func TestNoBucketNoClock(t *testing.T) {
	t.Parallel()
	n := natstest.Single(t)
	if _, err := deadline.New(t.Context(), n.JetStream(), nil, time.Now); err == nil || !strings.Contains(err.Error(), "DEADLINES") {
		t.Errorf("got %v", err)
	}
}
