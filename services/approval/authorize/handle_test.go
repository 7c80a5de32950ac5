package authorize_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/approval/approvaltest"
	"github.com/blackdice/shipwarden/services/approval/authorize"
)

// handedOver is a document of later: Gina, Eve and Otto have left, and Mallory, whom the one before
// does not know, operates, is on the ladder and reviews emergencies, and so does Finn.
func handedOver(d *policyv1.Procedure) {
	d.Version = "2.0"
	left := []string{"gina", "eve", "otto"}
	for _, p := range d.GetPeople() {
		p.Inactive = p.GetInactive() || slices.Contains(left, p.GetId())
	}
	d.People = append(d.GetPeople(), &policyv1.Person{Id: "mallory", Name: "Mallory"})
	for _, g := range d.GetGroups() {
		g.Members = slices.DeleteFunc(g.GetMembers(), func(m string) bool { return slices.Contains(left, m) })
		if g.GetName() == "operators" || g.GetName() == "incident-commanders" || g.GetName() == "security" {
			g.Members = append(g.Members, "mallory", "finn")
		}
	}
}

// TestAnIncidentWhosePeopleHaveLeftIsClosed by people whom the document in effect names, whether that
// of the release knows them or not; and the event names the document that says so. People of the
// release's own who are still there may, too, and nobody whom neither lets.
func TestAnIncidentWhosePeopleHaveLeftIsClosed(t *testing.T) {
	r := newRig(t)
	desk := r.dial(t)
	var releases []string
	for _, k := range []string{"mallory", "finn", "neither", "before"} {
		releases = append(releases, r.wentBack(t, "left-"+k))
	}
	own := r.Digest
	if _, err := desk.CloseIncident(as(t, "gina"), closing(releases[3])); err != nil {
		t.Fatal(err)
	}
	if by := r.newest(t, releases[3]).GetActor().GetProcedureDigest(); by != own {
		t.Errorf("by the release's own: judged by %s, want %s", by, own)
	}
	_, err := desk.CloseIncident(as(t, "mallory"), closing(releases[0]))
	want(t, "before the document knows them", err, codes.PermissionDenied, "UNKNOWN_PERSON")

	r.Activate(t, approvaltest.Document(handedOver))
	for i, person := range []string{"mallory", "finn"} {
		if _, err := desk.CloseIncident(as(t, person), closing(releases[i])); err != nil {
			t.Errorf("%s: %v", person, err)
			continue
		}
		e, s := r.newest(t, releases[i]), r.State(t, releases[i])
		if a := e.GetActor(); a.GetId() != person || a.GetProcedureDigest() != r.Digest || e.GetProcedureDigest() != own || len(procedure.Unclosed(s)) > 0 {
			t.Errorf("%s: %v under %s, open of %v", person, a, e.GetProcedureDigest(), procedure.Unclosed(s))
		}
	}
	before := len(r.Events(t, releases[2]))
	for person, c := range map[string]struct{ reason, says string }{
		"gina":   {"INACTIVE_PERSON", "has left"},
		"hugo":   {"INACTIVE_PERSON", "has left"},
		"ci-bot": {"MACHINE", ""},
		"anna":   {"NOT_ALLOWED", "(operators_group)"},
	} {
		_, err := desk.CloseIncident(as(t, person), closing(releases[2]))
		want(t, person, err, codes.PermissionDenied, c.reason)
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v does not say %s", person, err, c.says)
		}
	}
	r.Activate(t, approvaltest.Document(func(d *policyv1.Procedure) { d.Version = "3.0" }))
	_, err = desk.CloseIncident(as(t, "mallory"), closing(releases[2]))
	want(t, "whom neither knows", err, codes.PermissionDenied, "UNKNOWN_PERSON")
	if err != nil && !strings.Contains(err.Error(), "people") {
		t.Errorf("%v does not name the field", err)
	}
	if after := len(r.Events(t, releases[2])); after != before || len(procedure.Unclosed(r.State(t, releases[2]))) != 1 {
		t.Errorf("%d events of what was refused", after-before)
	}
}

// TestWhoIsOperatorNowHandlesWhatTheirPredecessorsBegan: takes its call on, decides about it and looks
// at it; and approves nothing of it, which is for its own document to say.
func TestWhoIsOperatorNowHandlesWhatTheirPredecessorsBegan(t *testing.T) {
	r := newRig(t)
	desk := r.dial(t)
	release, waits := r.unknown(t, "predecessors"), r.pending(t, key("waits"))
	r.Activate(t, approvaltest.Document(handedOver))
	told, err := desk.Explain(as(t, "mallory"), &approvalv1.ExplainRequest{Release: release})
	if err != nil {
		t.Fatal(err)
	}
	steps := told.GetOutlook().GetSteps()
	i := slices.IndexFunc(steps, func(o *approvalv1.OutlookStep) bool { return o.GetNumber() == "7" })
	if i < 0 || !slices.Equal(steps[i].GetWho(), []string{"finn", "mallory"}) {
		t.Errorf("who can decide is said to be %v", steps)
	}
	if _, err := desk.Acknowledge(as(t, "mallory"), &approvalv1.AcknowledgeRequest{Release: release, Comment: "mine"}); err != nil {
		t.Error(err)
	}
	if _, err := desk.Intervene(as(t, "mallory"), &approvalv1.InterveneRequest{
		Release: release, Action: releasev1.Intervened_ACTION_ACCEPT, Reason: "it runs",
	}); err != nil {
		t.Error(err)
	}
	if s := r.State(t, release); len(procedure.Unclosed(s)) > 0 || s.EndedBy != "mallory" {
		t.Errorf("ended by %q, open of %v", s.EndedBy, procedure.Unclosed(s))
	}
	_, err = desk.Approve(as(t, "mallory"), approve(waits))
	want(t, "an approval", err, codes.PermissionDenied, "UNKNOWN_PERSON")
}

// TestWhoIsOperatorNowStopsAndFinishesWhatTheirPredecessorsBegan: pauses, resumes and aborts it, and
// closes what is to be done after it; and nobody does whom neither document lets.
func TestWhoIsOperatorNowStopsAndFinishesWhatTheirPredecessorsBegan(t *testing.T) {
	r := newRig(t)
	desk := r.dial(t)
	running, over := r.Reach(t, procedure.PhaseExecuting, key("running")), r.Reach(t, procedure.PhaseRecord, key("over"))
	r.close(t, over)
	if _, err := desk.AddFollowUp(as(t, "otto"), agreed(over, "otto")); err != nil {
		t.Fatal(err)
	}
	r.Activate(t, approvaltest.Document(handedOver, func(d *policyv1.Procedure) {
		for _, g := range d.GetGroups() {
			g.Members = slices.DeleteFunc(g.GetMembers(), func(m string) bool { return m == "finn" }) // who was in none
		}
	}))
	for _, call := range []struct {
		name, release string
		do            func(person string) error
		done          func(procedure.State) bool
	}{
		{"pause", running, func(p string) error {
			_, err := desk.Pause(as(t, p), &approvalv1.PauseRequest{Release: running, Reason: "a customer calls"})
			return err
		}, func(s procedure.State) bool { return s.Pause.Person == "mallory" }},
		{"resume", running, func(p string) error {
			_, err := desk.Resume(as(t, p), &approvalv1.ResumeRequest{Release: running, Reason: "it was fog"})
			return err
		}, func(s procedure.State) bool { return !s.Paused() }},
		{"abort", running, func(p string) error {
			_, err := desk.Abort(as(t, p), &approvalv1.AbortRequest{Release: running, Reason: "it was none"})
			return err
		}, func(s procedure.State) bool { return s.AbortBy == "mallory" }},
		{"close what is to be done", over, func(p string) error {
			_, err := desk.CloseFollowUp(as(t, p), &approvalv1.CloseFollowUpRequest{Release: over, Number: 1, Comment: "done"})
			return err
		}, func(s procedure.State) bool { return s.OpenFollowUps() == 0 && s.FollowUps[0].ClosedBy == "mallory" }},
	} {
		want(t, call.name+" by who has left", call.do("otto"), codes.PermissionDenied, "INACTIVE_PERSON")
		want(t, call.name+" by whom neither lets", call.do("finn"), codes.PermissionDenied, "NOT_ALLOWED")
		if err := call.do("mallory"); err != nil || !call.done(r.State(t, call.release)) {
			t.Errorf("%s: %v", call.name, err)
		}
		if a := r.newest(t, call.release).GetActor(); a.GetId() != "mallory" || a.GetProcedureDigest() != r.Digest {
			t.Errorf("%s: by %v, want mallory by %s", call.name, a, r.Digest)
		}
	}
}

// TestNobodyReviewsTheirOwnEmergencyByAnotherDocument: who has a part in it by the accounts that either
// document knows has one, also where the newer one says that the account is somebody else's; a
// machine of one document is none of the people of the other.
func TestNobodyReviewsTheirOwnEmergencyByAnotherDocument(t *testing.T) {
	r := newRig(t, func(d *policyv1.Procedure) {
		for _, p := range d.GetPeople() {
			if p.GetId() == "rita" {
				p.Aliases = append(p.GetAliases(), "mallory") // who asks for it
			}
		}
	})
	desk := r.dial(t)
	release := r.Reach(t, procedure.PhaseApprove, proceduretest.Emergency)
	r.Do(t, release, "eve", proceduretest.Approval(r.State(t, release), r.State(t, release).Entered.Add(1<<40)))
	r.To(t, release, procedure.PhaseFollowUp)
	r.Activate(t, approvaltest.Document(handedOver, func(d *policyv1.Procedure) {
		d.People = slices.DeleteFunc(d.GetPeople(), func(p *policyv1.Person) bool { return p.GetId() == "ci-bot" })
		d.People = append(d.GetPeople(), &policyv1.Person{Id: "ci-bot", Name: "Not a pipeline any more"})
		for _, g := range d.GetGroups() {
			if g.GetName() == "security" || g.GetName() == "operators" {
				g.Members = append(g.Members, "ci-bot")
			}
		}
	}))
	_, err := desk.CompleteReview(as(t, "mallory"), review(release))
	want(t, "who asked, by another account", err, codes.PermissionDenied, "NOT_ALLOWED")
	_, err = desk.CompleteReview(as(t, "ci-bot"), review(release))
	want(t, "a machine of the release's document", err, codes.PermissionDenied, "MACHINE")
	if _, err := desk.CompleteReview(as(t, "finn"), review(release)); err != nil {
		t.Error(err)
	}
	if a := r.newest(t, release).GetActor(); a.GetId() != "finn" || a.GetProcedureDigest() != r.Digest {
		t.Errorf("reviewed by %v", a)
	}
	// What is to be done is for people who are there to do it.
	due := timestamppb.New(r.State(t, release).Entered.Add(24 * time.Hour))
	for _, by := range []string{"finn", "ben"} {
		for owner, reason := range map[string]string{"mallory": "", "gina": "INVALID_FIELD"} {
			_, err := desk.AddFollowUp(as(t, by), &approvalv1.AddFollowUpRequest{
				Release: release, FollowUp: &releasev1.FollowUp{Action: "Write it down", Owner: owner, Due: due},
			})
			if reason == "" && err != nil {
				t.Errorf("a follow-up of %s for %s: %v", by, owner, err)
			}
			if reason != "" {
				want(t, "a follow-up of "+by+" for "+owner, err, codes.InvalidArgument, reason)
			}
		}
	}
}

// TestWhoClosesIsJudgedByTheNewestDocumentOfTheirLook: where others write meanwhile, it is judged anew
// by the one that has taken effect; and where nobody does it stands, under the one that it names.
func TestWhoClosesIsJudgedByTheNewestDocumentOfTheirLook(t *testing.T) {
	r := newRig(t)
	written, alone := r.wentBack(t, "written"), r.wentBack(t, "alone")
	r.Activate(t, approvaltest.Document(handedOver))
	then := r.Digest
	_, err := r.slow(func() {
		r.Activate(t, approvaltest.Document(func(d *policyv1.Procedure) { d.Version = "3.0" }))
	}).CloseIncident(known(t, "mallory"), closing(alone))
	if a := r.newest(t, alone).GetActor(); err != nil || a.GetProcedureDigest() != then {
		t.Errorf("nothing was written: %v, judged by %s, want %s", err, a.GetProcedureDigest(), then)
	}
	r.Activate(t, approvaltest.Document(handedOver, func(d *policyv1.Procedure) { d.Version = "4.0" }))
	_, err = r.slow(func() {
		r.Do(t, written, "", proceduretest.Notify(r.State(t, written)))
		r.Activate(t, approvaltest.Document(func(d *policyv1.Procedure) { d.Version = "5.0" }))
	}).CloseIncident(known(t, "mallory"), closing(written))
	want(t, "with another document since", err, codes.PermissionDenied, "UNKNOWN_PERSON")
	if s := r.State(t, written); len(procedure.Unclosed(s)) != 1 {
		t.Errorf("open of %v", procedure.Unclosed(s))
	}
}

// TestWhoStopsIsJudgedByTheNewestDocumentOfTheirLook, as who closes is.
func TestWhoStopsIsJudgedByTheNewestDocumentOfTheirLook(t *testing.T) {
	r := newRig(t)
	for name, call := range map[string]struct {
		paused bool // before
		do     func(desk *authorize.Server, release string) error
	}{
		"pause": {false, func(desk *authorize.Server, release string) error {
			_, err := desk.Pause(known(t, "mallory"), &approvalv1.PauseRequest{Release: release, Reason: "a customer calls"})
			return err
		}},
		"resume": {true, func(desk *authorize.Server, release string) error {
			_, err := desk.Resume(known(t, "mallory"), &approvalv1.ResumeRequest{Release: release, Reason: "it was fog"})
			return err
		}},
		"abort": {false, func(desk *authorize.Server, release string) error {
			_, err := desk.Abort(known(t, "mallory"), &approvalv1.AbortRequest{Release: release, Reason: "it was none"})
			return err
		}},
	} {
		t.Run(name, func(t *testing.T) {
			r.Activate(t, approvaltest.Document(func(d *policyv1.Procedure) { d.Version = name + "-before" }))
			alone, written := r.Reach(t, procedure.PhaseExecuting, key(name+"-alone")), r.Reach(t, procedure.PhaseExecuting, key(name+"-written"))
			for _, release := range []string{alone, written} {
				if call.paused {
					if _, err := r.slow(func() {}).Pause(known(t, "otto"), &approvalv1.PauseRequest{Release: release, Reason: "fog"}); err != nil {
						t.Fatal(err)
					}
				}
			}
			r.Activate(t, approvaltest.Document(handedOver, func(d *policyv1.Procedure) { d.Version = name + "-handed-over" }))
			then := r.Digest
			other := func(version string) {
				r.Activate(t, approvaltest.Document(func(d *policyv1.Procedure) { d.Version = name + version }))
			}
			err := call.do(r.slow(func() { other("-since") }), alone)
			if a := r.newest(t, alone).GetActor(); err != nil || a.GetId() != "mallory" || a.GetProcedureDigest() != then {
				t.Errorf("nothing was written: %v, by %s under %s, want %s", err, a.GetId(), a.GetProcedureDigest(), then)
			}
			r.Activate(t, approvaltest.Document(handedOver, func(d *policyv1.Procedure) { d.Version = name + "-again" }))
			err = call.do(r.slow(func() {
				r.Do(t, written, "gina", proceduretest.Impact())
				other("-since-then")
			}), written)
			want(t, "with another document since", err, codes.PermissionDenied, "UNKNOWN_PERSON")
			if s := r.State(t, written); s.Paused() != call.paused || s.AbortBy != "" {
				t.Errorf("paused %t, aborted by %q", s.Paused(), s.AbortBy)
			}
		})
	}
}

// TestWhoIsOnCallReviewsNothing, by the words of the record either: what can wait is for the members of
// the group, also where the event says that somebody was in it.
func TestWhoIsOnCallReviewsNothing(t *testing.T) {
	t.Parallel()
	index := policy.NewIndex(&policyv1.Procedure{
		People:         []*policyv1.Person{{Id: "anna"}, {Id: "ben"}},
		Groups:         []*policyv1.Group{{Name: "sre", Members: []string{"ben"}}},
		Emergency:      &policyv1.EmergencyLane{ReviewGroup: "sre"},
		OperatorsGroup: "operators",
	})
	for person, right := range map[string]string{"anna": "", "ben": "a member of sre"} {
		for _, e := range []*releasev1.Event{proceduretest.Review(), proceduretest.FollowUpDone(1)} {
			e.Actor = &releasev1.Actor{Kind: releasev1.Actor_KIND_HUMAN, Id: person, Groups: []string{"sre"}}
			if got := authorize.Right(index, procedure.State{Request: &releasev1.Request{Owner: "otto"}}, nil, e); got != right {
				t.Errorf("%s of %T: %q, want %q", person, e.GetData(), got, right)
			}
		}
	}
}
