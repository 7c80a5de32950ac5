package escalate_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/approval/approvaltest"
	"github.com/blackdice/shipwarden/services/approval/escalate"
)

func TestMain(m *testing.M) { approvaltest.Main(m) }

// unknown carries a release to where nobody can tell what happened.
func unknown(t *testing.T, r *approvaltest.Rig) string {
	t.Helper()
	release := r.Reach(t, procedure.PhaseExecuting)
	r.Do(t, release, "", proceduretest.Executed(r.State(t, release), map[string]releasev1.TargetResult_Status{"eu1": releasev1.TargetResult_STATUS_UNKNOWN}))
	return release
}

// call lets the step call somebody at that time, and returns what it says.
func call(t *testing.T, r *approvaltest.Rig, s procedure.State, now time.Time) *releasev1.Escalated {
	t.Helper()
	task := r.Task(t, s.Release, now)
	task.State = s
	drafts, err := escalate.New(r.Procedures).Act(t.Context(), task)
	if err != nil || len(drafts) != 1 {
		t.Fatalf("%v, %v", drafts, err)
	}
	return drafts[0].Event.GetEscalated()
}

func TestRungsClimbAndTheLastIsCalledLessAndLessOften(t *testing.T) {
	r := approvaltest.New(t, approvaltest.Document())
	s := r.State(t, unknown(t, r))
	now := time.Now()
	for i, want := range []struct {
		to     string
		within time.Duration
	}{
		{"gina", 10 * time.Minute},
		{"eve", 15 * time.Minute},
		{"eve", 30 * time.Minute},
		{"eve", time.Hour},
		{"eve", 2 * time.Hour},
		{"eve", 4 * time.Hour},
		{"eve", 8 * time.Hour},
		{"eve", 16 * time.Hour},
		{"eve", 24 * time.Hour},
		{"eve", 24 * time.Hour},
	} {
		got := call(t, r, s, now)
		if got.GetRung() != uint32(i+1) || !slices.Contains(got.GetTo(), want.to) || !got.GetAcknowledgeBy().AsTime().Equal(now.Add(want.within)) ||
			got.GetIncident() == "" || !strings.Contains(got.GetSummary(), "outcome unknown: shop 1.4.2 to production") {
			t.Errorf("call %d: %v", i+1, got)
		}
		s.Escalations = slices.Clone(s.Escalations)
		s.Escalations[0].Rung = uint32(i + 1)
	}
	s.Escalations[0].Rung = 1 << 20
	if got := call(t, r, s, now); !got.GetAcknowledgeBy().AsTime().Equal(now.Add(24 * time.Hour)) {
		t.Errorf("after a million calls: %v", got)
	}
}

func TestWhoTakesItOnIsNotCalledAgain(t *testing.T) {
	r := approvaltest.New(t, approvaltest.Document())
	release, step := unknown(t, r), escalate.New(r.Procedures)
	s, err := r.Act(t, step, release, time.Now())
	if err != nil || s.Escalations[0].Rung != 1 || procedure.Due(step.ID, s, time.Now().Add(time.Hour)) {
		t.Fatalf("first call: %+v, %v", s.Escalations, err)
	}
	r.Do(t, release, "gina", proceduretest.Acknowledge(releasev1.Cause_CAUSE_OUTCOME_UNKNOWN))
	s, err = r.Act(t, step, release, time.Now().Add(time.Hour))
	if err != nil || s.Escalations[0].Rung != 1 || s.Escalations[0].AcknowledgedBy != "gina" {
		t.Errorf("after it was taken on: %+v, %v", s.Escalations, err)
	}
}

func TestASummaryFitsIntoAnEvent(t *testing.T) {
	r := approvaltest.New(t, approvaltest.Document())
	s := r.State(t, unknown(t, r))
	s.EndReason = strings.Repeat("ä", 40<<10)
	if got := call(t, r, s, time.Now()); len(got.GetSummary()) > 3000 || !strings.HasSuffix(got.GetSummary(), "…") {
		t.Errorf("%d bytes", len(got.GetSummary()))
	}
}

func TestALargeGroupIsCalledByItsName(t *testing.T) {
	for _, test := range []struct {
		people int
		want   string
	}{{128, "person-0"}, {1000, "operators"}} {
		r := approvaltest.New(t, approvaltest.Document(func(d *policyv1.Procedure) {
			var members []string
			for i := range test.people {
				members = append(members, fmt.Sprint("person-", i))
				d.People = append(d.People, &policyv1.Person{Id: members[i], Name: "Person"})
			}
			d.Groups[slices.IndexFunc(d.GetGroups(), func(g *policyv1.Group) bool { return g.GetName() == "operators" })].Members = members
		}))
		got := call(t, r, r.State(t, unknown(t, r)), time.Now())
		if len(got.GetTo()) > 128 || got.GetTo()[0] != test.want {
			t.Errorf("of %d people %d are named, first %s", test.people, len(got.GetTo()), got.GetTo()[0])
		}
	}
}

// TestWhoIsOnCallIsCalled, with the members of the group, and nobody who is on call later.
func TestWhoIsOnCallIsCalled(t *testing.T) {
	now := time.Now()
	r := approvaltest.New(t, approvaltest.Document(func(d *policyv1.Procedure) {
		d.Groups[4].OnCall = &policyv1.OnCall{Rotas: []*policyv1.Rota{{
			Name: "hourly", People: []string{"finn", "cleo"}, Begin: now.Add(-20 * time.Minute).UTC().Format("2006-01-02T15:04"), Shift: durationpb.New(time.Hour), TimeZone: "UTC",
		}}}
	}))
	s := r.State(t, unknown(t, r))
	for after, want := range map[time.Duration][]string{0: {"finn", "gina"}, time.Hour: {"cleo", "gina"}} {
		if got := call(t, r, s, now.Add(after)); !slices.Equal(got.GetTo(), want) {
			t.Errorf("after %s: called %v, want %v", after, got.GetTo(), want)
		}
	}
}

// TestWhoIsAskedIsCalledFirst, and told until when, and what becomes of it otherwise; afterwards
// it is the turn of the rungs alone.
func TestWhoIsAskedIsCalledFirst(t *testing.T) {
	r := approvaltest.New(t, approvaltest.Document())
	for name, test := range map[string]struct {
		who       releasev1.Remedy_Asked
		otherwise releasev1.Remedy_Action
		to        []string
		says      string
	}{
		"the owner":     {releasev1.Remedy_ASKED_OWNER, releasev1.Remedy_ACTION_ROLL_BACK, []string{"otto", "gina"}, "or it goes back by itself"},
		"the operators": {releasev1.Remedy_ASKED_OPERATORS, releasev1.Remedy_ACTION_ESCALATE, []string{"gina"}, "or the next ones are called"},
		"of no way back": {
			releasev1.Remedy_ASKED_OWNER, releasev1.Remedy_ACTION_ROLL_BACK,
			[]string{"otto", "gina"},
			"or you are called again, because it does not go back by itself: ",
		},
	} {
		t.Run(name, func(t *testing.T) {
			change := func(*releasev1.Request) {}
			if name == "of no way back" {
				change = func(q *releasev1.Request) {
					proceduretest.Irreversible(q)
					q.RollbackPlan.Recovery = "Restore last night's backup."
				}
			}
			s := r.State(t, r.Reach(t, procedure.PhaseVerify, proceduretest.Key(strings.ReplaceAll(name, " ", "-")), change))
			remedy := proceduretest.Ask(15*time.Minute, test.otherwise)
			remedy.Asked = test.who
			r.Do(t, s.Release, "", proceduretest.Prescribed(s, proceduretest.Verified(s, releasev1.CheckResult_VERDICT_FAIL, false), remedy))
			s = r.State(t, s.Release)
			got := call(t, r, s, time.Now())
			if !slices.Equal(got.GetTo(), test.to) || !strings.Contains(got.GetSummary(), "decide by "+s.Question.Until.UTC().Format(time.RFC3339)+", "+test.says) {
				t.Errorf("called %v: %s", got.GetTo(), got.GetSummary())
			}
			s.Question = procedure.Question{}
			if got := call(t, r, s, time.Now()); !slices.Equal(got.GetTo(), []string{"gina"}) || strings.Contains(got.GetSummary(), "decide by") {
				t.Errorf("afterwards called %v: %s", got.GetTo(), got.GetSummary())
			}
		})
	}
}
