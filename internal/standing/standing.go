// Package standing reads what targets, services and the procedure document stand
// at: facts that belong to no single release. Each is an aggregate of its own whose
// events carry the whole state, so that the newest event is enough, however many
// releases came before it.
package standing

import (
	"context"
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// Reader reads the newest event of an aggregate; *eventstore.Store is one.
type Reader interface {
	Last(ctx context.Context, aggregate string) (procedure.Entry, bool, error)
}

// Head is where the next event of an aggregate goes.
type Head struct {
	Aggregate string
	Expect    uint64
	Previous  *releasev1.Previous
}

// Draft is the next event of the aggregate.
func (h Head) Draft(e *releasev1.Event) eventstore.Draft {
	return eventstore.Draft{Aggregate: h.Aggregate, Expect: h.Expect, Previous: h.Previous, Event: e}
}

func headOf(aggregate string, e procedure.Entry) Head {
	return Head{
		Aggregate: aggregate, Expect: e.Sequence,
		Previous: procedure.Head{Sequence: e.Sequence, Digest: e.Digest}.Previous(),
	}
}

// Target is what a target carries and who holds it.
type Target struct {
	Head
	// State is what it carries and carried; never nil.
	State *releasev1.TargetState
	// Since is when its newest event was stored: who holds it and what it carries is so since
	// then. It is zero where nothing was ever released to it.
	Since time.Time
	// LockedBy is the release that holds it; empty where none does.
	LockedBy string
	// Claimer, LeaseUntil and Fence are of the newest lock.
	Claimer    string
	LeaseUntil time.Time
	Fence      uint64
}

// ReadTarget reads a target. One that nothing was ever released to is free and
// carries nothing.
func ReadTarget(ctx context.Context, r Reader, id string) (Target, error) {
	aggregate := procedure.TargetAggregate(id)
	e, found, err := r.Last(ctx, aggregate)
	if err != nil {
		return Target{}, fmt.Errorf("read target %s: %w", id, err)
	}
	t := Target{Head: Head{Aggregate: aggregate}, State: &releasev1.TargetState{}}
	if !found {
		return t, nil
	}
	t.Head, t.Since = headOf(aggregate, e), e.Stored
	switch d := e.Event.GetData().(type) {
	case *releasev1.Event_TargetLocked:
		t.State, t.LockedBy, t.Claimer = stateOf(d.TargetLocked.GetState()), d.TargetLocked.GetRelease(), d.TargetLocked.GetClaimer()
		t.LeaseUntil, t.Fence = d.TargetLocked.GetLeaseUntil().AsTime(), e.Sequence
	case *releasev1.Event_TargetUnlocked:
		t.State = stateOf(d.TargetUnlocked.GetState())
	}
	return t, nil
}

func stateOf(s *releasev1.TargetState) *releasev1.TargetState {
	if s == nil {
		return &releasev1.TargetState{}
	}
	return s
}

// maxRolledBack bounds how many versions a target remembers that were taken back.
const maxRolledBack = 16

// Carrying returns the state of a target on which a release was verified.
func Carrying(before *releasev1.TargetState, now *releasev1.Deployment) *releasev1.TargetState {
	after := clone(before)
	after.Previous, after.Deployed, after.UnknownSince, after.Mark = before.GetDeployed(), now, "", ""
	after.Generation++
	return after
}

// TakenBack returns the state of a target from which a release was taken back: it
// carries what it carried before, and remembers what it did not keep (PD-2.3).
func TakenBack(before *releasev1.TargetState, gone *releasev1.Deployment) *releasev1.TargetState {
	after := clone(before)
	after.RolledBack = append([]*releasev1.Deployment{gone}, after.GetRolledBack()...)
	if len(after.GetRolledBack()) > maxRolledBack {
		after.RolledBack = after.GetRolledBack()[:maxRolledBack]
	}
	after.Mark = ""
	after.Generation++
	return after
}

// Unknown returns the state of a target of which nobody knows what it carries since that
// release: what it was last known to carry is no place to go back to any more (PD-3.5).
func Unknown(before *releasev1.TargetState, release string) *releasev1.TargetState {
	after := clone(before)
	after.UnknownSince, after.Mark = release, ""
	after.Generation++
	return after
}

// Marked is a state with how far the target remembers.
func Marked(s *releasev1.TargetState, mark string) *releasev1.TargetState {
	after := clone(s)
	after.Mark = mark
	return after
}

func clone(s *releasev1.TargetState) *releasev1.TargetState {
	c, ok := proto.Clone(s).(*releasev1.TargetState)
	if !ok || c == nil {
		return &releasev1.TargetState{}
	}
	return c
}

// Service is which releases of a service are not at an end, and which reviews are
// owed for it.
type Service struct {
	Head
	Open  []string
	Debts []*releasev1.ReviewDebt
	// Emergencies are the newest that were authorized, oldest first.
	Emergencies []*releasev1.EmergencyUse
	// Incidents are releases at an end with an open incident, oldest first.
	Incidents []string
}

// ReadService reads a service in an environment.
func ReadService(ctx context.Context, r Reader, environment, service string) (Service, error) {
	aggregate := procedure.ServiceAggregate(environment, service)
	e, found, err := r.Last(ctx, aggregate)
	if err != nil {
		return Service{}, fmt.Errorf("read service %s in %s: %w", service, environment, err)
	}
	if !found {
		return Service{Head: Head{Aggregate: aggregate}}, nil
	}
	d := e.Event.GetServiceChanged()
	return Service{Head: headOf(aggregate, e), Open: d.GetOpenReleases(), Debts: d.GetDebts(), Emergencies: d.GetEmergencies(), Incidents: d.GetIncidents()}, nil
}

// Changed is the event after which the service stands as given.
func (s Service) Changed(release string, open []string, debts []*releasev1.ReviewDebt) *releasev1.Event {
	return &releasev1.Event{Data: &releasev1.Event_ServiceChanged{ServiceChanged: &releasev1.ServiceChanged{
		Release: release, OpenReleases: open, Debts: debts, Emergencies: s.Emergencies, Incidents: s.Incidents,
	}}}
}

// maxEmergencies bounds how many emergencies are remembered: one more than a quota counts.
const maxEmergencies = 32

// Used is the service after an emergency that was authorized; it counts once.
func (s Service) Used(release string, asked time.Time) Service {
	if slices.ContainsFunc(s.Emergencies, func(e *releasev1.EmergencyUse) bool { return e.GetRelease() == release }) {
		return s
	}
	all := append(slices.Clone(s.Emergencies), &releasev1.EmergencyUse{Release: release, Time: timestamppb.New(asked)})
	slices.SortStableFunc(all, func(a, b *releasev1.EmergencyUse) int { return a.GetTime().AsTime().Compare(b.GetTime().AsTime()) })
	s.Emergencies = all[max(0, len(all)-maxEmergencies):]
	return s
}

// maxIncidents bounds how many releases with an open incident are remembered: one is enough
// to hold another release, and of those that nobody closed for so long the oldest stay.
const maxIncidents = 64

// Incident is the service after a release that is at its end, with or without an open incident.
func (s Service) Incident(release string, open bool) Service {
	switch i := slices.Index(s.Incidents, release); {
	case open && i < 0 && len(s.Incidents) < maxIncidents:
		s.Incidents = append(slices.Clone(s.Incidents), release)
	case !open && i >= 0:
		s.Incidents = slices.Delete(slices.Clone(s.Incidents), i, i+1)
	}
	return s
}

// UsedSince returns the emergencies other than that one that were asked for in the time
// before a moment (N-04).
func (s Service) UsedSince(release string, before time.Time, period time.Duration) []*releasev1.EmergencyUse {
	return slices.DeleteFunc(slices.Clone(s.Emergencies), func(e *releasev1.EmergencyUse) bool {
		at := e.GetTime().AsTime()
		return e.GetRelease() == release || at.After(before) || !at.After(before.Add(-period))
	})
}

// Overdue returns the debts that block normal releases at that time (PD-A.5).
func (s Service) Overdue(at time.Time) []*releasev1.ReviewDebt {
	return slices.DeleteFunc(slices.Clone(s.Debts), func(d *releasev1.ReviewDebt) bool {
		return at.Before(d.GetBlocksFrom().AsTime())
	})
}

// Procedure is which procedure document new releases run under, and which changes of it
// are proposed.
type Procedure struct {
	Head
	Version string
	Digest  string
	// Document is the same for package procedure.
	Document procedure.Document
}

// ReadProcedure reads which version of the procedure with that id is in effect; its
// digest is empty where none ever was.
func ReadProcedure(ctx context.Context, r Reader, id string) (Procedure, error) {
	aggregate := procedure.ProcedureAggregate(id)
	e, found, err := r.Last(ctx, aggregate)
	if err != nil {
		return Procedure{}, fmt.Errorf("read procedure %s: %w", id, err)
	}
	if !found {
		return Procedure{Head: Head{Aggregate: aggregate}, Document: procedure.NewDocument(id)}, nil
	}
	s := procedure.StandingOf(e.Event)
	return Procedure{
		Head: headOf(aggregate, e), Version: s.GetVersion(), Digest: s.GetDigest(),
		Document: procedure.Document{Aggregate: aggregate, Head: procedure.Head{Sequence: e.Sequence, Digest: e.Digest}, Standing: s},
	}, nil
}
