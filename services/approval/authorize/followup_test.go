package authorize_test

import (
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// agreed is something that is to be done by that person.
func agreed(release, owner string) *approvalv1.AddFollowUpRequest {
	return &approvalv1.AddFollowUpRequest{Release: release, FollowUp: &releasev1.FollowUp{
		Action: "write the test", Owner: owner, Due: timestamppb.New(time.Now().Add(time.Hour)),
	}}
}

// close carries a release to where nothing is owed any more.
func (r *rig) close(t *testing.T, release string) {
	t.Helper()
	r.To(t, release, procedure.PhaseFollowUp)
	for r.State(t, release).Phase != procedure.PhaseClosed {
		r.Do(t, release, "", proceduretest.Notify(r.State(t, release)))
	}
}

func TestWhatIsToBeDoneAfterAnOrdinaryReleaseIsAgreedAndDone(t *testing.T) {
	r := newRig(t)
	desk := r.dial(t)
	release := r.Reach(t, procedure.PhaseRecord)
	_, err := desk.AddFollowUp(as(t, "otto"), agreed(release, "ada"))
	want(t, "before it is over", err, codes.FailedPrecondition, "OTHER_STATE")
	r.close(t, release)
	for i, person := range []string{"otto", "gina", "anna", "ben"} {
		got, err := desk.AddFollowUp(as(t, person), agreed(release, "ada"))
		if err != nil || int(got.GetNumber()) != i+1 {
			t.Errorf("%s: %v, %v", person, got, err)
		}
	}
	_, err = desk.AddFollowUp(as(t, "finn"), agreed(release, "ada"))
	want(t, "by somebody in no group", err, codes.PermissionDenied, "NOT_ALLOWED")
	for owner, person := range map[string]string{"who has left": "hugo", "that is a machine": "ci-bot", "that nobody knows": "mallory"} {
		_, err = desk.AddFollowUp(as(t, "otto"), agreed(release, person))
		want(t, "an owner "+owner, err, codes.InvalidArgument, "INVALID_FIELD")
	}
	_, err = desk.AddFollowUp(as(t, "otto"), &approvalv1.AddFollowUpRequest{Release: release})
	want(t, "nothing", err, codes.InvalidArgument, "INVALID_FIELD")
	if s := r.State(t, release); s.OpenFollowUps() != 4 || s.Phase != procedure.PhaseClosed || s.FollowUps[1].AddedBy != "gina" {
		t.Errorf("phase %s, %+v", s.Phase, s.FollowUps)
	}
}

func TestWhoeverHasToDoItMaySayThatItIsDone(t *testing.T) {
	r := newRig(t)
	desk := r.dial(t)
	release := r.Reach(t, procedure.PhaseRecord)
	r.close(t, release)
	for i, owner := range []string{"finn", "ada"} {
		r.Do(t, release, "anna", &releasev1.Event{Data: &releasev1.Event_FollowUpAdded{FollowUpAdded: &releasev1.FollowUpAdded{
			Number: uint32(i) + 1, FollowUp: agreed(release, owner).GetFollowUp(),
		}}})
	}
	call := &approvalv1.CloseFollowUpRequest{Release: release, Number: 2, Comment: "it is in the nightly run"}
	_, err := desk.CloseFollowUp(as(t, "finn"), call)
	want(t, "another's", err, codes.PermissionDenied, "NOT_ALLOWED")
	call.Number = 1
	if _, err := desk.CloseFollowUp(as(t, "finn"), call); err != nil {
		t.Fatal(err)
	}
	_, err = desk.CloseFollowUp(as(t, "otto"), call)
	want(t, "twice", err, codes.FailedPrecondition, "OTHER_STATE")
	for name, bad := range map[string]*approvalv1.CloseFollowUpRequest{
		"no number": {Release: release, Comment: "done"}, "no comment": {Release: release, Number: 2},
	} {
		_, err = desk.CloseFollowUp(as(t, "otto"), bad)
		want(t, name, err, codes.InvalidArgument, "INVALID_FIELD")
	}
	if s := r.State(t, release); s.OpenFollowUps() != 1 || s.FollowUps[0].ClosedBy != "finn" || s.FollowUps[0].Comment == "" {
		t.Errorf("%+v", s.FollowUps)
	}
	r.Do(t, release, "otto", proceduretest.FollowUpDone(2))
}
