package intake_test

import (
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// TestWhoeverAsksHearsOfFreezes has two, one after the other.
func TestWhoeverAsksHearsOfFreezes(t *testing.T) {
	now := time.Now()
	once := func(name string, from, to time.Duration) *policyv1.Freeze {
		return &policyv1.Freeze{Name: name, SetBy: "gina", Reason: "because", When: &policyv1.Freeze_Once{Once: &policyv1.Span{
			Start: timestamppb.New(now.Add(from)), End: timestamppb.New(now.Add(to)),
		}}}
	}
	r := newRig(t, func(d *policyv1.Procedure) {
		d.Freezes = []*policyv1.Freeze{once("audit", -time.Hour, time.Hour), once("campaign", time.Hour, 2*time.Hour), once("later", 3*time.Hour, 4*time.Hour)}
	})
	answer := r.ask(t)
	if !slices.Equal(answer.GetFrozenBy(), []string{"audit", "campaign"}) || !answer.GetEarliestStart().AsTime().Equal(now.Add(2*time.Hour)) {
		t.Errorf("frozen by %v until %v", answer.GetFrozenBy(), answer.GetEarliestStart().AsTime())
	}
	answer = r.ask(t, func(q *releasev1.Request) {
		q.IdempotencyKey, q.NotBefore = "later", timestamppb.New(now.Add(150*time.Minute))
	})
	if answer.GetOutcome() != releasev1.Answer_OUTCOME_ACCEPTED || len(answer.GetFrozenBy()) > 0 || answer.GetEarliestStart() != nil {
		t.Errorf("not before a time that is free: %v", answer)
	}
}
