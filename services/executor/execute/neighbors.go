package execute

import (
	"context"
	"slices"

	"github.com/blackdice/shipwarden/internal/incident"
	"github.com/blackdice/shipwarden/internal/inflight"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/reactor"
	"github.com/blackdice/shipwarden/internal/takeback"
	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// others are the rules of what other releases hold a start by, besides their targets.
var others = append([]string{incident.Rule}, inflight.Rules...)

// neighbors looks again at other releases: at those in flight of services that this one depends
// on, or that depend on it, and at open incidents that the document counts. It does so at the
// start, right before the claim and, where nothing has begun, between the claim and its effect
// (PD-3.3), by the document of the release and by the one in effect now. It returns what the
// release waits for, and what an emergency or a way back goes past.
func (s shell) neighbors(ctx context.Context, t reactor.Task, documents []*policy.Index) (holds []*releasev1.HoldReason, passed []*releasev1.Finding, err error) {
	flying, err := inflight.Find(ctx, s.Store, inflight.Look{
		State: t.State, Entries: t.History.Entries, Documents: documents, Now: t.Now,
		Turn: documents[0].Document().GetDeadlines().GetRecheck().AsDuration(),
	})
	if err != nil {
		return nil, nil, err
	}
	incidents, err := incident.Find(ctx, s.Store, t.State, documents)
	if err != nil || len(flying)+len(incidents) == 0 {
		return nil, nil, err
	}
	for _, f := range flying {
		holds = append(holds, f.Hold())
		if !f.Turn { // What has begun nothing is not gone past.
			passed = append(passed, f.Called())
		}
	}
	for _, f := range incidents {
		holds, passed = append(holds, f.Hold()), append(passed, f.Called())
	}
	normal, err := takeback.Normal(ctx, s.Store, t.State.Request)
	switch {
	case err != nil:
		return nil, nil, err
	case normal:
		return holds, nil, nil
	}
	return nil, passed, nil
}

// control is how it is called that an emergency goes past what was found.
func control(f *releasev1.Finding) string {
	if f.GetRule() == incident.Rule {
		return incident.Around(f.GetSubject())
	}
	return inflight.Around(f.GetSubject())
}

// unnoted are the findings of a claim: what a way back goes past and has not on record yet.
// Of an emergency it is among the bypassed controls.
func unnoted(state procedure.State, passed []*releasev1.Finding) []*releasev1.Finding {
	if state.Emergency() {
		return nil
	}
	return slices.DeleteFunc(passed, func(f *releasev1.Finding) bool {
		return slices.ContainsFunc(state.Findings, func(x *releasev1.Finding) bool { return x.GetRule() == f.GetRule() && x.GetSubject() == f.GetSubject() })
	})
}
