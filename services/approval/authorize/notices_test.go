package authorize_test

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// Whom the notice was meant for opens step 5, and nobody else; the answer names who is
// still missing.
func TestWhomANoticeWasMeantForSaysThatTheyKnow(t *testing.T) {
	r := newRig(t)
	desk := r.dial(t)
	release := r.Reach(t, procedure.PhaseNotify, key("know"))
	call := &approvalv1.AcknowledgeNoticeRequest{Release: release, Comment: "the desk is staffed"}
	_, err := desk.AcknowledgeNotice(as(t, "finn"), call)
	want(t, "before it was told", err, codes.FailedPrecondition, "NOT_TOLD")
	s := r.Do(t, release, "", proceduretest.NotifyWaiting(r.State(t, release), time.Now().Add(time.Hour), true, "ada", "finn"))
	if s.Phase != procedure.PhaseNotify || len(s.Holds) != 1 || !strings.Contains(s.Holds[0].GetMessage(), "ada and finn (group support)") {
		t.Fatalf("phase %s, holds %v", s.Phase, s.Holds)
	}
	_, err = desk.AcknowledgeNotice(as(t, "anna"), call)
	want(t, "anna", err, codes.PermissionDenied, "NOT_MEANT")
	_, err = desk.AcknowledgeNotice(as(t, "finn"), &approvalv1.AcknowledgeNoticeRequest{Release: release, Occasion: releasev1.Occasion_OCCASION_END})
	want(t, "the end", err, codes.FailedPrecondition, "NOT_TOLD")
	got, err := desk.AcknowledgeNotice(as(t, "finn"), call)
	if err != nil || len(got.GetMissing()) != 1 || got.GetMissing()[0].GetPeople()[0] != "ada" {
		t.Fatalf("%v, %v", got, err)
	}
	_, err = desk.AcknowledgeNotice(as(t, "finn"), call)
	want(t, "twice", err, codes.AlreadyExists, "KNOWN_ALREADY")
	if got, err = desk.AcknowledgeNotice(as(t, "ada"), call); err != nil || len(got.GetMissing()) != 0 {
		t.Fatalf("%v, %v", got, err)
	}
	if s := r.State(t, release); s.Phase != procedure.PhaseExecute || len(s.Holds) != 0 {
		t.Errorf("phase %s, holds %v", s.Phase, s.Holds)
	}
}
