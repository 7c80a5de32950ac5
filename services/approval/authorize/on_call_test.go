package authorize_test

import (
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/approval/approvaltest"
	"github.com/blackdice/shipwarden/services/approval/authorize"
	"github.com/blackdice/shipwarden/services/approval/whatif"
)

// hourly has people be on call for a group, an hour each; the first shift began so long ago.
func hourly(group string, ago time.Duration, people ...string) func(*policyv1.Procedure) {
	return func(d *policyv1.Procedure) {
		i := slices.IndexFunc(d.GetGroups(), func(g *policyv1.Group) bool { return g.GetName() == group })
		d.Groups[i].OnCall = &policyv1.OnCall{Rotas: []*policyv1.Rota{{
			Name: "hourly", People: people, Begin: time.Now().Add(-ago).UTC().Format("2006-01-02T15:04"), Shift: durationpb.New(time.Hour), TimeZone: "UTC",
		}}}
	}
}

// folded is the release as its events have it, with those that do not count.
func (r *rig) folded(t *testing.T, release string) (procedure.State, []procedure.Rejection) {
	t.Helper()
	h, err := r.Store.Load(t.Context(), procedure.Aggregate(release))
	if err != nil {
		t.Fatal(err)
	}
	return procedure.Fold(release, h.Entries)
}

// newest is the newest event of a release.
func (r *rig) newest(t *testing.T, release string) *releasev1.Event {
	t.Helper()
	h, err := r.Store.Load(t.Context(), procedure.Aggregate(release))
	if err != nil {
		t.Fatal(err)
	}
	return h.Entries[len(h.Entries)-1].Event
}

// TestWhoIsOnCallApproves for the group, as a member would, and which shift said so is frozen
// into the approval; who is on call at another time does not (U2).
func TestWhoIsOnCallApproves(t *testing.T) {
	r := newRig(t, hourly("release-managers", 20*time.Minute, "finn", "gina"))
	desk := r.dial(t)
	s := r.pending(t)
	_, err := desk.Approve(as(t, "gina"), approve(s))
	want(t, "who is on call next", err, codes.PermissionDenied, "NOT_APPROVER")
	listed, err := desk.ListPending(as(t, "finn"), &approvalv1.ListPendingRequest{Mine: true})
	if err != nil || len(listed.GetPending()) != 1 {
		t.Fatalf("of finn's own are pending %v, %v", listed, err)
	}
	if on := listed.GetPending()[0].GetOnCall(); len(on) != 1 || on[0].GetPerson() != "finn" || on[0].GetShift().GetGroup() != "release-managers" {
		t.Errorf("on call: %v", on)
	}
	if listed, err := desk.ListPending(as(t, "gina"), &approvalv1.ListPendingRequest{Mine: true}); err != nil || len(listed.GetPending()) != 0 {
		t.Errorf("of gina's own are pending %v, %v", listed, err)
	}
	if got, err := desk.Approve(as(t, "finn"), approve(s)); err != nil || len(got.GetMissing()) != 1 || got.GetMissing()[0].GetGroup() != "security" {
		t.Fatalf("%v, %v", got, err)
	}
	given := r.newest(t, s.Release).GetActor()
	_, shift := r.Index(t).OnCall("release-managers", time.Now())
	if !slices.Equal(given.GetGroups(), []string{"release-managers"}) || len(given.GetOnCall()) != 1 || !proto.Equal(given.GetOnCall()[0], shift) || shift.GetNumber() != 1 {
		t.Errorf("on record: %v, want the shift %v", given, shift)
	}
	// Anna may still, and would not be counted for the same approval; Finn is counted once.
	s = r.State(t, s.Release)
	_, err = desk.Approve(as(t, "finn"), approve(s))
	want(t, "twice", err, codes.AlreadyExists, "APPROVED_ALREADY")
	if _, err := desk.Approve(as(t, "ben"), approve(s)); err != nil {
		t.Fatal(err)
	}
	if got := r.State(t, s.Release); len(got.Approvals) != 2 {
		t.Errorf("approvals: %+v", got.Approvals)
	}
	// A no is theirs as well.
	other := r.pending(t, key("other"))
	if _, err := desk.Reject(as(t, "gina"), &approvalv1.RejectRequest{Release: other.Release, Reason: "no"}); err == nil {
		t.Error("who is not on call says no")
	}
	if _, err := desk.Reject(as(t, "finn"), &approvalv1.RejectRequest{Release: other.Release, Reason: "no"}); err != nil {
		t.Error(err)
	}
}

// TestAHandOverIsJudgedByTheTimeOfStoring: a service whose clock goes wrong takes approvals of
// the wrong person, and they do not count.
func TestAHandOverIsJudgedByTheTimeOfStoring(t *testing.T) {
	for name, c := range map[string]struct {
		ago, ahead   time.Duration
		right, wrong string
	}{
		"ahead of it":  {50 * time.Minute, 20 * time.Minute, "finn", "gina"},
		"behind after": {70 * time.Minute, -20 * time.Minute, "gina", "finn"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, hourly("release-managers", c.ago, "finn", "gina"))
			desk := r.dial(t)
			s := r.pending(t)
			r.ahead.Store(int64(c.ahead))
			_, err := desk.Approve(as(t, c.right), approve(s))
			want(t, "whom the clock says is not on call", err, codes.PermissionDenied, "NOT_APPROVER")
			_, err = desk.Approve(as(t, c.wrong), approve(s))
			want(t, "whom the clock alone says is on call", err, codes.FailedPrecondition, "NOT_ON_CALL")
			if got, rejected := r.folded(t, s.Release); len(got.Approvals) != 0 || len(rejected) != 1 {
				t.Errorf("approvals %+v, rejected %v", got.Approvals, rejected)
			}
			r.ahead.Store(0)
			if _, err := desk.Approve(as(t, c.right), approve(s)); err != nil {
				t.Fatal(err)
			}
			if got, _ := r.folded(t, s.Release); len(got.Approvals) != 1 || got.Approvals[0].Person != c.right {
				t.Errorf("approvals %+v", got.Approvals)
			}
		})
	}
}

// TestBeingOnCallWidensNothing: nobody approves what they have a part in, a member who is on
// call is a member once, and what is not for those on call is for the members alone.
func TestBeingOnCallWidensNothing(t *testing.T) {
	for person, reason := range map[string]string{"ada": "OWN_CHANGE", "rita": "OWN_CHANGE", "otto": "OWN_CHANGE", "rr": "OWN_CHANGE"} {
		who := person
		if who == "rr" {
			who = "rita"
		}
		r := newRig(t, hourly("release-managers", 20*time.Minute, who))
		s := r.pending(t)
		_, err := r.dial(t).Approve(as(t, person), approve(s))
		want(t, person+" on call", err, codes.PermissionDenied, reason)
	}

	r := newRig(t, hourly("release-managers", 20*time.Minute, "anna"))
	desk := r.dial(t)
	s := r.pending(t)
	if _, err := desk.Approve(as(t, "anna"), approve(s)); err != nil {
		t.Fatal(err)
	}
	if a := r.newest(t, s.Release).GetActor(); len(a.GetOnCall()) != 0 || !slices.Equal(a.GetGroups(), []string{"release-managers"}) {
		t.Errorf("a member needs no shift: %v", a)
	}
	_, err := desk.Approve(as(t, "anna"), approve(r.State(t, s.Release)))
	want(t, "as a member and on call", err, codes.AlreadyExists, "APPROVED_ALREADY")
}

// TestWhatWaitsIsForMembersAlone has Finn on call for every group there is.
func TestWhatWaitsIsForMembersAlone(t *testing.T) {
	r := newRig(t, everybody, func(d *policyv1.Procedure) {
		for _, g := range []string{"release-managers", "security", "incident-commanders", "developers", "operators", "quality"} {
			hourly(g, 20*time.Minute, "finn")(d)
		}
		d.Freezes = append(d.Freezes, frozen("audit", time.Now().Add(time.Hour)))
	})
	desk := r.dial(t)

	emergency := r.Reach(t, procedure.PhaseApprove, key("emergency"), proceduretest.Emergency)
	r.Do(t, emergency, "eve", proceduretest.Approval(r.State(t, emergency), time.Now().Add(time.Hour)))
	r.To(t, emergency, procedure.PhaseFollowUp)
	_, err := desk.CompleteReview(as(t, "finn"), review(emergency))
	want(t, "a review of an emergency", err, codes.PermissionDenied, "NOT_ALLOWED")

	over := r.Reach(t, procedure.PhaseRecord, key("over"))
	r.close(t, over)
	r.Do(t, over, "anna", &releasev1.Event{Data: &releasev1.Event_FollowUpAdded{FollowUpAdded: &releasev1.FollowUpAdded{
		Number: 1, FollowUp: agreed(over, "ada").GetFollowUp(),
	}}})
	_, err = desk.AddFollowUp(as(t, "finn"), agreed(over, "ada"))
	want(t, "what is to be done about a release that is over", err, codes.PermissionDenied, "NOT_ALLOWED")
	_, err = desk.CloseFollowUp(as(t, "finn"), &approvalv1.CloseFollowUpRequest{Release: over, Number: 1, Comment: "done"})
	want(t, "that it is done", err, codes.PermissionDenied, "NOT_ALLOWED")

	held := r.Reach(t, procedure.PhaseRisk, key("held"))
	_, err = desk.OverrideFreeze(as(t, "finn"), &approvalv1.OverrideFreezeRequest{Release: held, Freeze: "audit", Reason: "customers cannot pay", Ticket: "INC-7"})
	want(t, "an exception of a freeze", err, codes.PermissionDenied, "NOT_ALLOWED")

	bad := r.Reach(t, procedure.PhaseVerify, key("bad"))
	r.Do(t, bad, "", proceduretest.Verified(r.State(t, bad), releasev1.CheckResult_VERDICT_FAIL, false))
	digest := r.State(t, bad).PrimaryArtifact().GetDigest()
	r.takenBack(t, bad)
	_, err = desk.ProposeClearance(as(t, "finn"), &approvalv1.ProposeClearanceRequest{Digest: digest, Reason: "the probe was wrong"})
	want(t, "an artifact out of quarantine", err, codes.PermissionDenied, "NOT_ALLOWED")
}

// TestWhoIsOnCallHandlesARelease where that is for the operators, and an emergency.
func TestWhoIsOnCallHandlesARelease(t *testing.T) {
	r := newRig(t, hourly("operators", 20*time.Minute, "finn", "anna"), hourly("incident-commanders", 20*time.Minute, "cleo", "finn"))
	desk := r.dial(t)
	release := r.Reach(t, procedure.PhaseVerify)
	_, err := desk.Abort(as(t, "anna"), &approvalv1.AbortRequest{Release: release, Reason: "stop"})
	want(t, "who is on call next", err, codes.PermissionDenied, "NOT_ALLOWED")
	if _, err := desk.Abort(as(t, "finn"), &approvalv1.AbortRequest{Release: release, Reason: "stop"}); err != nil {
		t.Fatal(err)
	}
	if a := r.newest(t, release).GetActor(); len(a.GetOnCall()) != 1 || a.GetOnCall()[0].GetGroup() != "operators" {
		t.Errorf("on record: %v", a)
	}

	s := r.pending(t, key("emergency"), proceduretest.Emergency)
	_, err = desk.Approve(as(t, "finn"), approve(s))
	want(t, "an emergency, by whoever is on call for something else", err, codes.PermissionDenied, "NOT_APPROVER")
	if got, err := desk.Approve(as(t, "cleo"), approve(s)); err != nil || !got.GetAuthorized() {
		t.Fatalf("an emergency: %v, %v", got, err)
	}
	if a := r.newest(t, s.Release).GetActor(); len(a.GetOnCall()) != 1 || a.GetOnCall()[0].GetGroup() != "incident-commanders" || !slices.Contains(a.GetGroups(), "security") {
		t.Errorf("on record: %v", a)
	}
}

// TestWhoWasCalledTakesItOn also when somebody else is on call by then.
func TestWhoWasCalledTakesItOn(t *testing.T) {
	r := newRig(t, hourly("operators", 20*time.Minute, "finn", "anna"))
	desk := r.dial(t)
	calls := func(k string, to ...string) string {
		release := r.unknown(t, k)
		r.Do(t, release, "", &releasev1.Event{Data: &releasev1.Event_Escalated{Escalated: &releasev1.Escalated{
			Cause: releasev1.Cause_CAUSE_OUTCOME_UNKNOWN, Rung: 1, To: to, AcknowledgeBy: timestamppb.New(time.Now().Add(time.Hour)), Incident: "INC-1", Summary: "it failed",
		}}})
		return release
	}
	called, other := calls("called", "finn", "gina"), calls("other", "gina")
	r.ahead.Store(int64(50 * time.Minute)) // and anna is on call, as far as the service knows
	_, err := desk.Acknowledge(as(t, "finn"), &approvalv1.AcknowledgeRequest{Release: other, Comment: "on it"})
	want(t, "who was not called", err, codes.PermissionDenied, "NOT_ALLOWED")
	_, err = desk.Acknowledge(as(t, "dan"), &approvalv1.AcknowledgeRequest{Release: called, Comment: "on it"})
	want(t, "who has nothing to do with it", err, codes.PermissionDenied, "NOT_ALLOWED")
	if _, err := desk.Acknowledge(as(t, "finn"), &approvalv1.AcknowledgeRequest{Release: called, Comment: "on it"}); err != nil {
		t.Error(err)
	}
	if s, _ := r.folded(t, called); s.Escalations[0].AcknowledgedBy != "finn" {
		t.Errorf("taken on by %q", s.Escalations[0].AcknowledgedBy)
	}
}

// TestWhoWasCalledJustBeforeAHandOverTakesItOn: who was on call when the call was decided was
// called, however long it took to store it; who was not by then is none of those.
func TestWhoWasCalledJustBeforeAHandOverTakesItOn(t *testing.T) {
	r := newRig(t, hourly("operators", 70*time.Minute, "finn", "dan"))
	desk := r.dial(t)
	release := r.unknown(t, "called")
	r.Do(t, release, "", &releasev1.Event{Decided: timestamppb.New(time.Now().Add(-15 * time.Minute)), Data: &releasev1.Event_Escalated{Escalated: &releasev1.Escalated{
		Cause: releasev1.Cause_CAUSE_OUTCOME_UNKNOWN, Rung: 1, To: []string{"anna", "finn", "gina"}, AcknowledgeBy: timestamppb.New(time.Now().Add(time.Hour)), Incident: "INC-1", Summary: "it failed",
	}}})
	_, err := desk.Acknowledge(as(t, "anna"), &approvalv1.AcknowledgeRequest{Release: release, Comment: "on it"})
	want(t, "who was never on call", err, codes.PermissionDenied, "NOT_ALLOWED")
	if _, err := desk.Acknowledge(as(t, "finn"), &approvalv1.AcknowledgeRequest{Release: release, Comment: "on it"}); err != nil {
		t.Error(err)
	}
	if s, _ := r.folded(t, release); s.Escalations[0].AcknowledgedBy != "finn" {
		t.Errorf("taken on by %q", s.Escalations[0].AcknowledgedBy)
	}
}

// TestWhatADecisionDoesNotNeedMayEnd: it rests on the shifts for the groups that it is made
// for, and names no others, so that one of those may end before it is stored.
func TestWhatADecisionDoesNotNeedMayEnd(t *testing.T) {
	// By the bus the shift for the operators is over, by the service's clock it is not yet;
	// of release-managers Finn is on call by both.
	r := newRig(t, standIns, func(d *policyv1.Procedure) { d.StandIns.Groups = nil }, hourly("release-managers", 50*time.Minute, "finn", "anna"), hourly("operators", 70*time.Minute, "finn", "anna"),
		hourly("security", 70*time.Minute, "anna", "eve"), hourly("incident-commanders", 70*time.Minute, "gina", "dan"))
	desk := r.dial(t)
	approved, stood, rejected := r.pending(t), r.pending(t, key("stood")), r.pending(t, key("rejected"))
	aborted := r.Reach(t, procedure.PhaseVerify, key("aborted"))
	taken := r.unknown(t, "taken")
	r.ahead.Store(int64(-20 * time.Minute))
	if _, err := has(t, desk, "finn", "anna"); err != nil {
		t.Fatal(err)
	}
	said := func(release string, want ...string) {
		t.Helper()
		e := r.newest(t, release)
		var got []string
		for _, s := range append(e.GetActor().GetOnCall(), e.GetApprovalGiven().GetStandIn().GetOnCall()...) {
			got = append(got, s.GetGroup())
		}
		if !slices.Equal(got, want) {
			t.Errorf("on record are shifts for %v, want %v: %v", got, want, e)
		}
	}
	if _, err := desk.Approve(as(t, "finn"), approve(approved)); err != nil {
		t.Errorf("an approval: %v", err)
	}
	said(approved.Release, "release-managers")
	// Anna is a member of one of the groups that may say no, and needs no shift for another.
	if _, err := desk.Reject(as(t, "anna"), &approvalv1.RejectRequest{Release: rejected.Release, Reason: "no"}); err != nil {
		t.Errorf("a no: %v", err)
	}
	said(rejected.Release)
	if _, err := desk.Abort(as(t, "gina"), &approvalv1.AbortRequest{Release: aborted, Reason: "stop"}); err != nil {
		t.Errorf("an abortion: %v", err)
	}
	said(aborted)
	if _, err := desk.Acknowledge(as(t, "gina"), &approvalv1.AcknowledgeRequest{Release: taken, Comment: "mine"}); err != nil {
		t.Errorf("an escalation: %v", err)
	}
	said(taken)
	// What she is on call for herself is no matter either.
	if _, err := desk.Approve(as(t, "anna"), inPlaceOf(stood, "finn")); err != nil {
		t.Errorf("in the place of another: %v", err)
	}
	said(stood.Release, "release-managers")
}

// TestOfSeveralShiftsTheLongestIsNamed where one of them is enough.
func TestOfSeveralShiftsTheLongestIsNamed(t *testing.T) {
	r := newRig(t, hourly("release-managers", 55*time.Minute, "finn"), hourly("security", 5*time.Minute, "finn"))
	s := r.pending(t)
	if _, err := r.dial(t).Reject(as(t, "finn"), &approvalv1.RejectRequest{Release: s.Release, Reason: "no"}); err != nil {
		t.Fatal(err)
	}
	if on := r.newest(t, s.Release).GetActor(); len(on.GetOnCall()) != 1 || on.GetOnCall()[0].GetGroup() != "security" || !slices.Equal(on.GetGroups(), []string{"security"}) {
		t.Errorf("on record: %v", on)
	}
}

// TestBothDocumentsSayWhoIsOnCall: that of the release, and that in effect now.
func TestBothDocumentsSayWhoIsOnCall(t *testing.T) {
	r := newRig(t, hourly("release-managers", 20*time.Minute, "finn"))
	desk := r.dial(t)
	s := r.pending(t)
	r.Activate(t, approvaltest.Document(hourly("release-managers", 20*time.Minute, "gina"), func(d *policyv1.Procedure) { d.Version = "1.1" }))
	for _, person := range []string{"finn", "gina"} {
		_, err := desk.Approve(as(t, person), approve(s))
		want(t, person+" by one of them", err, codes.PermissionDenied, "NOT_APPROVER")
	}
	r.Activate(t, approvaltest.Document(hourly("release-managers", 80*time.Minute, "gina", "finn"), func(d *policyv1.Procedure) { d.Version = "1.2" }))
	if _, err := desk.Approve(as(t, "finn"), approve(s)); err != nil {
		t.Fatal(err)
	}
	if on := r.newest(t, s.Release).GetActor().GetOnCall(); len(on) != 2 || on[0].GetNumber() != 1 || on[1].GetNumber() != 2 {
		t.Errorf("both shifts are on record: %v", on)
	}
}

// TestAProviderHasToNameWhoIsOnCall for a group for which it has to have the members.
func TestAProviderHasToNameWhoIsOnCall(t *testing.T) {
	r := newRig(t, hourly("release-managers", 20*time.Minute, "finn"), func(d *policyv1.Procedure) { d.Groups[0].ProviderGroup = "idp-managers" })
	s := r.pending(t)
	_, err := r.dial(t).Approve(as(t, "finn"), approve(s))
	want(t, "not by the provider", err, codes.PermissionDenied, "NOT_APPROVER")
	desk := authorize.NewServer(r.Store, r.Procedures, approvaltest.ProcedureID, r.waiting, r.Evidence, whatif.World{}, time.Now)
	_, err = desk.Approve(loggedIn(t, "finn"), approve(s))
	want(t, "not in its group", err, codes.PermissionDenied, "NOT_APPROVER")
	if _, err := desk.Approve(loggedIn(t, "finn", "idp-managers"), approve(s)); err != nil {
		t.Error(err)
	}
}

// TestWhoIsOnCallIsStoodInFor while their shift lasts, which is frozen with it.
func TestWhoIsOnCallIsStoodInFor(t *testing.T) {
	r := newRig(t, standIns, hourly("release-managers", 20*time.Minute, "finn", "gina"))
	desk := r.dial(t)
	s := r.pending(t)
	for _, person := range []string{"finn", "gina"} { // Gina for when she will be
		if _, err := has(t, desk, person, "ben"); err != nil {
			t.Fatal(err)
		}
	}
	_, err := desk.Approve(as(t, "ben"), inPlaceOf(s, "gina"))
	want(t, "for who is not on call", err, codes.PermissionDenied, "NO_STAND_IN")
	if _, err := desk.Approve(as(t, "ben"), inPlaceOf(s, "finn")); err != nil {
		t.Fatal(err)
	}
	stand := r.newest(t, s.Release).GetApprovalGiven().GetStandIn()
	if stand.GetPerson() != "finn" || len(stand.GetOnCall()) != 1 || stand.GetOnCall()[0].GetNumber() != 1 || !slices.Equal(stand.GetGroups(), []string{"release-managers"}) {
		t.Errorf("on record: %v", stand)
	}
}

// TestWhoIsOnCallNowIsSaid, and until when (U5).
func TestWhoIsOnCallNowIsSaid(t *testing.T) {
	r := newRig(t, standIns, hourly("release-managers", 20*time.Minute, "finn", "gina"), hourly("security", 20*time.Minute, "ben"))
	desk := r.dial(t)
	got, err := desk.WhoCan(as(t, "dan"), &approvalv1.WhoCanRequest{Environment: "staging"})
	if err != nil {
		t.Fatal(err)
	}
	_, shift := r.Index(t).OnCall("release-managers", time.Now())
	on := got.GetOnCall()
	if len(on) != 2 || on[0].GetPerson() != "finn" || !proto.Equal(on[0].GetShift(), shift) || on[1].GetPerson() != "ben" {
		t.Errorf("on call: %v", on)
	}
	holders := func(action string) (out []string) {
		for _, right := range got.GetRights() {
			for _, h := range right.GetHolders() {
				if right.GetAction() == action && h.GetOnCall() != nil {
					out = append(out, h.GetPerson()+" for "+right.GetGroup())
				}
			}
		}
		return out
	}
	for action, want := range map[string][]string{
		"approve": {"finn for release-managers"}, "approve_no_rollback": {"finn for release-managers"}, "approve_high_risk": nil, "review_emergency": nil, "operate": nil,
	} {
		if all := holders(action); !slices.Equal(all, want) {
			t.Errorf("%s: %v, want %v", action, all, want)
		}
	}
	if got, err = desk.WhoCan(as(t, "dan"), &approvalv1.WhoCanRequest{Person: "gina"}); err != nil || len(got.GetOnCall()) != 0 || len(holders("approve")) != 0 {
		t.Errorf("Gina is not on call: %v, %v", got, err)
	}
}
