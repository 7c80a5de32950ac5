package view_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	recorderv1 "github.com/blackdice/shipwarden/proto/shipwarden/recorder/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/recorder/view"
)

// line is the steps in one line: a letter for each status.
func line(steps []*recorderv1.Step) string {
	letters := map[recorderv1.Step_Status]string{
		recorderv1.Step_STATUS_PENDING: ".", recorderv1.Step_STATUS_RUNNING: "r", recorderv1.Step_STATUS_WAITING: "w",
		recorderv1.Step_STATUS_DONE: "d", recorderv1.Step_STATUS_FAILED: "F", recorderv1.Step_STATUS_SKIPPED: "s",
		recorderv1.Step_STATUS_BYPASSED: "B",
	}
	var out strings.Builder
	for _, s := range steps {
		out.WriteString(s.GetNumber() + letters[s.GetStatus()] + " ")
	}
	return strings.TrimSpace(out.String())
}

func TestStepsAsTheyGo(t *testing.T) {
	withdrawn := func(h *proceduretest.History) {
		h.To(t, procedure.PhaseApprove)
		h.Do(t, "rita", &releasev1.Event{Data: &releasev1.Event_Withdrawn{Withdrawn: &releasev1.Withdrawn{Reason: "wrong week"}}})
	}
	rejected := func(h *proceduretest.History) {
		h.To(t, procedure.PhaseApprove)
		h.Do(t, "anna", &releasev1.Event{Data: &releasev1.Event_Rejected{Rejected: &releasev1.Rejected{Reason: "not now"}}})
	}
	to := func(p procedure.Phase) func(*proceduretest.History) {
		return func(h *proceduretest.History) { h.To(t, p) }
	}
	for name, c := range map[string]struct {
		story func(*proceduretest.History)
		want  string
	}{
		"just requested":  {to(procedure.PhaseGates), "1r 2. 3. A. 4. 5. 6. 7. 8."},
		"in a freeze":     {to(procedure.PhaseHeld), "1d 2d 3w A. 4. 5. 6. 7. 8."},
		"before approval": {to(procedure.PhaseApprove), "1d 2d 3d Aw 4. 5. 6. 7. 8."},
		"being deployed":  {to(procedure.PhaseExecuting), "1d 2d 3d Ad 4d 5r 6. 7. 8."},
		"succeeded":       {to(procedure.PhaseClosed), "1d 2d 3d Ad 4d 5d 6d 7s 8d"},
		"to be recorded":  {to(procedure.PhaseRecord), "1d 2d 3d Ad 4d 5d 6d 7s 8r"},
		"rolling back":    {to(procedure.PhaseRollingBack), "1d 2d 3d Ad 4d 5d 6F 7r 8."},
		"outcome unknown": {to(procedure.PhaseEscalated), "1d 2d 3d Ad 4d 5F 6. 7w 8."},
		"withdrawn":       {withdrawn, "1d 2d 3d As 4s 5s 6s 7s 8r"},
		"rejected":        {rejected, "1d 2d 3d AF 4s 5s 6s 7s 8r"},
		"rolled back": {func(h *proceduretest.History) {
			h.To(t, procedure.PhaseVerifyRollback)
			h.To(t, procedure.PhaseClosed)
		}, "1d 2d 3d Ad 4d 5d 6F 7d 8d"},
	} {
		h := proceduretest.New(proceduretest.Request())
		c.story(h)
		if got := line(view.Of(h.Release, h.Entries).Steps()); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

// TestASupersededReleaseSaysOnceByWhich: "superseded: superseded by" says it twice.
func TestASupersededReleaseSaysOnceByWhich(t *testing.T) {
	asked := view.Summary(procedure.State{Phase: procedure.PhaseVerifyRollback, SignOffs: []procedure.SignOff{{Check: "ledger", Groups: []string{"finance", "operators"}, Until: time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)}}})
	if asked != "The way back is being verified, and waits to be signed off: ledger by finance or operators until 2026-03-02T09:00:00Z." {
		t.Errorf("asked: %q", asked)
	}
	got := view.Summary(procedure.State{Outcome: releasev1.Outcome_OUTCOME_SUPERSEDED, EndReason: "superseded by shop-2", Phase: procedure.PhaseClosed})
	if want := "It was superseded by shop-2."; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestStepsOfSeveralWaves(t *testing.T) {
	h := proceduretest.New(proceduretest.Request(proceduretest.Waves([]string{"eu1"}, []string{"us1"})))
	h.To(t, procedure.PhaseVerify)
	h.Do(t, "", proceduretest.Verified(h.State(), releasev1.CheckResult_VERDICT_PASS, false))
	steps := view.Of(h.Release, h.Entries).Steps()
	if got, want := line(steps), "1d 2d 3d Ad 4d 5r 6d 7. 8."; got != want {
		t.Errorf("between two waves: %s, want %s", got, want)
	}
	if steps[5].GetEnded() != nil || !strings.Contains(steps[6].GetDetail(), "1 of 2 waves passed") {
		t.Errorf("steps %v and %v", steps[5], steps[6])
	}
}

func TestStepsTellOfAllWaves(t *testing.T) {
	h := proceduretest.New(proceduretest.Request(proceduretest.Waves([]string{"eu1"}, []string{"us1"})))
	h.To(t, procedure.PhaseClosed)
	steps := view.Of(h.Release, h.Entries).Steps()
	if got, want := steps[5].GetDetail(), "2 of 2 waves deployed"; got != want {
		t.Errorf("step 5: %q, want %q", got, want)
	}
	if got, want := steps[6].GetDetail(), "2 of 2 waves passed"; !strings.HasPrefix(got, want) {
		t.Errorf("step 6: %q, want %q", got, want)
	}
}

// TestTheLastStepTellsOfTheRecord looks at a release of which notices, calls and a
// review go on after the record was closed.
func TestTheLastStepTellsOfTheRecord(t *testing.T) {
	for name, h := range map[string]*proceduretest.History{
		"planned":   proceduretest.New(proceduretest.Request()),
		"emergency": proceduretest.New(proceduretest.Request(proceduretest.Emergency)),
	} {
		h.To(t, procedure.PhaseFollowUp)
		before := view.Of(h.Release, h.Entries).Steps()[8]
		h.To(t, procedure.PhaseClosed)
		after := view.Of(h.Release, h.Entries).Steps()[8]
		if !proto.Equal(before, after) || after.GetDetail() != "recorded: succeeded" {
			t.Errorf("%s: %v, and when all was done %v", name, before, after)
		}
	}
}

// Beside "bypassed" stands what was, and not that nothing spoke against it.
func TestTheStepThatAnEmergencyGoesAroundSaysWhat(t *testing.T) {
	h := proceduretest.New(proceduretest.Request(proceduretest.Emergency))
	h.To(t, procedure.PhaseApprove)
	step := view.Of(h.Release, h.Entries).Steps()[3-1]
	if step.GetStatus() != recorderv1.Step_STATUS_BYPASSED || strings.Contains(step.GetDetail(), "nothing speaks") ||
		!strings.HasPrefix(step.GetDetail(), "cleared as an emergency: bypassed "+h.State().Bypassed[0]) {
		t.Errorf("step 3 is %s: %q", step.GetStatus(), step.GetDetail())
	}
}

func TestANoticeIsNoWorkOfAnotherStep(t *testing.T) {
	h := proceduretest.New(proceduretest.Request())
	h.To(t, procedure.PhaseRollingBack)
	before := view.Of(h.Release, h.Entries).Steps()[7].GetDetail()
	h.Do(t, "", proceduretest.Notify(h.State()))
	if after := view.Of(h.Release, h.Entries).Steps()[7].GetDetail(); after != before {
		t.Errorf("step 7 says %q after a notice, and said %q before", after, before)
	}
}

func TestTheViewOfEveryPrefixIsWhole(t *testing.T) {
	for i, change := range []func(*releasev1.Request){func(*releasev1.Request) {}, proceduretest.Emergency, proceduretest.Rollback} {
		h := proceduretest.New(proceduretest.Request(change))
		h.To(t, procedure.PhaseClosed)
		timeline := view.New(h.Release)
		for n, e := range h.Entries {
			if err := timeline.Add(e); err != nil {
				t.Fatal(err)
			}
			if timeline.Add(e) == nil {
				t.Errorf("event %d counts twice", n)
			}
			r := timeline.Release(0)
			fresh := view.Of(h.Release, h.Entries[:n+1]).Release(0)
			if !proto.Equal(r, fresh) {
				t.Errorf("history %d: going on by event %d is not beginning anew", i, n)
			}
			if len(r.GetSteps()) != 9 || r.GetUpdated() == nil || r.GetLastSequence() != e.Sequence {
				t.Errorf("history %d after %d events: %v", i, n+1, r)
			}
			if r.GetClosed() != (n == len(h.Entries)-1) || r.GetClosed() == (r.GetDeadline() != nil) {
				t.Errorf("history %d after %d events: closed %t, deadline %v", i, n+1, r.GetClosed(), r.GetDeadline())
			}
			if r.GetSummary() == "" || !strings.HasSuffix(r.GetSummary(), ".") {
				t.Errorf("history %d in phase %s: summary %q", i, r.GetPhase(), r.GetSummary())
			}
			for _, s := range r.GetSteps() {
				if s.GetEnded() != nil && (s.GetStarted() == nil || s.GetEnded().AsTime().Before(s.GetStarted().AsTime())) {
					t.Errorf("step %s ends before it begins: %v", s.GetNumber(), s)
				}
			}
		}
	}
}

func TestEverybodyWhoHadAPart(t *testing.T) {
	h := proceduretest.New(proceduretest.Request(proceduretest.Emergency))
	h.To(t, procedure.PhaseClosed)
	got := map[string]bool{}
	for _, p := range view.Of(h.Release, h.Entries).Parts() {
		got[p.Person+" "+p.Part] = true
	}
	for _, want := range []string{"rita requester", "otto owner", "ada author", "cleo reviewer"} {
		if !got[want] {
			t.Errorf("%s is not among %s", want, fmt.Sprint(got))
		}
	}
}

func TestThereAreWordsForEveryEvent(t *testing.T) {
	fields := (&releasev1.Event{}).ProtoReflect().Descriptor().Oneofs().ByName("data").Fields()
	for i := range fields.Len() {
		e := &releasev1.Event{}
		e.ProtoReflect().Set(fields.Get(i), e.ProtoReflect().NewField(fields.Get(i)))
		if view.Describe(e) == "" || view.Tell(e) == "" {
			t.Errorf("there are no words for %s", fields.Get(i).Name())
		}
		if told := view.Tell(e); strings.Contains(told, "_") {
			t.Errorf("%s is told as %q, not in words", fields.Get(i).Name(), told)
		}
	}
}
