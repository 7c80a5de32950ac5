package procedure_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// busy holds a start for targets that these releases have, and for more.
func busy(h *proceduretest.History, by []string, more ...string) *releasev1.Event {
	held := &releasev1.Held{Until: timestamppb.New(h.Now.Add(time.Hour))}
	for _, id := range by {
		held.Reasons = append(held.Reasons, &releasev1.HoldReason{Rule: procedure.HoldTargetBusy, Subject: id})
	}
	for _, rule := range more {
		held.Reasons = append(held.Reasons, &releasev1.HoldReason{Rule: rule, Subject: "something"})
	}
	return &releasev1.Event{Data: &releasev1.Event_StartHeld{StartHeld: held}}
}

func freed(by string, sequence uint64, targets ...string) *releasev1.Event {
	return &releasev1.Event{Data: &releasev1.Event_TargetFreed{TargetFreed: &releasev1.TargetFreed{Release: by, Sequence: sequence, Targets: targets}}}
}

// waiting is a release whose start waits for its target, and was woken by the end at 3 before.
func waiting(t *testing.T, more ...string) *proceduretest.History {
	t.Helper()
	h := proceduretest.New(proceduretest.Request())
	h.To(t, procedure.PhaseExecute)
	h.Do(t, "", busy(h, []string{"shop-first"}))
	h.Do(t, "", freed("shop-first", 3, "eu1"))
	h.Do(t, "", busy(h, []string{"shop-other"}, more...))
	return h
}

// TestTargetFreedIsGuarded forges, repeats and ages the event: what is not exactly the end of
// a wait for targets changes nothing.
func TestTargetFreedIsGuarded(t *testing.T) {
	good := func() *releasev1.Event { return freed("shop-other", 4, "eu1") }
	for _, test := range []struct {
		name  string
		more  []string
		event func(e *releasev1.Event)
		want  error
		why   string
	}{
		{name: "as it is", event: func(*releasev1.Event) {}},
		{"beside a freeze", []string{procedure.HoldFreeze}, func(*releasev1.Event) {}, procedure.ErrInvalidTransition, "something else than targets"},
		{"beside an alert", []string{"alert.firing"}, func(*releasev1.Event) {}, procedure.ErrInvalidTransition, "something else than targets"},
		{"beside a target that was changed", []string{procedure.HoldTargetChanged}, func(*releasev1.Event) {}, procedure.ErrInvalidTransition, "something else than targets"},
		{"by nobody", nil, func(e *releasev1.Event) { e.GetTargetFreed().Release = "" }, procedure.ErrInvalidTransition, "no other release"},
		{"by itself", nil, func(e *releasev1.Event) {
			e.GetTargetFreed().Release = proceduretest.New(proceduretest.Request()).Release
		}, procedure.ErrInvalidTransition, "no other release"},
		{"of no target", nil, func(e *releasev1.Event) { e.GetTargetFreed().Targets = nil }, procedure.ErrInvalidTransition, "names no target"},
		{"of another target", nil, func(e *releasev1.Event) { e.GetTargetFreed().Targets = []string{"us1"} }, procedure.ErrInvalidTransition, "none of these"},
		{"of another target as well", nil, func(e *releasev1.Event) { e.GetTargetFreed().Targets = []string{"eu1", "us1"} }, procedure.ErrInvalidTransition, "none of these"},
		{"by the same end", nil, func(e *releasev1.Event) { e.GetTargetFreed().Sequence = 3 }, procedure.ErrInvalidTransition, "was woken by that"},
		{"by an earlier end", nil, func(e *releasev1.Event) { e.GetTargetFreed().Sequence = 2 }, procedure.ErrInvalidTransition, "was woken by that"},
		{"by no end", nil, func(e *releasev1.Event) { e.GetTargetFreed().Sequence = 0 }, procedure.ErrInvalidTransition, "was woken by that"},
		{"by itself in the stream", nil, func(e *releasev1.Event) { e.GetTargetFreed().Sequence = 1 << 40 }, procedure.ErrInvalidTransition, "still to come"},
		{"by the approval service", nil, func(e *releasev1.Event) { e.Writer = procedure.ServiceApproval }, procedure.ErrWriter, ""},
		{"by the validator", nil, func(e *releasev1.Event) { e.Writer = procedure.ServiceValidator }, procedure.ErrWriter, ""},
		{"by the recorder", nil, func(e *releasev1.Event) { e.Writer = procedure.ServiceRecorder }, procedure.ErrWriter, ""},
		{"after an event that is not the newest", nil, func(e *releasev1.Event) { e.Previous = &releasev1.Previous{Sequence: 1} }, procedure.ErrNotHead, ""},
		{"under another procedure document", nil, func(e *releasev1.Event) { e.ProcedureDigest = proceduretest.Digest('0') }, procedure.ErrProcedure, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := waiting(t, test.more...)
			e := good()
			test.event(e)
			before := h.State()
			err := h.Store(h.Next(nil, e))
			if !errors.Is(err, test.want) || test.why != "" && !strings.Contains(err.Error(), test.why) {
				t.Fatalf("got %v, want %v because %q", err, test.want, test.why)
			}
			if after := h.State(); test.want != nil {
				if diff := cmp.Diff(before, after, protocmpOptions); diff != "" {
					t.Errorf("it changed the state:\n%s", diff)
				}
			} else if after.Phase != procedure.PhaseExecute || len(after.Holds) != 0 || !after.HeldUntil.IsZero() || !after.Entered.Equal(h.Now) ||
				after.Freed != (procedure.Freed{Release: "shop-other", Sequence: 4}) {
				t.Errorf("in phase %s since %s, %v until %s, freed %v", after.Phase, after.Entered, after.Holds, after.HeldUntil, after.Freed)
			}
		})
	}
}

// TestTheSameEndDeliveredAgainWakesOnce: the same bytes, and the same content signed anew, before
// and after the release is held again.
func TestTheSameEndDeliveredAgainWakesOnce(t *testing.T) {
	h := waiting(t)
	e := freed("shop-other", 4, "eu1")
	first := h.Next(nil, e)
	if err := h.Store(first); err != nil {
		t.Fatal(err)
	}
	again := func(want error) {
		t.Helper()
		copied := first
		copied.Sequence = h.Last + 1
		if err := h.Store(copied); !errors.Is(err, procedure.ErrNotHead) {
			t.Errorf("the same bytes: %v", err)
		}
		if err := h.Store(h.Next(nil, e)); !errors.Is(err, want) {
			t.Errorf("signed anew: %v", err)
		}
	}
	again(procedure.ErrInvalidTransition)
	h.Do(t, "", busy(h, []string{"shop-third"}))
	again(procedure.ErrInvalidTransition)
	if s := h.State(); s.Phase != procedure.PhaseHeld || s.HeldUntil.IsZero() {
		t.Errorf("in phase %s until %s", s.Phase, s.HeldUntil)
	}
}

// TestWakingMakesNoWaitLonger: the time until it looks again by itself grows with the wait, and
// waking begins no new one.
func TestWakingMakesNoWaitLonger(t *testing.T) {
	h := waiting(t)
	since := h.State().HeldSince
	h.Advance(10 * time.Hour)
	h.Do(t, "", freed("shop-other", 4, "eu1"))
	if s := h.State(); !s.HeldSince.Equal(since) || since.IsZero() {
		t.Errorf("it waits since %s, was %s", s.HeldSince, since)
	}
}

// TestWhatAReleaseWaitsForIsWhatItDoesNotHave: the wave in work, without what it has; in step 3
// all of its targets; and nothing while it waits for something else.
func TestWhatAReleaseWaitsForIsWhatItDoesNotHave(t *testing.T) {
	h := proceduretest.New(proceduretest.Request(two))
	h.To(t, procedure.PhaseRisk)
	at := func(want ...string) {
		t.Helper()
		if got := h.State().AwaitedTargets(); !slices.Equal(got, want) {
			t.Errorf("in phase %s for %s it waits for %q, want %q", h.State().Phase, h.State().HeldFor, got, want)
		}
	}
	at()
	step3 := func(rule string) {
		h.Do(t, "", &releasev1.Event{Data: &releasev1.Event_Held{Held: proceduretest.Hold(rule, h.Now.Add(time.Hour))}})
	}
	step3("review.overdue")
	at()
	pass(t, h)
	step3(procedure.HoldTargetBusy)
	at("eu1", "us1", "us2")
	h.Do(t, "", freed("shop-other", 1, "us2"))
	if s := h.State(); s.Phase != procedure.PhaseScope {
		t.Errorf("woken in step 3 it is in phase %s", s.Phase)
	}
	h.To(t, procedure.PhaseExecute)
	h.Do(t, "", busy(h, []string{"shop-other"}))
	at("eu1")
	pass(t, h)
	h.To(t, procedure.PhaseVerify)
	again(t, h)
	h.Do(t, "", busy(h, []string{"shop-other"}))
	at("us1", "us2")
	s := h.State()
	s.Touched = append(slices.Clone(s.Touched), "us1") // It was ordered again, with a target that it has.
	if got := s.AwaitedTargets(); !slices.Equal(got, []string{"us2"}) {
		t.Errorf("with a target of the wave it waits for %q", got)
	}
}

// TestWhomAnEndIsToldOf is a table of what the step that wakes has to look at, by the state of
// one release.
func TestWhomAnEndIsToldOf(t *testing.T) {
	woken := func(t *testing.T) *proceduretest.History {
		h := waiting(t)
		h.Do(t, "", freed("shop-other", 4, "eu1"))
		return h
	}
	refused := &releasev1.Event{Data: &releasev1.Event_ExecutionRefused{
		ExecutionRefused: &releasev1.ExecutionRefused{Findings: proceduretest.Blocking("change.digest")},
	}}
	for _, test := range []struct {
		name string
		make func(t *testing.T) *proceduretest.History
		want []string
	}{
		{"waits for two", func(t *testing.T) *proceduretest.History {
			h := proceduretest.New(proceduretest.Request())
			h.To(t, procedure.PhaseExecute)
			h.Do(t, "", busy(h, []string{"shop-b", "shop-a", "shop-b", "no release.has > such a name", ""}))
			return h
		}, []string{"shop-b", "shop-a"}},
		{"waits for a freeze as well", func(t *testing.T) *proceduretest.History {
			h := proceduretest.New(proceduretest.Request())
			h.To(t, procedure.PhaseExecute)
			h.Do(t, "", busy(h, []string{"shop-b"}, procedure.HoldFreeze))
			return h
		}, nil},
		{"was woken and looks", woken, nil},
		{"was woken and has claimed", func(t *testing.T) *proceduretest.History {
			h := woken(t)
			h.To(t, procedure.PhaseExecuting)
			return h
		}, nil},
		{"was woken and is held", func(t *testing.T) *proceduretest.History {
			h := woken(t)
			h.Do(t, "", busy(h, nil, procedure.HoldFreeze))
			return h
		}, []string{"shop-other"}},
		{"was woken and waits for another target", func(t *testing.T) *proceduretest.History {
			h := woken(t)
			h.Do(t, "", busy(h, []string{"shop-third"}))
			return h
		}, []string{"shop-other", "shop-third"}},
		{"was woken and refused", func(t *testing.T) *proceduretest.History {
			h := woken(t)
			h.Do(t, "", refused)
			return h
		}, []string{"shop-other"}},
		{"was woken and withdrawn", func(t *testing.T) *proceduretest.History {
			h := woken(t)
			h.Do(t, "otto", proceduretest.Withdraw())
			return h
		}, []string{"shop-other"}},
		{"was woken before its second wave and refused", func(t *testing.T) *proceduretest.History {
			h := proceduretest.New(proceduretest.Request(two))
			h.To(t, procedure.PhaseVerify)
			again(t, h)
			h.Do(t, "", busy(h, []string{"shop-other"}))
			h.Do(t, "", freed("shop-other", 4, "us1"))
			h.Do(t, "", refused)
			return h
		}, []string{"shop-other"}},
		{"was never woken and refused", func(t *testing.T) *proceduretest.History {
			h := proceduretest.New(proceduretest.Request())
			h.To(t, procedure.PhaseExecute)
			h.Do(t, "", refused)
			return h
		}, nil},
		{"has its targets", func(t *testing.T) *proceduretest.History {
			h := proceduretest.New(proceduretest.Request())
			h.To(t, procedure.PhaseRelease)
			return h
		}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := test.make(t).State()
			if got := procedure.EndsToTellOf(s); !slices.Equal(got, test.want) {
				t.Errorf("in phase %s: %q, want %q", s.Phase, got, test.want)
			}
			if due := procedure.Due(procedure.StepWake, s, time.Time{}); due != (len(test.want) > 0) {
				t.Errorf("in phase %s it is due: %t", s.Phase, due)
			}
		})
	}
	h := proceduretest.New(proceduretest.Request())
	h.To(t, procedure.PhaseRecord)
	if got := procedure.EndsToTellOf(h.State()); !slices.Equal(got, []string{h.Release}) {
		t.Errorf("when it has let its targets go: %q", got)
	}
}
