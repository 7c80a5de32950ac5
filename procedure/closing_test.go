package procedure_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

const invalidated = releasev1.Cause_CAUSE_VALIDATION_FAILED

// goneBack is a release whose validation failed, that somebody took on early, and that went back
// well; of before closing was demanded where that is said.
func goneBack(t *testing.T, before bool) *proceduretest.History {
	t.Helper()
	h := proceduretest.New(proceduretest.Request())
	asked := proceduretest.Requested(h.Asked, h.Now)
	asked.GetRequested().ClosingDemanded = !before
	h.Do(t, "", asked)
	h.To(t, procedure.PhaseVerify)
	h.Do(t, "", proceduretest.Verified(h.State(), releasev1.CheckResult_VERDICT_FAIL, false))
	h.Do(t, "", proceduretest.Escalate(h.State(), h.Now))
	h.Do(t, "eve", proceduretest.Acknowledge(invalidated))
	h.To(t, procedure.PhaseFollowUp)
	for len(h.State().Wanted) > 0 {
		h.Do(t, "", proceduretest.Notify(h.State()))
	}
	return h
}

// TestToTakeAnIncidentOnDoesNotEndIt, however well the way back went: a person ends it, with a
// reason. Histories of before that was demanded fold as they did, to their end.
func TestToTakeAnIncidentOnDoesNotEndIt(t *testing.T) {
	if s := goneBack(t, true).State(); s.Phase != procedure.PhaseClosed || len(procedure.Unclosed(s)) > 0 || procedure.MayClose(s) {
		t.Errorf("of before: phase %s, open of %v", s.Phase, procedure.Unclosed(s))
	}
	h := goneBack(t, false)
	if s := h.State(); s.Phase != procedure.PhaseFollowUp || !slices.Equal(procedure.Unclosed(s), []releasev1.Cause{invalidated}) || !slices.Contains(procedure.Actions(s), "close-incident") {
		t.Fatalf("phase %s, open of %v, and people can %v", s.Phase, procedure.Unclosed(s), procedure.Actions(s))
	}
	h.Do(t, "anna", proceduretest.CloseIncident(h.State()))
	if s := h.State(); s.Phase != procedure.PhaseClosed || s.Escalations[0].AcknowledgedBy != "eve" || s.Escalations[0].ClosedBy != "anna" || slices.Contains(procedure.Actions(s), "close-incident") {
		t.Errorf("closed: phase %s, %+v", s.Phase, s.Escalations[0])
	}
}

// TestWhatDoesNotCloseAnIncident is refused, and leaves it open.
func TestWhatDoesNotCloseAnIncident(t *testing.T) {
	closing := func(change func(*releasev1.IncidentClosed)) func(procedure.State) *releasev1.Event {
		return func(s procedure.State) *releasev1.Event {
			e := proto.CloneOf(proceduretest.CloseIncident(s))
			if change != nil {
				change(e.GetIncidentClosed())
			}
			return e
		}
	}
	for name, c := range map[string]struct {
		by   *releasev1.Actor
		what func(procedure.State) *releasev1.Event
		want string
	}{
		"a machine":                   {proceduretest.Service("approval"), closing(nil), "only a person"},
		"nobody":                      {nil, closing(nil), "only a person"},
		"without a reason":            {proceduretest.Person("eve"), closing(func(d *releasev1.IncidentClosed) { d.Reason = " \t\n" }), "names no reason"},
		"of less than there is":       {proceduretest.Person("eve"), closing(func(d *releasev1.IncidentClosed) { d.Causes = nil }), "does not end what people were called for"},
		"of more than there is":       {proceduretest.Person("eve"), closing(func(d *releasev1.IncidentClosed) { d.Causes = append(d.Causes, releasev1.Cause_CAUSE_STEP_OVERDUE) }), "does not end what people were called for"},
		"to take on what is taken on": {proceduretest.Person("eve"), func(procedure.State) *releasev1.Event { return proceduretest.Acknowledge(invalidated) }, "no open escalation"},
		"to decide about what is over": {proceduretest.Person("eve"), func(procedure.State) *releasev1.Event {
			return proceduretest.Intervene(releasev1.Intervened_ACTION_ACCEPT)
		}, "not possible here"},
	} {
		h := goneBack(t, false)
		err := h.Store(h.Next(c.by, c.what(h.State())))
		if err == nil || !strings.Contains(err.Error(), c.want) || len(procedure.Unclosed(h.State())) != 1 {
			t.Errorf("%s: %v, open of %v", name, err, procedure.Unclosed(h.State()))
		}
	}
}

// TestNothingIsClosedBeforeTheReleaseIsOver: nobody knows yet how it ends.
func TestNothingIsClosedBeforeTheReleaseIsOver(t *testing.T) {
	h := proceduretest.New(proceduretest.Request())
	h.To(t, procedure.PhaseRemedy)
	for _, phase := range []procedure.Phase{procedure.PhaseRemedy, procedure.PhaseRollingBack, procedure.PhaseVerifyRollback} {
		h.To(t, phase)
		err := h.Store(h.Next(proceduretest.Person("eve"), proceduretest.CloseIncident(h.State())))
		if err == nil || !strings.Contains(err.Error(), "the release is not over") || procedure.MayClose(h.State()) {
			t.Errorf("phase %s: %v", phase, err)
		}
	}
	h.To(t, procedure.PhaseRelease)
	h.Do(t, "eve", proceduretest.CloseIncident(h.State()))
	if s := h.State(); s.Phase != procedure.PhaseRelease || len(procedure.Unclosed(s))+len(s.OpenEscalations()) > 0 {
		t.Errorf("phase %s, open of %v, called for %v", s.Phase, procedure.Unclosed(s), s.OpenEscalations())
	}
}

// TestADecisionThatEndsTheReleaseClosesItsIncident, and one that has it go on does not.
func TestADecisionThatEndsTheReleaseClosesItsIncident(t *testing.T) {
	for action, closes := range map[releasev1.Intervened_Action]bool{
		releasev1.Intervened_ACTION_ACCEPT: true, releasev1.Intervened_ACTION_RETRY: false,
		releasev1.Intervened_ACTION_ROLL_BACK: false, releasev1.Intervened_ACTION_CONFIRM_DONE: false,
	} {
		h := proceduretest.New(proceduretest.Request())
		h.To(t, procedure.PhaseEscalated)
		h.Do(t, "eve", proceduretest.Intervene(action))
		h.To(t, procedure.PhaseFollowUp)
		if s := h.State(); (len(procedure.Unclosed(s)) == 0) != closes || len(s.OpenEscalations()) > 0 {
			t.Errorf("%s: open of %v, called for %v", action, procedure.Unclosed(s), s.OpenEscalations())
		}
	}
}

// TestOfTwoWhoCloseOneIsFirst: the other one's word is of a head that is none any more; and said
// once more it ends nothing.
func TestOfTwoWhoCloseOneIsFirst(t *testing.T) {
	h := goneBack(t, false)
	first, second := h.Next(proceduretest.Person("eve"), proceduretest.CloseIncident(h.State())), h.Next(proceduretest.Person("anna"), proceduretest.CloseIncident(h.State()))
	if err := h.Store(first); err != nil {
		t.Fatal(err)
	}
	second.Sequence++
	if err := h.Store(second); err == nil || h.State().Escalations[0].ClosedBy != "eve" {
		t.Errorf("%v, closed by %s", err, h.State().Escalations[0].ClosedBy)
	}
	if err := h.Store(first); err == nil {
		t.Error("the same event counts twice")
	}
	again := &releasev1.Event{Data: &releasev1.Event_IncidentClosed{IncidentClosed: &releasev1.IncidentClosed{Reason: "once more", Causes: []releasev1.Cause{invalidated}}}}
	if err := h.Store(h.Next(proceduretest.Person("anna"), again)); err == nil || !strings.Contains(err.Error(), "no incident of it is open") {
		t.Errorf("closed once more: %v", err)
	}
}

// TestWhatIsSeenMeanwhileIsNotClosed: whoever closes an incident ends what they have seen. What
// people see afterwards is another one.
func TestWhatIsSeenMeanwhileIsNotClosed(t *testing.T) {
	h := goneBack(t, false)
	closing := proceduretest.CloseIncident(h.State())
	h.Do(t, "rita", proceduretest.Impact())
	err := h.Store(h.Next(proceduretest.Person("eve"), closing))
	if err == nil || !strings.Contains(err.Error(), "does not end what people were called for") {
		t.Errorf("%v", err)
	}
	h.Do(t, "eve", proceduretest.CloseIncident(h.State()))
	if s := h.State(); len(procedure.Unclosed(s))+len(s.OpenEscalations()) > 0 || s.Escalations[1].AcknowledgedBy != "eve" {
		t.Errorf("open of %v, %+v", procedure.Unclosed(s), s.Escalations)
	}

	h = proceduretest.New(proceduretest.Request())
	h.To(t, procedure.PhaseRemedy)
	h.To(t, procedure.PhaseRelease)
	h.Do(t, "eve", proceduretest.CloseIncident(h.State()))
	h.Do(t, "rita", proceduretest.Impact())
	if open := procedure.Unclosed(h.State()); !slices.Equal(open, []releasev1.Cause{releasev1.Cause_CAUSE_UNEXPECTED_IMPACT}) {
		t.Errorf("seen once more: open of %v", open)
	}
}

// TestAnIncidentThatNobodyClosesCallsPeopleAgain after as long as they have to decide, and again:
// it holds other releases, and nobody else remembers it.
func TestAnIncidentThatNobodyClosesCallsPeopleAgain(t *testing.T) {
	unclosed := releasev1.Cause_CAUSE_INCIDENT_UNCLOSED
	for round := range 2 {
		h := goneBack(t, false)
		for range round + 1 {
			d, ok := procedure.NextDeadline(h.State())
			if !ok || d.Kind != releasev1.Deadline_DEADLINE_DECISION {
				t.Fatalf("the next deadline is %+v", d)
			}
			h.Advance(d.At.Sub(h.Now) + time.Second)
			h.Do(t, "", procedure.DecideDeadline(h.State(), h.Now))
			if open := h.State().OpenEscalations(); !slices.Equal(open, []releasev1.Cause{unclosed}) {
				t.Fatalf("called for %v", open)
			}
			if _, open := procedure.OpenIncident(h.State(), nil, true); open {
				t.Error("that nobody closes it is taken for another incident")
			}
			h.Do(t, "", proceduretest.Escalate(h.State(), h.Now))
			if round == 1 {
				h.Do(t, "eve", proceduretest.Acknowledge(unclosed))
			}
			for len(h.State().Wanted) > 0 {
				h.Do(t, "", proceduretest.Notify(h.State()))
			}
		}
		h.Do(t, "anna", proceduretest.CloseIncident(h.State()))
		if s := h.State(); len(s.OpenEscalations())+len(procedure.Unclosed(s)) > 0 {
			t.Errorf("called for %v, open of %v", s.OpenEscalations(), procedure.Unclosed(s))
		}
	}
}

// TestWhatDamagedNothingNeedsNoClosing: it ends when somebody takes it on, and is none either when
// something begins afterwards.
func TestWhatDamagedNothingNeedsNoClosing(t *testing.T) {
	h := proceduretest.New(proceduretest.Request(proceduretest.Irreversible))
	h.To(t, procedure.PhaseExecuting)
	h.Do(t, "", proceduretest.Executed(h.State(), map[string]releasev1.TargetResult_Status{"eu1": releasev1.TargetResult_STATUS_SKIPPED}))
	h.To(t, procedure.PhaseEscalated)
	h.Do(t, "eve", proceduretest.Intervene(releasev1.Intervened_ACTION_RETRY))
	h.To(t, procedure.PhaseClosed)
	s := h.State()
	if len(s.Escalations) == 0 || len(s.Begun) == 0 || len(procedure.Unclosed(s)) > 0 {
		t.Errorf("%+v, begun on %v, open of %v", s.Escalations, s.Begun, procedure.Unclosed(s))
	}
}

// TestWhoeverWasCalledIsToldOfTheClosing, also where the word that somebody has taken it on still
// has to be told.
func TestWhoeverWasCalledIsToldOfTheClosing(t *testing.T) {
	h := proceduretest.New(proceduretest.Request())
	h.To(t, procedure.PhaseVerify)
	h.Do(t, "", proceduretest.Verified(h.State(), releasev1.CheckResult_VERDICT_FAIL, false))
	h.Do(t, "", proceduretest.Escalate(h.State(), h.Now))
	for len(h.State().Wanted) > 0 {
		h.Do(t, "", proceduretest.NotifyFollowed(h.State()))
	}
	h.To(t, procedure.PhaseRecord)
	h.Do(t, "eve", proceduretest.Acknowledge(invalidated))
	h.Do(t, "anna", proceduretest.CloseIncident(h.State()))
	var told []uint32
	for _, n := range h.State().Wanted {
		if n.Occasion == releasev1.Occasion_OCCASION_TAKEN_ON {
			told = append(told, n.Number)
		}
	}
	if want := []uint32{uint32(invalidated)*1000 + 1, uint32(invalidated)*1000 + 501}; !slices.Equal(told, want) {
		t.Errorf("told %v, want %v", told, want)
	}
}

// TestTheEndOfACallIsToldWhereTheCallIsUnderWay: somebody takes it on, or closes the incident, between
// the call and that it is on record who was told; or when the next rung was called and the one before
// has been told. In releases of before closing was demanded it is not, as it was then.
func TestTheEndOfACallIsToldWhereTheCallIsUnderWay(t *testing.T) {
	number := uint32(releasev1.Cause_CAUSE_UNEXPECTED_IMPACT)*1000 + 1
	for name, c := range map[string]struct {
		before, told bool
		end          func(procedure.State) *releasev1.Event
		want         []uint32
	}{
		"closed":                                 {end: proceduretest.CloseIncident, want: []uint32{number + 500}},
		"closed, and the rung before was told":   {told: true, end: proceduretest.CloseIncident, want: []uint32{number + 501}},
		"taken on":                               {end: takeOn, want: []uint32{number}},
		"taken on, and the rung before was told": {told: true, end: takeOn, want: []uint32{number + 1}},
		"of before, taken on":                    {before: true, end: takeOn},
	} {
		h := proceduretest.New(proceduretest.Request())
		asked := proceduretest.Requested(h.Asked, h.Now)
		asked.GetRequested().ClosingDemanded = !c.before
		h.Do(t, "", asked)
		h.To(t, procedure.PhaseRecord)
		h.Do(t, "rita", proceduretest.Impact())
		h.Do(t, "", proceduretest.Escalate(h.State(), h.Now))
		if c.told {
			for len(h.State().Wanted) > 0 {
				h.Do(t, "", proceduretest.NotifyFollowed(h.State()))
			}
			for h.State().Escalations[0].Rung < 2 {
				if d := procedure.DecideDeadline(h.State(), h.Now); d != nil {
					h.Do(t, "", d)
				} else if len(procedure.DueCalls(h.State())) > 0 {
					h.Do(t, "", proceduretest.Escalate(h.State(), h.Now))
				} else {
					next, _ := procedure.NextDeadline(h.State())
					h.Advance(next.At.Sub(h.Now))
				}
			}
		}
		h.Do(t, "eve", c.end(h.State()))
		var got []uint32
		for _, n := range h.State().Wanted {
			if n.Occasion == releasev1.Occasion_OCCASION_TAKEN_ON && n.Number/1000 == number/1000 {
				got = append(got, n.Number)
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: the end is told as %v, want %v", name, got, c.want)
		}
	}
}

func takeOn(procedure.State) *releasev1.Event {
	return proceduretest.Acknowledge(releasev1.Cause_CAUSE_UNEXPECTED_IMPACT)
}
