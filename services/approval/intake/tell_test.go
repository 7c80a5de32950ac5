package intake_test

import (
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/reactor"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/approval/intake"
)

// tell lets the second answer be given for what happened to the release last, and
// returns everything that is kept on its subject then.
func (r *rig) tell(t *testing.T, task reactor.Task) []*releasev1.Answer {
	t.Helper()
	drafts, err := intake.NewTeller(intake.NewBoard(r.JetStream())).Act(t.Context(), task)
	if err != nil || len(drafts) > 0 {
		t.Fatal(drafts, err)
	}
	return r.answers(t, answerTo+"ci-4711.change")
}

// answers are those that a late reader finds on the subject.
func (r *rig) answers(t *testing.T, on string) []*releasev1.Answer {
	t.Helper()
	stream, err := r.JetStream().Stream(t.Context(), eventstore.StreamAnswers)
	if err != nil {
		t.Fatal(err)
	}
	var all []*releasev1.Answer
	for from := uint64(1); ; {
		m, err := stream.GetMsg(t.Context(), from, jetstream.WithGetMsgSubject(on))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		a := &releasev1.Answer{}
		if err := protojson.Unmarshal(m.Data, a); err != nil {
			t.Fatal(err)
		}
		all, from = append(all, a), m.Sequence+1
	}
}

func TestTheRequesterIsToldOfTheChangeWhenItIsFixed(t *testing.T) {
	r := newRig(t)
	first := r.ask(t)
	if first.GetChangeDigest() != "" {
		t.Errorf("a change before anybody looked: %v", first)
	}
	release := first.GetRelease()
	s := r.To(t, release, procedure.PhaseApprove)
	task := r.Task(t, release, time.Now())
	if !procedure.Due(procedure.StepAnswer, s, task.Now) || procedure.TypeOf(task.Cause.Event) != "risk_cleared" {
		t.Fatal("nothing is to be told")
	}
	want := &releasev1.Answer{
		Outcome: releasev1.Answer_OUTCOME_CHANGE_FIXED, Release: release, ChangeDigest: s.ChangeDigest,
		RequestDigest: first.GetRequestDigest(), IdempotencyKey: "ci-4711", ProcedureDigest: r.Digest,
	}
	// The process ends after it has told and before it has acknowledged: it comes again,
	// also when the release has gone on and ended meanwhile.
	r.tell(t, task)
	r.tell(t, task)
	cause := task.Cause
	r.Do(t, release, "rita", &releasev1.Event{Data: &releasev1.Event_Withdrawn{Withdrawn: &releasev1.Withdrawn{Reason: "not today"}}})
	task = r.Task(t, release, time.Now())
	ended := task.Cause
	task.Cause = cause
	r.tell(t, task)
	task.Cause = ended // Of this the requester is told nothing: the change is what was promised.
	got := r.tell(t, task)
	if len(got) != 1 {
		t.Fatalf("told %d times: %v", len(got), got)
	}
	if !got[0].GetTime().AsTime().Equal(cause.Stored) {
		t.Errorf("at %s, want %s", got[0].GetTime().AsTime(), cause.Stored)
	}
	got[0].Time = nil
	if !proto.Equal(got[0], want) {
		t.Errorf("told %v\nwant %v", got[0], want)
	}
	// Who reads the first answer's subject still finds the first answer last.
	if all := r.answers(t, answerTo+"ci-4711"); len(all) != 1 || all[0].GetOutcome() != accepted {
		t.Errorf("answers to the request: %v", all)
	}
	// Who asks again is told with the answer.
	if again := r.ask(t); again.GetOutcome() != repeated || again.GetChangeDigest() != s.ChangeDigest {
		t.Errorf("asked again: %v", again)
	}
}

func TestTheRequesterIsToldWhenThereWillBeNoChange(t *testing.T) {
	for name, end := range map[string]struct {
		person string
		event  func(s procedure.State) *releasev1.Event
	}{
		"refused at step 1": {"", func(s procedure.State) *releasev1.Event { return proceduretest.Gates(s, "tests") }},
		"withdrawn": {"rita", func(procedure.State) *releasev1.Event {
			return &releasev1.Event{Data: &releasev1.Event_Withdrawn{Withdrawn: &releasev1.Withdrawn{Reason: "not today"}}}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			release := r.ask(t).GetRelease()
			if procedure.Due(procedure.StepAnswer, r.State(t, release), time.Now()) {
				t.Error("there is something to tell before anything happened")
			}
			s := r.Do(t, release, end.person, end.event(r.State(t, release)))
			got := r.tell(t, r.Task(t, release, time.Now()))
			if len(got) != 1 || got[0].GetOutcome() != releasev1.Answer_OUTCOME_ENDED || got[0].GetRelease() != release ||
				got[0].GetReason() == "" || got[0].GetReason() != s.EndReason || got[0].GetChangeDigest() != "" {
				t.Errorf("told %v, want that it ended: %s", got, s.EndReason)
			}
		})
	}
}

// TestNobodyIsToldOfWhatIsLongPast: a consumer that is new begins with the first event
// that there ever was.
func TestNobodyIsToldOfWhatIsLongPast(t *testing.T) {
	r := newRig(t)
	release := r.ask(t).GetRelease()
	r.To(t, release, procedure.PhaseApprove)
	week := 7 * 24 * time.Hour
	task := r.Task(t, release, time.Time{})
	task.Now = task.Cause.Stored.Add(week + 1)
	if got := r.tell(t, task); len(got) != 0 {
		t.Errorf("told %v", got)
	}
	task.Now = task.Cause.Stored.Add(week)
	if got := r.tell(t, task); len(got) != 1 {
		t.Errorf("told %v", got)
	}
}

// TestAnEventThatDoesNotCountTellsNothing: the change is that of the release, whoever
// says another one.
func TestAnEventThatDoesNotCountTellsNothing(t *testing.T) {
	r := newRig(t)
	release := r.ask(t).GetRelease()
	r.To(t, release, procedure.PhaseApprove)
	task := r.Task(t, release, time.Now())
	task.Cause.Event = proto.CloneOf(task.Cause.Event)
	task.Cause.Event.GetRiskCleared().ChangeDigest = proceduretest.Digest('0')
	if got := r.tell(t, task); len(got) != 0 {
		t.Errorf("told %v", got)
	}
}
