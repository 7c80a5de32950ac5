package verify_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/blackdice/shipwarden/internal/evidence"
	"github.com/blackdice/shipwarden/internal/reactor"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/validator/verify"
)

// asksFinance is a check that somebody of the group answers.
func asksFinance(r *releasev1.Request) {
	r.Validation.Checks = append(r.Validation.Checks, &releasev1.Check{Name: "ledger", Probe: &releasev1.Check_SignOff{SignOff: &releasev1.SignOffProbe{
		Question: "Do the sums agree?", Groups: []string{"finance"},
	}}})
}

// answer has fay, who is of finance, answer the check.
func (r *rig) answer(t *testing.T, passed bool) {
	t.Helper()
	r.do(t, "", &releasev1.Event{
		Actor: &releasev1.Actor{Id: "fay", Kind: releasev1.Actor_KIND_HUMAN, Method: "mtls", Groups: []string{"finance"}},
		Data: &releasev1.Event_SignedOff{SignedOff: &releasev1.SignedOff{
			Check: "ledger", Number: r.state(t).Verifications + 1, Passed: passed, Comment: "looked",
		}},
	})
}

// atWork is closed when the place is asked for the first time from now on.
func atWork(p *place) <-chan struct{} {
	begun := make(chan struct{})
	var once sync.Once
	p.whenAsked(func() { once.Do(func() { close(begun) }) })
	return begun
}

// timeToAnswer is how long people have: no answer counts that comes later, and slow machines need a
// while between the question and the answer.
const timeToAnswer = 6 * time.Second

// TestAPersonsAnswerIsAPartOfTheVerdict: it is waited for during the bake, read from the history into
// which the verdict goes, and derived again from there. Without it nothing passes.
func TestAPersonsAnswerIsAPartOfTheVerdict(t *testing.T) {
	t.Parallel()
	pass, fail := true, false
	for _, test := range []struct {
		name   string
		answer *bool
		// sick says that another check fails meanwhile.
		sick  bool
		want  releasev1.CheckResult_Verdict
		says  string
		phase procedure.Phase
	}{
		{"passed", &pass, false, releasev1.CheckResult_VERDICT_PASS, "passed by fay: looked", procedure.PhaseRelease},
		{"failed", &fail, false, releasev1.CheckResult_VERDICT_FAIL, "failed by fay: looked", procedure.PhaseRemedy},
		{"nobody answers", nil, false, releasev1.CheckResult_VERDICT_INCONCLUSIVE, "nobody answered", procedure.PhaseRemedy},
		{"passed, and another check fails", &pass, true, releasev1.CheckResult_VERDICT_INCONCLUSIVE, "passed by fay: looked, but the bake ended early", procedure.PhaseRemedy},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			at := newPlace(t, proceduretest.Request().GetArtifacts()[0].GetDigest())
			r := newRig(t, "", map[string]*place{"eu1": at}, bake(timeToAnswer, 100*time.Millisecond), asksFinance)
			r.to(t, procedure.PhaseVerify)
			asked, err := r.turn(t)
			if err != nil || len(asked.GetSignOffWanted().GetChecks()) != 1 || at.count("/digest") > 0 {
				t.Fatalf("asked %v, looked %d times: %v", asked, at.count("/digest"), err)
			}
			history, _ := r.history(t)
			unasked, _ := procedure.Fold(r.id, history.Entries[:len(history.Entries)-1])
			if again := verify.Wanted(r.index(t), unasked, asked.GetDecided().AsTime()); !proto.Equal(again.GetSignOffWanted(), asked.GetSignOffWanted()) {
				t.Errorf("asked again: %v, before %v", again, asked)
			}
			begun := atWork(at)
			type verdict struct {
				event *releasev1.Event
				err   error
			}
			came := make(chan verdict, 1)
			go func() {
				event, err := r.turn(t)
				came <- verdict{event, err}
			}()
			<-begun
			at.whenAsked(nil)
			if test.answer != nil {
				r.answer(t, *test.answer)
			}
			if test.sick {
				at.set(r.asked.GetValidation().GetChecks()[0].GetHttp().GetPath(), true)
			}
			v := <-came
			if v.err != nil {
				t.Fatal(v.err)
			}
			recorded := verification(v.event)
			h, _ := r.history(t)
			last := slices.IndexFunc(h.Entries, func(e procedure.Entry) bool { return e.Event.GetId() == v.event.GetId() })
			before, _ := procedure.Fold(r.id, h.Entries[:last])
			got := results(recorded)["ledger eu1"]
			if got.GetVerdict() != test.want || got.GetReason() != test.says || r.state(t).Phase != test.phase {
				t.Errorf("%s (%s), in phase %s: %s", got.GetVerdict(), got.GetReason(), r.state(t).Phase, recorded.GetReason())
			}
			switch early := test.name == "failed" || test.sick; {
			case early != strings.Contains(recorded.GetReason(), "ended early: check "):
				t.Errorf("ended early: %t, want %t: %s", !early, early, recorded.GetReason())
			case !early && recorded.GetEnded().AsTime().Before(before.SignOffsAsked.Add(timeToAnswer)):
				t.Errorf("it ended at %s, and people were asked at %s", recorded.GetEnded().AsTime(), before.SignOffsAsked)
			}
			samples, err := evidence.New(r.JetStream()).Get(t.Context(), recorded.GetSamples().GetDigest())
			if err != nil {
				t.Fatal(err)
			}
			again, err := verify.Rejudge(r.index(t), before, samples, nil, nil, recorded)
			if err != nil || !proto.Equal(verification(again), recorded) {
				t.Errorf("derived again: %v, %v", again, err)
			}
			// By a history with another answer, or with none, the same samples prove nothing.
			other := before
			other.SignOffs = []procedure.SignOff{{Check: "ledger", Groups: []string{"finance"}, Answer: &procedure.Answer{Person: "gus", Passed: true, Comment: "looked"}}}
			if _, err := verify.Rejudge(r.index(t), other, samples, nil, nil, recorded); err == nil || !strings.Contains(err.Error(), "answered otherwise") {
				t.Errorf("by another answer: %v", err)
			}
		})
	}
}

// TestAValidatorThatTakesOverKnowsWhatWasAnswered: people are asked once, and their answer counts once,
// however often the window is taken over.
func TestAValidatorThatTakesOverKnowsWhatWasAnswered(t *testing.T) {
	t.Parallel()
	at := newPlace(t, proceduretest.Request().GetArtifacts()[0].GetDigest())
	r := newRig(t, "", map[string]*place{"eu1": at}, bake(timeToAnswer, 100*time.Millisecond), asksFinance)
	r.to(t, procedure.PhaseVerify)
	if _, err := r.turn(t); err != nil {
		t.Fatal(err)
	}
	lost, lose := context.WithCancel(t.Context())
	begun, ended := atWork(at), make(chan error, 1)
	go func() {
		h, s := r.history(t)
		_, err := r.step().Act(lost, reactor.Task{State: s, History: h, Cause: h.Entries[len(h.Entries)-1], Delivery: 1, Now: time.Now()})
		ended <- err
	}()
	<-begun
	at.whenAsked(nil)
	r.answer(t, true)
	lose()
	if err := <-ended; err == nil {
		t.Fatal("a validator that was lost has a verdict")
	}
	events := r.state(t).Events
	event, err := r.turn(t)
	if err != nil || event.GetVerificationPassed() == nil {
		t.Fatalf("%v: %v", event, err)
	}
	if s := r.state(t); s.Events != events+1 || s.Phase != procedure.PhaseRelease {
		t.Errorf("%d events more, in phase %s", s.Events-events, s.Phase)
	}
}

// TestPeopleHaveTheTimeThatIsOnRecord: a validator that comes, or comes again, when the time to answer
// is over gives nobody more of it, and says what it sees: that nobody answered.
func TestPeopleHaveTheTimeThatIsOnRecord(t *testing.T) {
	at := newPlace(t, proceduretest.Request().GetArtifacts()[0].GetDigest())
	r := newRig(t, "", map[string]*place{"eu1": at}, bake(time.Second, 100*time.Millisecond), asksFinance)
	r.to(t, procedure.PhaseVerify)
	h, s := r.history(t)
	task := reactor.Task{State: s, History: h, Cause: h.Entries[len(h.Entries)-1], Delivery: 1, Now: time.Now().Add(-5 * time.Second)}
	drafts, err := r.step().Act(t.Context(), task)
	if err != nil || drafts[0].Event.GetSignOffWanted() == nil {
		t.Fatalf("%v: %v", drafts, err)
	}
	r.do(t, "", drafts[0].Event)
	before := r.state(t)
	event, err := r.turn(t)
	if err != nil || event.GetVerificationInconclusive() == nil {
		t.Fatalf("it is too late, and there is no verdict without an answer: %v: %v", event, err)
	}
	if got := results(verification(event))["ledger eu1"]; got.GetReason() != "nobody answered" {
		t.Errorf("%s (%s)", got.GetVerdict(), got.GetReason())
	}
	if after := r.state(t); after.Events != before.Events+1 || after.Phase != procedure.PhaseRemedy {
		t.Errorf("%d events more, in phase %s", after.Events-before.Events, after.Phase)
	}
	fay := &releasev1.Actor{Id: "fay", Kind: releasev1.Actor_KIND_HUMAN, Groups: []string{"finance"}}
	if why := procedure.MaySignOff(before, fay, "ledger", time.Now()); !strings.Contains(why, "it was too late to answer") {
		t.Errorf("after its time: %q", why)
	}
}
