package authorize_test

import (
	"strings"
	"testing"

	"google.golang.org/grpc/status"

	"github.com/blackdice/shipwarden/procedure"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// TestARefusalSaysWhatIsPossibleInstead: the core's own words, such as "withdrawn in
// phase verify", help nobody who has to decide something.
func TestARefusalSaysWhatIsPossibleInstead(t *testing.T) {
	r := newRig(t)
	desk := r.dial(t)
	executing := r.Reach(t, procedure.PhaseExecuting, key("begun"))
	waiting := r.Reach(t, procedure.PhaseApprove, key("waits"))
	escalated := r.unknown(t, "asks")
	owner := r.State(t, executing).Request.GetOwner()
	_, withdraw := desk.Withdraw(as(t, owner), &approvalv1.WithdrawRequest{Release: executing, Reason: "no"})
	_, abort := desk.Abort(as(t, owner), &approvalv1.AbortRequest{Release: waiting, Reason: "no"})
	_, late := desk.Abort(as(t, owner), &approvalv1.AbortRequest{Release: escalated, Reason: "no"})
	_, retry := desk.Intervene(as(t, owner), &approvalv1.InterveneRequest{Release: waiting, Action: releasev1.Intervened_ACTION_RETRY, Reason: "no"})
	for _, test := range []struct {
		err  error
		want string
	}{
		{withdraw, "execution has begun; possible now: abort, pause"},
		{abort, "execution has not begun; possible now: approve, reject, withdraw, pause"},
		{late, "the release waits for a person to decide how it goes on; possible now: pause, rollback, accept, retry, confirm, acknowledge"},
		{retry, "retry is not possible: execution has not begun; possible now: approve, reject, withdraw, pause"},
	} {
		got := status.Convert(test.err).Message()
		if got != test.want || strings.Contains(got, "in phase") {
			t.Errorf("got %q, want %q", got, test.want)
		}
	}
}
