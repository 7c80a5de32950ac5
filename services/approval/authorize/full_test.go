package authorize_test

import (
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/procedure"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// A history that is full can not be read any more, and so not be ended.
func TestWhoeverFillsAHistoryWithApprovalsLeavesRoomForItsEnd(t *testing.T) {
	r := newRig(t)
	desk := r.dial(t)
	s := r.pending(t)
	for range eventstore.MaxHistory / 2 {
		if _, err := r.JetStream().PublishAsync(procedure.Aggregate(s.Release)+".approval.approval_given", []byte("noise")); err != nil {
			t.Fatal(err)
		}
	}
	<-r.JetStream().PublishAsyncComplete()
	_, err := desk.Approve(as(t, "anna"), approve(s))
	want(t, "an approval", err, codes.ResourceExhausted, "HISTORY_FULL")
	if _, err := desk.Withdraw(as(t, "otto"), &approvalv1.WithdrawRequest{Release: s.Release, Reason: "it is full"}); err != nil {
		t.Fatal(err)
	}
	if got := r.State(t, s.Release).Outcome; got != releasev1.Outcome_OUTCOME_WITHDRAWN {
		t.Errorf("it ended as %s", got)
	}
}
