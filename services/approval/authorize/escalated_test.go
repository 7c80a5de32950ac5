package authorize_test

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/approval/authorize"
)

func review(release string) *approvalv1.CompleteReviewRequest {
	return &approvalv1.CompleteReviewRequest{
		Release: release, Result: releasev1.ReviewCompleted_RESULT_JUSTIFIED, ResidualRisk: "none that is known",
		FollowUps: []*releasev1.FollowUp{{Action: "write the test", Owner: "ada", Due: timestamppb.New(time.Now().Add(time.Hour))}},
	}
}

// unknown carries a release to where nobody can tell what happened.
func (r *rig) unknown(t *testing.T, k string) string {
	t.Helper()
	release := r.Reach(t, procedure.PhaseExecuting, key(k))
	r.Do(t, release, "", proceduretest.Executed(r.State(t, release), map[string]releasev1.TargetResult_Status{"eu1": releasev1.TargetResult_STATUS_UNKNOWN}))
	return release
}

func TestAnEscalationIsTakenOn(t *testing.T) {
	r := newRig(t)
	desk := r.dial(t)
	for person, allowed := range map[string]bool{"gina": true, "eve": true, "otto": true, "anna": false} {
		release := r.unknown(t, "ack-"+person)
		got, err := desk.Acknowledge(as(t, person), &approvalv1.AcknowledgeRequest{Release: release, Comment: "mine"})
		if !allowed {
			want(t, person, err, codes.PermissionDenied, "NOT_ALLOWED")
			continue
		}
		if s := r.State(t, release); err != nil || got.GetAcknowledged() != 1 || s.Escalations[0].AcknowledgedBy != person {
			t.Errorf("%s: %v, %v, %+v", person, got, err, s.Escalations)
		}
		_, err = desk.Acknowledge(as(t, person), &approvalv1.AcknowledgeRequest{Release: release, Comment: "mine"})
		want(t, person+" again", err, codes.FailedPrecondition, "OTHER_STATE")
	}
	release := r.unknown(t, "other-cause")
	_, err := desk.Acknowledge(as(t, "gina"), &approvalv1.AcknowledgeRequest{Release: release, Cause: releasev1.Cause_CAUSE_REVIEW_OVERDUE, Comment: "mine"})
	want(t, "another cause", err, codes.FailedPrecondition, "OTHER_STATE")
}

// TestNobodyTakesAnEscalationOnWithoutAReason, and the answer names the field.
func TestNobodyTakesAnEscalationOnWithoutAReason(t *testing.T) {
	r := newRig(t)
	desk := r.dial(t)
	release := r.unknown(t, "no-reason")
	if !r.State(t, release).Requested.GetReasonsDemanded() {
		t.Error("the release does not demand a reason")
	}
	for _, comment := range []string{"", " ", "\u200b", "\n\t"} {
		_, err := desk.Acknowledge(as(t, "gina"), &approvalv1.AcknowledgeRequest{Release: release, Comment: comment})
		want(t, comment, err, codes.InvalidArgument, "INVALID_FIELD")
		if err != nil && !strings.Contains(err.Error(), "comment") {
			t.Errorf("%q: %v does not name the field", comment, err)
		}
	}
	if s := r.State(t, release); len(s.OpenEscalations()) != 1 {
		t.Errorf("open are %v", s.OpenEscalations())
	}
}

func TestOperatorsIntervene(t *testing.T) {
	r := newRig(t)
	desk := r.dial(t)
	release := r.unknown(t, "intervene")
	call := &approvalv1.InterveneRequest{Release: release, Action: releasev1.Intervened_ACTION_CONFIRM_DONE, Reason: "looked"}
	_, err := desk.Intervene(as(t, "anna"), call)
	want(t, "anna", err, codes.PermissionDenied, "NOT_ALLOWED")
	if _, err := desk.Intervene(as(t, "gina"), call); err != nil {
		t.Fatal(err)
	}
	if s := r.State(t, release); s.Phase != procedure.PhaseVerify || len(s.OpenEscalations()) > 0 {
		t.Errorf("phase %s, open %v", s.Phase, s.OpenEscalations())
	}
	_, err = desk.Intervene(as(t, "gina"), call)
	want(t, "twice", err, codes.FailedPrecondition, "OTHER_STATE")
}

func TestAnEmergencyIsAuthorizedByOneAndReviewedByAnother(t *testing.T) {
	r := newRig(t)
	s, desk := r.pending(t, proceduretest.Emergency), r.dial(t)
	_, err := desk.Approve(as(t, "anna"), approve(s))
	want(t, "by a release manager", err, codes.PermissionDenied, "NOT_APPROVER")
	// Otto owns it, and commands incidents: alone at night he may.
	if got, err := desk.Approve(as(t, "otto"), approve(s)); err != nil || !got.GetAuthorized() {
		t.Fatal(got, err)
	}
	now := time.Now()
	s, err = r.Act(t, authorize.New(r.Procedures), s.Release, now)
	if err != nil || !s.Authorized.GetEmergency() || !s.ReviewDue.Equal(now.Add(48*time.Hour)) {
		t.Fatalf("%v, %v", s.Authorized, err)
	}
	if b := strings.Join(s.Bypassed, "; "); !strings.Contains(b, "separation of duties: otto is the owner") {
		t.Errorf("bypassed: %s", b)
	}
	_, err = desk.CompleteReview(as(t, "ben"), review(s.Release))
	want(t, "before it is over", err, codes.FailedPrecondition, "OTHER_STATE")
	for r.State(t, s.Release).Phase != procedure.PhaseExecute {
		r.Do(t, s.Release, "", proceduretest.Notify(r.State(t, s.Release)))
	}
	r.To(t, s.Release, procedure.PhaseFollowUp)
	_, err = desk.CompleteReview(as(t, "anna"), review(s.Release))
	want(t, "by somebody outside the group", err, codes.PermissionDenied, "NOT_ALLOWED")
	_, err = desk.CompleteReview(as(t, "ada"), review(s.Release))
	want(t, "by an author", err, codes.PermissionDenied, "NOT_ALLOWED")
	for field, spoil := range map[string]func(*releasev1.FollowUp){
		"owner by an alias":  func(f *releasev1.FollowUp) { f.Owner = "rr" },
		"owner who has left": func(f *releasev1.FollowUp) { f.Owner = "hugo" },
		"no owner":           func(f *releasev1.FollowUp) { f.Owner = "" },
		"day that is none":   func(f *releasev1.FollowUp) { f.Due.Seconds = 1 << 60 },
		"nanos that are not": func(f *releasev1.FollowUp) { f.Due.Nanos = 2e9 },
		"no date":            func(f *releasev1.FollowUp) { f.Due = nil },
		"no action":          func(f *releasev1.FollowUp) { f.Action = "" },
		"endless action":     func(f *releasev1.FollowUp) { f.Action = strings.Repeat("x", 2000) },
	} {
		bad := review(s.Release)
		spoil(bad.GetFollowUps()[0])
		_, err = desk.CompleteReview(as(t, "ben"), bad)
		want(t, field, err, codes.InvalidArgument, "INVALID_FIELD")
	}
	if _, err = desk.CompleteReview(as(t, "ben"), review(s.Release)); err != nil {
		t.Fatal(err)
	}
	if s := r.State(t, s.Release); s.ReviewOwed() || s.ReviewedBy != "ben" {
		t.Errorf("reviewed by %q", s.ReviewedBy)
	}
}
