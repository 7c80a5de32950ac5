package intake

import (
	"context"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/reactor"
	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// told is how long an answer is of use to anybody, which is how long it is kept.
const told = 7 * 24 * time.Hour

// maxReason bounds what is told of the end of a release, in bytes.
const maxReason = 2048

// NewTeller returns the step that gives the requester of a release the second answer
// (PD-0.2): the change digest as soon as it is fixed, or that there will be none.
//
// It wakes on risk_cleared and on every end before it, and appends nothing. Everything
// it says is in the event that woke it and in the history up to it, so that a
// delivery that comes again says the same again, under the same message id. What woke
// it longer ago than answers are kept is told to nobody: a consumer that is new finds
// every release there ever was.
func NewTeller(answers Answers) reactor.Step {
	return reactor.Step{ID: procedure.StepAnswer, Act: func(ctx context.Context, t reactor.Task) ([]eventstore.Draft, error) {
		answer := second(t.State, t.Cause)
		if answer == nil || t.Now.Sub(t.Cause.Stored) > told {
			return nil, nil
		}
		r := t.State.Request
		first := answerSubject("request."+r.GetEnvironment()+"."+r.GetService(), r.GetIdempotencyKey(), nil)
		return nil, answers.Publish(ctx, first+".change", "change-"+t.State.Release, answer)
	}}
}

// second returns what the event means to the requester; nil where it does not count, or
// where it ended a release whose change they know already.
func second(s procedure.State, cause procedure.Entry) *releasev1.Answer {
	answer := &releasev1.Answer{
		Release: s.Release, RequestDigest: s.Requested.GetRequestDigest(), IdempotencyKey: s.Request.GetIdempotencyKey(),
		ProcedureDigest: s.ProcedureDigest, Time: timestamppb.New(cause.Stored),
	}
	switch cleared := cause.Event.GetRiskCleared(); {
	case cleared != nil && s.ChangeDigest != "" && cleared.GetChangeDigest() == s.ChangeDigest:
		answer.Outcome, answer.ChangeDigest = releasev1.Answer_OUTCOME_CHANGE_FIXED, s.ChangeDigest
	case cleared == nil && s.ChangeDigest == "" && s.Outcome != releasev1.Outcome_OUTCOME_UNSPECIFIED:
		answer.Outcome, answer.Reason = releasev1.Answer_OUTCOME_ENDED, shortened(s.EndReason, maxReason)
	default:
		return nil
	}
	return answer
}
