package execute

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/reactor"
	"github.com/blackdice/shipwarden/internal/standing"
	"github.com/blackdice/shipwarden/internal/verdict"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// holds names every reason to wait: what the request says, reviews that are overdue of
// emergencies and of procedure documents,
// versions that are needed and not there, releases in flight of neighboring services, incidents, and
// the freezes of the document that the release runs under and of the one in effect now,
// those that hold now before those that follow. A freeze that was declared after the
// approval is in the document in effect alone.
func (s shell) holds(ctx context.Context, t reactor.Task, now time.Time) (holds []*releasev1.HoldReason, until time.Time, err error) {
	r := t.State.Request
	if nb := r.GetNotBefore(); nb != nil && now.Before(nb.AsTime()) {
		return []*releasev1.HoldReason{{
			Rule: "not_before", Message: "it is not to start earlier", Until: nb, SetBy: r.GetRequester(),
		}}, nb.AsTime(), nil
	}
	if holds, err = s.debts(ctx, t, now); err != nil {
		return nil, time.Time{}, err
	}
	unreviewed, err := s.unreviewed(ctx, t, now)
	if err != nil {
		return nil, time.Time{}, err
	}
	holds = append(holds, unreviewed...)
	documents, err := s.documents(ctx, t)
	if err != nil {
		return nil, time.Time{}, err
	}
	needed, err := s.needs(ctx, t, documents)
	if err != nil {
		return nil, time.Time{}, err
	}
	inFlight, _, err := s.neighbors(ctx, t, documents)
	if err != nil {
		return nil, time.Time{}, err
	}
	holds = slices.Concat(holds, needed, inFlight)
	owed := len(holds) > 0
	var following []*releasev1.HoldReason
	for _, index := range documents {
		j, err := index.Freezes(t.State, now)
		if err != nil {
			return nil, time.Time{}, err
		}
		holds, following = unnamed(holds, j.Reasons), unnamed(following, j.Following)
		if len(j.Reasons) > 0 && j.Until.After(until) {
			until = j.Until
		}
	}
	if owed {
		until = time.Time{} // nobody knows when it will be done
	}
	return unnamed(holds, following), until, nil
}

// unnamed adds those reasons whose subject none of the others names.
func unnamed(holds, more []*releasev1.HoldReason) []*releasev1.HoldReason {
	for _, h := range more {
		if !slices.ContainsFunc(holds, func(o *releasev1.HoldReason) bool { return o.GetSubject() == h.GetSubject() }) {
			holds = append(holds, h)
		}
	}
	return holds
}

// debts names the reviews that hold a planned release which has not begun: one may have
// become overdue since step 3 (PD-A.5).
func (s shell) debts(ctx context.Context, t reactor.Task, now time.Time) ([]*releasev1.HoldReason, error) {
	r := t.State.Request
	if r.GetTrigger() != releasev1.Trigger_TRIGGER_PLANNED || !begins(t.State) {
		return nil, nil
	}
	service, err := standing.ReadService(ctx, s.Store, r.GetEnvironment(), r.GetService())
	if err != nil {
		return nil, err
	}
	var out []*releasev1.HoldReason
	for _, d := range service.Overdue(now) {
		out = append(out, &releasev1.HoldReason{
			Rule: "review.overdue", Subject: d.GetRelease(),
			Message: fmt.Sprintf("the review of emergency %s was due %s", d.GetRelease(), d.GetDue().AsTime().UTC().Format(time.RFC3339)),
		})
	}
	return out, nil
}

// unreviewed names the procedure documents whose review holds a planned release that has not
// begun (PD-9.4).
func (s shell) unreviewed(ctx context.Context, t reactor.Task, now time.Time) ([]*releasev1.HoldReason, error) {
	if t.State.Request.GetTrigger() != releasev1.Trigger_TRIGGER_PLANNED || !begins(t.State) {
		return nil, nil
	}
	own, err := s.Procedures.ByDigest(ctx, t.State.ProcedureDigest)
	if err != nil {
		return nil, err
	}
	active, err := standing.ReadProcedure(ctx, s.Store, own.Document().GetId())
	return active.Unreviewed(now), err
}

// around names the freezes, quarantines, gates, releases in flight and incidents that an
// emergency goes around now and has not on record yet: they were declared since step 3, or began.
// Of gates it also says why.
func (s shell) around(ctx context.Context, t reactor.Task) ([]string, []*releasev1.Finding, error) {
	if !t.State.Emergency() {
		return nil, nil, nil
	}
	documents, err := s.documents(ctx, t)
	if err != nil {
		return nil, nil, err
	}
	bypassable, err := s.bypassable(ctx, t)
	if err != nil {
		return nil, nil, err
	}
	_, quarantines, err := s.Quarantined(ctx, t.State, bypassable)
	if err != nil {
		return nil, nil, err
	}
	_, _, gates, err := s.lapsed(ctx, t, t.Now.Add(margin))
	if err != nil {
		return nil, nil, err
	}
	_, passed, err := s.neighbors(ctx, t, documents)
	if err != nil {
		return nil, nil, err
	}
	for _, f := range passed {
		gates = append(gates, control(f))
	}
	proved, err := s.evidence(ctx, t, verdict.At(t.State, t.Now))
	if err != nil {
		return nil, nil, err
	}
	out := slices.DeleteFunc(slices.Concat(quarantines, gates, proved.around), func(b string) bool { return slices.Contains(t.State.Bypassed, b) })
	for _, index := range documents {
		j, err := index.Freezes(t.State, t.Now)
		if err != nil {
			return nil, nil, err
		}
		for _, h := range j.Bypassed {
			if b := "freeze " + h.GetSubject(); !slices.Contains(out, b) && !slices.Contains(t.State.Bypassed, b) {
				out = append(out, b)
			}
		}
	}
	return out, proved.called, nil
}

// bypassable reports whether an emergency may go around a quarantine, by the procedure
// document of the release and by the one in effect now.
func (s shell) bypassable(ctx context.Context, t reactor.Task) (bool, error) {
	documents, err := s.documents(ctx, t)
	return !slices.ContainsFunc(documents, func(x *policy.Index) bool { return !x.Document().GetQuarantine().GetBypassable() }), err
}

// overrun names the freezes by which a release that has begun is taken back before its
// next wave. One that is the way back itself waits instead: taken back, it would bring
// back what had to go.
func (s shell) overrun(ctx context.Context, t reactor.Task) ([]*releasev1.HoldReason, error) {
	if len(t.State.Begun) == 0 || t.State.Request.GetTrigger() == releasev1.Trigger_TRIGGER_ROLLBACK {
		return nil, nil
	}
	documents, err := s.documents(ctx, t)
	if err != nil {
		return nil, err
	}
	var out []*releasev1.HoldReason
	for _, index := range documents {
		j, err := index.Freezes(t.State, t.Now)
		if err != nil {
			return nil, err
		}
		out = unnamed(out, j.RollBack)
	}
	return out, nil
}

// documents are the procedure document of the release and, where it is another one,
// that in effect now.
func (s shell) documents(ctx context.Context, t reactor.Task) ([]*policy.Index, error) {
	return s.Documents(ctx, t.State.ProcedureDigest)
}
