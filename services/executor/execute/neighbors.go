package execute

import (
	"context"
	"slices"

	"github.com/blackdice/shipwarden/internal/inflight"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/reactor"
	"github.com/blackdice/shipwarden/internal/takeback"
	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// neighbors looks again for releases in flight of services that this one depends on, or that
// depend on it: at the start, right before the claim and, where nothing has begun, between
// the claim and its effect (PD-3.3). By the document of the release and by the one in effect
// now. It returns what the release waits for, and what an emergency or a way back goes past.
func (s shell) neighbors(ctx context.Context, t reactor.Task, documents []*policy.Index) (holds []*releasev1.HoldReason, passed []inflight.Found, err error) {
	found, err := inflight.Find(ctx, s.Store, inflight.Look{
		State: t.State, Entries: t.History.Entries, Documents: documents, Now: t.Now,
		Turn: documents[0].Document().GetDeadlines().GetRecheck().AsDuration(),
	})
	if err != nil || len(found) == 0 {
		return nil, nil, err
	}
	normal, err := takeback.Normal(ctx, s.Store, t.State.Request)
	if err != nil {
		return nil, nil, err
	}
	if !normal {
		return nil, found, nil
	}
	for _, f := range found {
		holds = append(holds, f.Hold())
	}
	return holds, nil, nil
}

// unnoted are the findings of a claim: what a way back goes past and has not on record yet.
// Of an emergency it is among the bypassed controls.
func unnoted(state procedure.State, passed []inflight.Found) []*releasev1.Finding {
	if state.Emergency() {
		return nil
	}
	var out []*releasev1.Finding
	for _, f := range passed {
		if !slices.ContainsFunc(state.Findings, func(x *releasev1.Finding) bool { return x.GetRule() == f.Rule && x.GetSubject() == f.Release }) {
			out = append(out, f.Called())
		}
	}
	return out
}

// outlast refuses the next wave where releases in flight have held it for as long as a person
// has to decide: a release that has begun is ended by no clock, and people would never hear
// that half of it is in production and waits for another one that nobody brings to its end.
func outlast(t reactor.Task, holds []*releasev1.HoldReason) []*releasev1.Finding {
	if begins(t.State) || !outwaited(t, inflight.Rules...) {
		return nil
	}
	var out []*releasev1.Finding
	for _, h := range holds {
		if slices.Contains(inflight.Rules, h.GetRule()) {
			out = append(out, &releasev1.Finding{
				Rule: h.GetRule(), Severity: releasev1.Finding_SEVERITY_BLOCKING, Subject: h.GetSubject(), Message: h.GetMessage(),
			})
		}
	}
	return out
}
