package e2e

import (
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
	recorderv1 "github.com/blackdice/shipwarden/proto/shipwarden/recorder/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// What people and CI decide before anything is touched: nothing here may reach a
// target.
func TestNothingHappensWithoutConsent(t *testing.T) {
	t.Parallel()
	y := open(t, plan{})
	y.tell("a rejection is final", (*yard).rejection)
	y.tell("the owner withdraws", (*yard).withdrawal)
	y.tell("nobody approves a change of their own", (*yard).ownChange)
	y.tell("nobody approves what they were not shown", (*yard).otherDigest)
	y.tell("a newer request takes the place of an older one", (*yard).supersession)
	y.tell("the same key twice is one release", (*yard).sameKey)
	y.tell("a bad request is refused with everything that is wrong with it", (*yard).badRequest)
	for _, target := range y.world.Targets {
		y.untouched(target)
	}
	y.rebuild()
}

func (y *yard) rejection() {
	id := y.submit(y.build("1.0.0", 0), "rejected", nil)
	y.reach(id, "approve")
	if _, err := y.as("carol").Reject(y.Context(), &approvalv1.RejectRequest{Release: id, Reason: "Not in this week."}); err != nil {
		y.Fatal(err)
	}
	r := y.finish(id, releasev1.Outcome_OUTCOME_REJECTED)
	y.says(r, "Not in this week.")
	_, err := y.as("dave").Approve(y.Context(), &approvalv1.ApproveRequest{Release: id, ChangeDigest: r.GetChangeDigest(), ShownDigest: unseen})
	y.refused(err, codes.FailedPrecondition, "")
	_, err = y.as("alice").Withdraw(y.Context(), &approvalv1.WithdrawRequest{Release: id, Reason: "Too late."})
	y.refused(err, codes.FailedPrecondition, "")
	y.reach(id, "closed")
}

func (y *yard) withdrawal() {
	id := y.submit(y.build("1.0.0", 0), "withdrawn", nil)
	y.reach(id, "approve")
	request := &approvalv1.WithdrawRequest{Release: id, Reason: "Found a mistake."}
	_, err := y.as("carol").Withdraw(y.Context(), request)
	y.refused(err, codes.PermissionDenied, "alice")
	if _, err := y.as("alice").Withdraw(y.Context(), request); err != nil {
		y.Fatal(err)
	}
	y.says(y.finish(id, releasev1.Outcome_OUTCOME_WITHDRAWN), "Found a mistake.")
	y.reach(id, "closed")
}

// unseen is the digest of what nobody was shown.
var unseen = "sha256:" + strings.Repeat("0", 64)

// ownChange has a release manager among the authors.
func (y *yard) ownChange() {
	id := y.submit(y.build("1.0.0", 0), "own", func(r *releasev1.Request) { r.Authors = []string{"bob", "dave"} })
	digest := y.reach(id, "approve").GetChangeDigest()
	pending, err := y.as("dave").GetPending(y.Context(), &approvalv1.GetPendingRequest{Release: id})
	if err != nil {
		y.Fatal(err)
	}
	if p := pending.GetPending(); p.GetMayApprove() || !strings.Contains(p.GetMayNotReason(), "author") {
		y.Errorf("dave is told: %t %q", p.GetMayApprove(), p.GetMayNotReason())
	}
	call := &approvalv1.ApproveRequest{Release: id, ChangeDigest: digest, ShownDigest: pending.GetPending().GetShownDigest()}
	_, err = y.as("dave").Approve(y.Context(), call)
	y.refused(err, codes.PermissionDenied, "author")
	// Nor does somebody of no group that is asked for.
	_, err = y.as("frank").Approve(y.Context(), call)
	y.refused(err, codes.PermissionDenied, "")
	y.withdraw(id)
}

func (y *yard) otherDigest() {
	id := y.submit(y.build("1.0.0", 0), "digest", nil)
	present := y.reach(id, "approve").GetChangeDigest()
	_, err := y.as("carol").Approve(y.Context(), &approvalv1.ApproveRequest{Release: id, ChangeDigest: unseen, ShownDigest: unseen})
	y.refused(err, codes.Aborted, "present change digest")
	_, err = y.as("carol").Approve(y.Context(), &approvalv1.ApproveRequest{Release: id, ChangeDigest: present, ShownDigest: unseen})
	y.refused(err, codes.Aborted, "look at it again")
	y.withdraw(id)
}

func (y *yard) supersession() {
	older := y.submit(y.build("1.0.0", 0), "older", nil)
	y.reach(older, "approve")
	newer := y.submit(y.build("1.1.0", 0), "newer", nil)
	r := y.finish(older, releasev1.Outcome_OUTCOME_SUPERSEDED)
	y.says(r, newer)
	_, err := y.as("carol").Approve(y.Context(), &approvalv1.ApproveRequest{Release: older, ChangeDigest: r.GetChangeDigest(), ShownDigest: unseen})
	y.refused(err, codes.FailedPrecondition, "")
	y.reach(newer, "approve")
	y.withdraw(newer)
}

func (y *yard) sameKey() {
	a := y.build("1.0.0", 0)
	request, err := y.world.Request(a, "twice")
	if err != nil {
		y.Fatal(err)
	}
	var id string
	for _, want := range []releasev1.Answer_Outcome{releasev1.Answer_OUTCOME_ACCEPTED, releasev1.Answer_OUTCOME_REPEATED} {
		answer, err := y.Submit(y.Context(), request)
		if err != nil {
			y.Fatal(err)
		}
		if answer.GetOutcome() != want || id != "" && answer.GetRelease() != id {
			y.Fatalf("got %v, not %s", answer, want)
		}
		id = answer.GetRelease()
	}
	request.Plan.Description = "Something else."
	answer, err := y.Submit(y.Context(), request)
	if err != nil {
		y.Fatal(err)
	}
	if answer.GetOutcome() != releasev1.Answer_OUTCOME_REFUSED || answer.GetViolations()[0].GetRule() != "idempotency_key.reused" {
		y.Errorf("another request under the same key: %v", answer)
	}
	y.reach(id, "approve")
	if n := y.history(id)["requested"]; n != 1 {
		y.Errorf("it was requested %d times", n)
	}
	y.withdraw(id)
}

// badRequest is wrong in many places, and its answer names all of them at once.
func (y *yard) badRequest() {
	request, err := y.world.Request(y.build("1.0.0", 0), "bad")
	if err != nil {
		y.Fatal(err)
	}
	request.Version = "latest"
	request.Artifacts[0].Digest = "sha256:abc"
	request.Owner = "nobody"
	request.RollbackPlan = nil
	request.Plan.Waves[1].Targets = []string{"shop-mars1"}
	answer, err := y.Submit(y.Context(), request)
	if err != nil {
		y.Fatal(err)
	}
	if answer.GetOutcome() != releasev1.Answer_OUTCOME_REFUSED || answer.GetRelease() != "" {
		y.Fatalf("it was not refused: %v", answer)
	}
	named := map[string]bool{}
	for _, v := range answer.GetViolations() {
		named[v.GetField()] = true
	}
	for _, field := range []string{"version", "artifacts[0].digest", "owner", "rollback_plan", "plan.waves[1].targets[0]"} {
		if !named[field] {
			y.Errorf("%s is not among the violations: %v", field, answer.GetViolations())
		}
	}
	y.kept(answer)
}

// kept demands that the refusal is on record.
func (y *yard) kept(answer *releasev1.Answer) {
	y.Helper()
	recorder, err := y.Recorder()
	if err != nil {
		y.Fatal(err)
	}
	var last *recorderv1.ListRefusalsResponse
	y.eventually("the refusal is on record", func() bool {
		last, err = recorder.ListRefusals(y.Context(), &recorderv1.ListRefusalsRequest{})
		if err != nil {
			y.Fatal(err)
		}
		for _, r := range last.GetRefusals() {
			if a := r.GetRefused().GetAnswer(); a.GetIdempotencyKey() == "bad" && len(a.GetViolations()) == len(answer.GetViolations()) {
				return true
			}
		}
		return false
	})
}

// withdraw ends a release that has served its purpose.
func (y *yard) withdraw(id string) {
	y.Helper()
	if _, err := y.as("alice").Withdraw(y.Context(), &approvalv1.WithdrawRequest{Release: id, Reason: "It has served its purpose."}); err != nil {
		y.Fatal(err)
	}
	y.finish(id, releasev1.Outcome_OUTCOME_WITHDRAWN)
}
