// Package authorize is where people say yes or no (PD-A.1 to PD-A.5). It has two
// halves: the gRPC service through which people decide, and the step that turns
// sufficient approvals into an authorization.
//
// The step wakes on risk_cleared (for environments that need nobody) and on
// approval_given, and appends authorized. The service appends approval_given,
// approval_withdrawn, rejected, withdrawn, aborted, paused, resumed, signed_off, acknowledged, intervened,
// review_completed, freeze_overridden, follow_up_added and follow_up_closed, each in the name of the
// person who called, whose groups are frozen into the event.
//
// The service holds no rule of its own: whether something may be decided is asked
// of package procedure, once for a good answer and once more by everybody who
// folds the event.
package authorize

import (
	"context"
	"time"

	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/reactor"
	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// Procedures gives the procedure document that a release runs under.
type Procedures interface {
	ByDigest(ctx context.Context, digest string) (*policy.Index, error)
}

// New returns the step.
func New(procedures Procedures) reactor.Step {
	s := shell{procedures}
	return reactor.Step{ID: procedure.StepAuthorize, Act: s.act}
}

type shell struct{ procedures Procedures }

func (s shell) act(ctx context.Context, t reactor.Task) ([]eventstore.Draft, error) {
	index, err := s.procedures.ByDigest(ctx, t.State.ProcedureDigest)
	if err != nil {
		return nil, err
	}
	event := Judge(index, t.State, t.Now)
	if event == nil {
		return nil, nil
	}
	return []eventstore.Draft{t.Draft(event)}, nil
}

// Judge is the step without its reading: the authorization that the approvals amount to
// at that time, or nil. It depends on its arguments alone, and is what a replay calls,
// too (N-01).
func Judge(index *policy.Index, state procedure.State, now time.Time) *releasev1.Event {
	doc := index.Document()
	return procedure.DecideAuthorize(state, now,
		doc.GetDeadlines().GetApprovalValid().AsDuration(),
		now.Add(doc.GetEmergency().GetReviewWithin().AsDuration()))
}
