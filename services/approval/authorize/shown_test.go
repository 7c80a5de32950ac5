package authorize_test

import (
	"encoding/json"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/evidence"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
)

// look is what the person is shown of the release.
func (r *rig) look(t *testing.T, desk approvalv1.ApprovalServiceClient, person, release string) *approvalv1.Pending {
	t.Helper()
	got, err := desk.GetPending(as(t, person), &approvalv1.GetPendingRequest{Release: release})
	if err != nil {
		t.Fatal(err)
	}
	return got.GetPending()
}

// seen is an approval of what was shown.
func seen(p *approvalv1.Pending) *approvalv1.ApproveRequest {
	return &approvalv1.ApproveRequest{Release: p.GetRelease(), ChangeDigest: p.GetChangeDigest(), ShownDigest: p.GetShownDigest()}
}

func TestNobodyApprovesWhatTheyWereNotShown(t *testing.T) {
	r := newRig(t)
	desk := r.dial(t)
	s, other := r.pending(t), r.pending(t, key("other"))
	shown, elsewhere := r.look(t, desk, "anna", s.Release), r.look(t, desk, "anna", other.Release)
	for name, c := range map[string]struct {
		digest string
		code   codes.Code
		reason string
	}{
		"nothing":                {"", codes.InvalidArgument, "INVALID_FIELD"},
		"zeros":                  {proceduretest.Digest('0'), codes.Aborted, "STALE_SHOWN_DIGEST"},
		"the change":             {shown.GetChangeDigest(), codes.Aborted, "STALE_SHOWN_DIGEST"},
		"another release":        {elsewhere.GetShownDigest(), codes.Aborted, "STALE_SHOWN_DIGEST"},
		"in upper-case letters":  {"sha256:" + "ABCDEF", codes.InvalidArgument, "INVALID_FIELD"},
		"no digest of any sort ": {"seen", codes.InvalidArgument, "INVALID_FIELD"},
	} {
		call := seen(shown)
		call.ShownDigest = c.digest
		_, err := desk.Approve(as(t, "anna"), call)
		want(t, name, err, c.code, c.reason)
	}
	if n := len(r.State(t, s.Release).Approvals); n != 0 {
		t.Errorf("%d approvals are on record", n)
	}
	if _, err := desk.Approve(as(t, "anna"), seen(shown)); err != nil {
		t.Errorf("what was shown: %v", err)
	}
}

// TestWhatWasShownIsKept reads it from the bus, as whoever reads the record does.
func TestWhatWasShownIsKept(t *testing.T) {
	r := newRig(t)
	desk := r.dial(t)
	s := r.pending(t)
	shown := r.look(t, desk, "anna", s.Release)
	if _, err := desk.Approve(as(t, "anna"), seen(shown)); err != nil {
		t.Fatal(err)
	}
	digest := r.Task(t, s.Release, time.Now()).Cause.Event.GetApprovalGiven().GetShownDigest()
	kept, err := evidence.New(r.JetStream()).Get(t.Context(), digest)
	if err != nil || digest != shown.GetShownDigest() {
		t.Fatalf("%s, shown was %s: %v", digest, shown.GetShownDigest(), err)
	}
	var document struct {
		ChangeDigest string `json:"change_digest"`
		Previews     []any  `json:"previews"`
		Request      struct {
			Owner string `json:"owner"`
		} `json:"request"`
		MayApprove bool `json:"may_approve"`
	}
	if err := json.Unmarshal(kept, &document); err != nil {
		t.Fatal(err)
	}
	if document.ChangeDigest != s.ChangeDigest || len(document.Previews) != 1 || document.Request.Owner != "otto" || document.MayApprove {
		t.Errorf("kept is %s", kept)
	}
}

// TestWithoutAPlaceToKeepItNothingIsApproved takes the evidence store away: an approval
// of which nobody could say what was shown is not stored.
func TestWithoutAPlaceToKeepItNothingIsApproved(t *testing.T) {
	r := newRig(t)
	desk := r.dial(t)
	s := r.pending(t)
	shown := r.look(t, desk, "anna", s.Release)
	if err := r.JetStream().DeleteObjectStore(t.Context(), eventstore.BucketEvidence); err != nil {
		t.Fatal(err)
	}
	if _, err := desk.Approve(as(t, "anna"), seen(shown)); err == nil {
		t.Error("approved")
	}
	if n := len(r.State(t, s.Release).Approvals); n != 0 {
		t.Errorf("%d approvals are on record", n)
	}
}

func TestAnApprovalByAnotherMakesNobodyLookAgainAndOneTakenBackDoes(t *testing.T) {
	r := newRig(t)
	desk := r.dial(t)
	s := r.pending(t)
	shown := r.look(t, desk, "ben", s.Release)
	if _, err := desk.Approve(as(t, "anna"), seen(shown)); err != nil {
		t.Fatal(err)
	}
	if _, err := desk.Approve(as(t, "cleo"), seen(shown)); err != nil {
		t.Fatalf("after another approval: %v", err)
	}
	if _, err := desk.WithdrawApproval(as(t, "anna"), &approvalv1.WithdrawApprovalRequest{Release: s.Release, Reason: "smells"}); err != nil {
		t.Fatal(err)
	}
	_, err := desk.Approve(as(t, "dan"), seen(shown))
	want(t, "after one was taken back", err, codes.Aborted, "STALE_SHOWN_DIGEST")
	if _, err := desk.Approve(as(t, "dan"), seen(r.look(t, desk, "dan", s.Release))); err != nil {
		t.Errorf("having looked again: %v", err)
	}
}

// TestTheClockAloneChangesNothingThatIsShown lets an approval expire between two looks.
func TestTheClockAloneChangesNothingThatIsShown(t *testing.T) {
	r := newRig(t)
	desk := r.dial(t)
	s := r.pending(t)
	r.Do(t, s.Release, "anna", proceduretest.Approval(s, time.Now().Add(time.Hour)))
	before := r.look(t, desk, "finn", s.Release)
	r.ahead.Store(int64(2 * time.Hour))
	after := r.look(t, desk, "finn", s.Release)
	if len(after.GetMissing()) != len(before.GetMissing())+1 {
		t.Fatalf("missing before %v, after %v: nothing expired", before.GetMissing(), after.GetMissing())
	}
	if before.GetShownDigest() != after.GetShownDigest() {
		t.Error("the digest of what is shown depends on the moment")
	}
	if phase := r.State(t, s.Release).Phase; phase != procedure.PhaseApprove {
		t.Errorf("phase %s", phase)
	}
}
