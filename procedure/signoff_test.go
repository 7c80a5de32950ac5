package procedure_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// ledger is a check that people answer, for five minutes at most.
var ledger = &releasev1.Check{Name: "ledger", Probe: &releasev1.Check_SignOff{SignOff: &releasev1.SignOffProbe{
	Question: "Do the sums of the ledger agree?", Groups: []string{"finance", "operators"}, Within: durationpb.New(5 * time.Minute),
}}}

// toLedger is a release in step 6 of which people have to answer the check, at the moment when they
// are asked.
func toLedger(t *testing.T, changes ...func(*releasev1.Request)) (*proceduretest.History, procedure.State) {
	t.Helper()
	h := proceduretest.New(proceduretest.Request(append(changes, proceduretest.Waves([]string{"eu1"}, []string{"us1"}), func(r *releasev1.Request) {
		r.Validation.Checks = append(r.Validation.Checks, ledger)
	})...))
	h.To(t, procedure.PhaseVerify)
	return h, h.State()
}

func asks(s procedure.State, now time.Time) *releasev1.Event {
	return procedure.DecideSignOffWanted(s, []*releasev1.Check{ledger}, 10*time.Minute, now)
}

func answer(s procedure.State, passed bool) *releasev1.Event {
	return &releasev1.Event{Data: &releasev1.Event_SignedOff{SignedOff: &releasev1.SignedOff{
		Check: "ledger", Number: s.Verifications + 1, Passed: passed, Comment: "looked",
	}}}
}

// by evolves a state by an event of a person in these groups.
func by(h *proceduretest.History, s procedure.State, person string, groups []string, e *releasev1.Event) (procedure.State, error) {
	entry := h.Next(nil, e)
	if person != "" {
		entry.Event.Actor = &releasev1.Actor{Id: person, Kind: releasev1.Actor_KIND_HUMAN, Method: "mtls", Groups: groups}
	}
	entry.Event.Previous, entry.Sequence = s.Head.Previous(), s.Head.Sequence+1
	return procedure.Evolve(s, entry)
}

// TestWhoseAnswersCount is the whole of a sign-off (PD-6.1): one answer of one of those who are asked,
// to the verification under way, in time; and no other.
func TestWhoseAnswersCount(t *testing.T) {
	t.Parallel()
	finance := []string{"staff", "finance"}
	for _, test := range []struct {
		name   string
		change []func(*releasev1.Request)
		person string
		groups []string
		event  func(s procedure.State) *releasev1.Event
		after  time.Duration
		why    string
	}{
		{"a member", nil, "fay", finance, nil, time.Minute, ""},
		{"a member of another of the groups", nil, "gina", []string{"operators"}, nil, time.Minute, ""},
		{"who is in no group", nil, "rita", []string{"staff"}, nil, time.Minute, "rita is in none of the groups that may sign it off: finance, operators"},
		{"a machine", nil, "", nil, nil, time.Minute, "only a person"},
		{"who asked for it", nil, proceduretest.Request().GetRequester(), finance, nil, time.Minute, "nobody signs off their own change"},
		{"who owns it", nil, proceduretest.Request().GetOwner(), finance, nil, time.Minute, "nobody signs off their own change"},
		{"who owns it, in an emergency", []func(*releasev1.Request){proceduretest.Emergency}, proceduretest.Request().GetOwner(), finance, nil, time.Minute, ""},
		{"to another verification", nil, "fay", finance, func(s procedure.State) *releasev1.Event {
			e := answer(s, true)
			e.GetSignedOff().Number++
			return e
		}, time.Minute, "it answers verification 2, and number 1 is under way"},
		{"of another check", nil, "fay", finance, func(s procedure.State) *releasev1.Event {
			e := answer(s, true)
			e.GetSignedOff().Check = "healthy"
			return e
		}, time.Minute, `check "healthy" asks nobody; people are asked ledger`},
		{"without a word", nil, "fay", finance, func(s procedure.State) *releasev1.Event {
			e := answer(s, true)
			e.GetSignedOff().Comment = " "
			return e
		}, time.Minute, "it does not say what was seen"},
		{"at the last moment", nil, "fay", finance, nil, 5*time.Minute - time.Second, ""},
		{"too late", nil, "fay", finance, nil, 5 * time.Minute, "it was too late to answer"},
	} {
		t.Run(test.name, func(t *testing.T) {
			h, s := toLedger(t, test.change...)
			event := test.event
			if event == nil {
				event = func(s procedure.State) *releasev1.Event { return answer(s, true) }
			}
			if _, err := by(h, s, "fay", finance, event(s)); !errors.Is(err, procedure.ErrInvalidTransition) || !strings.Contains(err.Error(), "nobody is asked to sign anything off, or not yet") {
				t.Errorf("before it was asked: %v", err)
			}
			asked, err := by(h, s, "", nil, asks(s, h.Now))
			if err != nil || asked.Phase != s.Phase || len(procedure.Unanswered(asked)) != 1 || !slices.Contains(procedure.Actions(asked), "sign-off") {
				t.Fatalf("asked, in phase %s, %v: %v", asked.Phase, asked.SignOffs, err)
			}
			h.Now = h.Now.Add(test.after)
			after, err := by(h, asked, test.person, test.groups, event(asked))
			if (err == nil) != (test.why == "") || err != nil && !strings.Contains(err.Error(), test.why) {
				t.Fatalf("got %v, want %q", err, test.why)
			}
			if err != nil {
				return
			}
			a := after.SignOffs[0].Answer
			if a == nil || a.Person != test.person || !a.Passed || a.Comment != "looked" || asked.SignOffs[0].Answer != nil || slices.Contains(procedure.Actions(after), "sign-off") {
				t.Errorf("answered %+v, the state before has %+v", a, asked.SignOffs[0].Answer)
			}
			// It is one answer, however often it is given; a failure takes its place, and stands.
			if _, err := by(h, after, "gus", finance, answer(after, true)); err == nil || !strings.Contains(err.Error(), "it is answered already, by "+test.person) {
				t.Errorf("answered twice: %v", err)
			}
			failed, err := by(h, after, "gus", finance, answer(after, false))
			if err != nil || failed.SignOffs[0].Answer.Passed || failed.SignOffs[0].Answer.Person != "gus" || !after.SignOffs[0].Answer.Passed {
				t.Errorf("failed afterwards: %v", err)
			}
			for _, passed := range []bool{true, false} {
				if _, err := by(h, failed, test.person, test.groups, answer(failed, passed)); err == nil || !strings.Contains(err.Error(), "it is answered already, by gus") {
					t.Errorf("answered after a failure: %v", err)
				}
			}
		})
	}
}

// TestNothingPassesThatAPersonHasToSignOff: whatever the validator says, without the answer, or against
// it, the wave has not passed (PD-6.3); and an answer is about one verification.
func TestNothingPassesThatAPersonHasToSignOff(t *testing.T) {
	t.Parallel()
	finance := []string{"finance"}
	pass := releasev1.CheckResult_VERDICT_PASS
	h, s := toLedger(t)
	refused := func(s procedure.State, why string) {
		t.Helper()
		event := &releasev1.Event{Data: &releasev1.Event_VerificationPassed{VerificationPassed: &releasev1.VerificationPassed{
			Verification: passedAll(s),
		}}}
		if _, err := by(h, s, "", nil, event); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("it passes: %v, want %s", err, why)
		}
		if e := procedure.DecideVerified(s, passedAll(s), false); e.GetVerificationInconclusive().GetVerification().GetReason() != why {
			t.Errorf("decided: %v", e)
		}
	}
	refused(s, "nobody was asked to sign off check ledger")
	step := func(person string, e *releasev1.Event) {
		t.Helper()
		next, err := by(h, s, person, finance, e)
		if err != nil {
			t.Fatal(err)
		}
		s = next
	}
	step("", asks(s, h.Now))
	refused(s, "nobody signed off check ledger")
	failed, err := by(h, s, "fay", finance, answer(s, false))
	if err != nil {
		t.Fatal(err)
	}
	refused(failed, "check ledger was failed by fay")
	step("fay", answer(s, true))
	stale := answer(s, true)
	step("", proceduretest.Verified(s, pass, false))
	if s.Phase != procedure.PhaseExecute || s.Wave != 1 || len(s.SignOffs) > 0 || len(s.Wanted) > 0 {
		t.Errorf("in phase %s of wave %d, asked %v, wanted %v", s.Phase, s.Wave, s.SignOffs, s.Wanted)
	}
	if _, err := by(h, s, "fay", finance, stale); err == nil || !strings.Contains(err.Error(), "no verification is under way") {
		t.Errorf("after the verdict: %v", err)
	}
	// The next wave asks anew, and takes no answer of this one.
	for s.Phase != procedure.PhaseVerify {
		if s.Phase == procedure.PhaseExecute {
			step("", claimOf(s, h.Now))
			continue
		}
		step("", proceduretest.Executed(s, nil))
	}
	step("", asks(s, h.Now))
	if _, err := by(h, s, "fay", finance, stale); err == nil || !strings.Contains(err.Error(), "it answers verification 1, and number 2 is under way") {
		t.Errorf("to the wave before: %v", err)
	}
	if len(procedure.Unanswered(s)) != 1 {
		t.Errorf("answered: %v", s.SignOffs)
	}
}

// passedAll says that everything passed on every target of the wave.
func passedAll(s procedure.State) *releasev1.Verification {
	v := &releasev1.Verification{Wave: s.Wave, Number: s.Verifications + 1, Reason: "all passed"}
	for _, id := range s.WaveTargets() {
		v.Results = append(v.Results, &releasev1.CheckResult{Check: "target.digest", Target: id, Verdict: releasev1.CheckResult_VERDICT_PASS})
		for _, c := range s.Request.GetValidation().GetChecks() {
			v.Results = append(v.Results, &releasev1.CheckResult{Check: c.GetName(), Target: id, Verdict: releasev1.CheckResult_VERDICT_PASS})
		}
	}
	return v
}

// TestPeopleAreAskedOnceInATime: a validator that takes over asks nobody again while it can be answered,
// and asks again where it looks anew because nobody did.
func TestPeopleAreAskedOnceInATime(t *testing.T) {
	t.Parallel()
	h, s := toLedger(t)
	begun := h.Now
	s, err := by(h, s, "", nil, asks(s, h.Now))
	if err != nil || !slices.ContainsFunc(s.Wanted, func(n procedure.Notice) bool {
		return n == procedure.Notice{Occasion: releasev1.Occasion_OCCASION_SIGN_OFF_WANTED, Number: 1}
	}) {
		t.Fatalf("told are %v: %v", s.Wanted, err)
	}
	// Until when it can be answered is said of it, and that nobody is waited for after that.
	last := begun.Add(5*time.Minute - time.Second)
	if len(procedure.Answerable(s, last)) != 1 || len(procedure.Answerable(s, last.Add(time.Second))) != 0 || len(procedure.Unanswered(s)) != 1 {
		t.Errorf("it can be answered in time %v, and too late %v", procedure.Answerable(s, last), procedure.Answerable(s, last.Add(time.Second)))
	}
	for at, want := range map[time.Time]string{
		last:                  "somebody of finance or operators to sign off ledger until ",
		last.Add(time.Second): "the end of the bake, for nobody of finance or operators signed off ledger until ",
	} {
		if got := procedure.Awaited(s, at); len(got) != 1 || !strings.HasPrefix(got[0], want) {
			t.Errorf("at %s it waits for %q", at, got)
		}
	}
	if e := asks(s, begun.Add(5*time.Minute-time.Second)); e != nil {
		t.Errorf("asked again: %v", e)
	}
	again := &releasev1.Event{Data: &releasev1.Event_SignOffWanted{SignOffWanted: &releasev1.SignOffWanted{Number: 1, Checks: []*releasev1.AskedSignOff{{
		Check: "ledger", Groups: []string{"everybody"}, Until: s.Requested.GetStartBy(),
	}}}}}
	if _, err := by(h, s, "", nil, again); err == nil || !strings.Contains(err.Error(), "people are asked already") {
		t.Errorf("other groups meanwhile: %v", err)
	}
	// A validator whose clock is ahead asks again by its own: what it says counts, or it would say it
	// again and again.
	early := asks(s, begun.Add(6*time.Minute))
	early.Decided = timestamppb.New(begun.Add(6 * time.Minute))
	if ahead, err := by(h, s, "", nil, early); err != nil || len(procedure.Unanswered(ahead)) != 1 {
		t.Errorf("asked again by a clock that is ahead: %v", err)
	}
	h.Now = begun.Add(6 * time.Minute)
	event := asks(s, h.Now)
	if event == nil {
		t.Fatal("it was too late, and nobody is asked again")
	}
	if s, err = by(h, s, "", nil, event); err != nil || !s.SignOffs[0].Until.Equal(h.Now.Add(5*time.Minute)) {
		t.Fatalf("asked until %s: %v", s.SignOffs[0].Until, err)
	}
	if s, err = by(h, s, "fay", []string{"finance"}, answer(s, true)); err != nil {
		t.Fatal(err)
	}
	if e := asks(s, h.Now.Add(time.Hour)); e != nil {
		t.Errorf("what is answered is asked again: %v", e)
	}
	none := &releasev1.Check{Name: "healthy", Probe: &releasev1.Check_Tcp{Tcp: &releasev1.TcpProbe{}}}
	if e := procedure.DecideSignOffWanted(h.State(), []*releasev1.Check{none}, time.Minute, h.Now); e != nil {
		t.Errorf("a check that asks nobody: %v", e)
	}
	for name, change := range map[string]func(*releasev1.SignOffWanted){
		"it is of another wave":             func(d *releasev1.SignOffWanted) { d.Number++ },
		"verify: it is of another wave":     func(d *releasev1.SignOffWanted) { d.Wave++ },
		"nothing is asked":                  func(d *releasev1.SignOffWanted) { d.Checks = nil },
		"it does not say who is asked what": func(d *releasev1.SignOffWanted) { d.Checks[0].Groups = nil },
		"check ledger is asked twice":       func(d *releasev1.SignOffWanted) { d.Checks = append(d.Checks, d.GetChecks()[0]) },
	} {
		h, s := toLedger(t)
		event := asks(s, h.Now)
		change(event.GetSignOffWanted())
		if _, err := by(h, s, "", nil, event); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestWhatWasAnsweredStaysAnswered where people are asked again for the sake of another check.
func TestWhatWasAnsweredStaysAnswered(t *testing.T) {
	t.Parallel()
	h, s := toLedger(t)
	other := proto.CloneOf(ledger)
	other.Name = "books"
	both := func() *releasev1.Event {
		return procedure.DecideSignOffWanted(s, []*releasev1.Check{ledger, other}, 10*time.Minute, h.Now)
	}
	s, err := by(h, s, "", nil, both())
	if err != nil {
		t.Fatal(err)
	}
	if s, err = by(h, s, "fay", []string{"finance"}, answer(s, true)); err != nil {
		t.Fatal(err)
	}
	h.Now = h.Now.Add(6 * time.Minute)
	if s, err = by(h, s, "", nil, both()); err != nil {
		t.Fatal(err)
	}
	if left := procedure.Unanswered(s); len(left) != 1 || left[0].Check != "books" {
		t.Errorf("still asked: %v", left)
	}
}
