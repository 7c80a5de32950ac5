// Package risk is the shell of the second half of step 3: freezes, other releases
// in flight, review debts and the way back (PD-3.1 to PD-3.5).
//
// It wakes on change_previewed and when a hold is over, and appends risk_cleared,
// held or risk_refused. A hold holds nothing: the release is looked at again at
// the earliest feasible start, or, where that is not known, after the recheck time
// of the procedure document, and later and later as the wait grows
// (procedure.Patience): a history that only says "not yet" must not fill up.
package risk

import (
	"context"
	"fmt"
	"time"

	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/reactor"
	"github.com/blackdice/shipwarden/internal/standing"
	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/approval/takeback"
)

// Procedures gives the procedure document that a release runs under.
type Procedures interface {
	ByDigest(ctx context.Context, digest string) (*policy.Index, error)
}

// Store reads histories and standings.
type Store interface {
	standing.Reader
	Load(ctx context.Context, aggregate string) (eventstore.History, error)
}

// New returns the step.
func New(procedures Procedures, store Store) reactor.Step {
	s := shell{procedures, store}
	return reactor.Step{ID: procedure.StepRisk, Act: s.act}
}

type shell struct {
	procedures Procedures
	store      Store
}

func (s shell) act(ctx context.Context, t reactor.Task) ([]eventstore.Draft, error) {
	index, err := s.procedures.ByDigest(ctx, t.State.ProcedureDigest)
	if err != nil {
		return nil, err
	}
	l := look{shell: s, index: index, state: t.State, now: t.Now}
	for _, look := range []func(context.Context) error{l.targets, l.debts, l.dependencies} {
		if err := look(ctx); err != nil {
			return nil, err
		}
	}
	event, err := Judge(index, t.State, l.seen, t.Now)
	if err != nil {
		return nil, err
	}
	return []eventstore.Draft{t.Draft(event)}, nil
}

// look gathers what histories other than the release's own say.
type look struct {
	shell
	index *policy.Index
	state procedure.State
	now   time.Time
	seen  Seen
}

func (l *look) hold(h *releasev1.HoldReason) { l.seen.Holds = append(l.seen.Holds, h) }

// targets holds the release while another one has a target, and sends it back to
// step 2 where another one had it in the meantime (PD-3.3).
func (l *look) targets(ctx context.Context) error {
	for _, id := range procedure.Targets(l.state.Request) {
		t, err := standing.ReadTarget(ctx, l.store, id)
		if err != nil {
			return err
		}
		held, err := l.held(ctx, id, t)
		if err != nil {
			return err
		}
		switch {
		case held:
			l.hold(&releasev1.HoldReason{
				Rule: procedure.HoldTargetBusy, Subject: t.LockedBy,
				Message: fmt.Sprintf("target %s is held by release %s", id, t.LockedBy),
			})
		case t.State.GetGeneration() != l.state.Scoped(id).GetState().GetGeneration():
			l.hold(&releasev1.HoldReason{
				Rule: procedure.HoldTargetChanged, Subject: id,
				Message: fmt.Sprintf("target %s was changed since it was looked at; it is looked at again", id),
			})
		}
	}
	return nil
}

// held reports whether another release has the target, with a lock that counts: the
// executor takes others over when it claims, and the release must get that far.
func (l *look) held(ctx context.Context, id string, t standing.Target) (bool, error) {
	if t.LockedBy == "" || t.LockedBy == l.state.Release {
		return false, nil
	}
	h, err := l.store.Load(ctx, procedure.Aggregate(t.LockedBy))
	if err != nil {
		return false, err
	}
	holder, _ := procedure.Fold(t.LockedBy, h.Entries)
	return holder.LockCounts(id), nil
}

// debts holds a normal release of a service for which a review is overdue (PD-A.5).
func (l *look) debts(ctx context.Context) error {
	r := l.state.Request
	s, err := standing.ReadService(ctx, l.store, r.GetEnvironment(), r.GetService())
	if err != nil {
		return err
	}
	overdue := s.Overdue(l.now)
	if len(overdue) == 0 {
		return nil
	}
	normal, err := l.normal(ctx)
	if err != nil {
		return err
	}
	for _, d := range overdue {
		if !normal {
			l.seen.Findings = append(l.seen.Findings, &releasev1.Finding{
				Rule: holdReviewOverdue, Severity: releasev1.Finding_SEVERITY_WARNING, Subject: d.GetRelease(),
				Message: fmt.Sprintf("the review of emergency %s is overdue", d.GetRelease()),
			})
			continue
		}
		l.hold(&releasev1.HoldReason{
			Rule: holdReviewOverdue, Subject: d.GetRelease(),
			Message: fmt.Sprintf("the review of emergency %s was due %s; it blocks normal releases of %s until it is done",
				d.GetRelease(), d.GetDue().AsTime().UTC().Format(time.RFC3339), r.GetService()),
		})
	}
	return nil
}

// normal reports whether the release is one that a debt blocks: every one but an
// emergency, and a rollback that takes back what it names.
func (l *look) normal(ctx context.Context) (bool, error) {
	r := l.state.Request
	if r.GetTrigger() != releasev1.Trigger_TRIGGER_ROLLBACK {
		return r.GetTrigger() == releasev1.Trigger_TRIGGER_PLANNED, nil
	}
	h, err := l.store.Load(ctx, procedure.Aggregate(r.GetRollbackOf()))
	if err != nil {
		return false, err
	}
	of, _ := procedure.Fold(r.GetRollbackOf(), h.Entries)
	problems, err := takeback.Check(ctx, l.store, r, of)
	return len(problems) > 0, err
}

// dependencies holds the release while one of a service that it depends on is
// between its start and its end (PD-3.3).
func (l *look) dependencies(ctx context.Context) error {
	r := l.state.Request
	for _, name := range l.index.Service(r.GetService()).GetDependencies() {
		s, err := standing.ReadService(ctx, l.store, r.GetEnvironment(), name)
		if err != nil {
			return err
		}
		for _, id := range s.Open {
			h, err := l.store.Load(ctx, procedure.Aggregate(id))
			if err != nil {
				return err
			}
			other, _ := procedure.Fold(id, h.Entries)
			if other.Started() && !other.Recorded {
				l.hold(&releasev1.HoldReason{
					Rule: holdDependencyBusy, Subject: id,
					Message: fmt.Sprintf("release %s of %s, on which %s depends, is in flight", id, name, r.GetService()),
				})
			}
		}
	}
	return nil
}
