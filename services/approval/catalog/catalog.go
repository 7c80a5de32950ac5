// Package catalog keeps, for every service in an environment, which releases are
// not at an end, which retrospective reviews are owed, which emergencies there were, and of
// which releases at an end an incident is open: what supersession, dependencies,
// overdue reviews, the quota and incidents are judged by (PD-0.4, PD-3.3, PD-A.5).
//
// It wakes on authorized, recorded, review_completed, acknowledged, incident_closed, impact_reported,
// unrecorded_change and verification_revoked, and appends
// service_changed where something differs, so that it may be woken as often as it
// likes. The release is entered by intake, in one batch with its first event.
package catalog

import (
	"context"
	"slices"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/reactor"
	"github.com/blackdice/shipwarden/internal/standing"
	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// Procedures gives the procedure document that a release runs under.
type Procedures interface {
	ByDigest(ctx context.Context, digest string) (*policy.Index, error)
}

// New returns the step.
func New(procedures Procedures, reader standing.Reader) reactor.Step {
	s := shell{procedures, reader}
	return reactor.Step{ID: procedure.StepCatalog, Act: s.act}
}

type shell struct {
	procedures Procedures
	reader     standing.Reader
}

func (s shell) act(ctx context.Context, t reactor.Task) ([]eventstore.Draft, error) {
	r := t.State.Request
	service, err := standing.ReadService(ctx, s.reader, r.GetEnvironment(), r.GetService())
	if err != nil {
		return nil, err
	}
	open := slices.DeleteFunc(slices.Clone(service.Open), func(id string) bool { return id == t.State.Release && t.State.Recorded })
	debts := slices.DeleteFunc(slices.Clone(service.Debts), func(d *releasev1.ReviewDebt) bool { return d.GetRelease() == t.State.Release })
	if t.State.ReviewOwed() {
		index, err := s.procedures.ByDigest(ctx, t.State.ProcedureDigest)
		if err != nil {
			return nil, err
		}
		grace := index.Document().GetEmergency().GetGrace().AsDuration()
		debts = append(debts, &releasev1.ReviewDebt{
			Release: t.State.Release, Due: timestamppb.New(t.State.ReviewDue),
			BlocksFrom: timestamppb.New(t.State.ReviewDue.Add(grace)),
		})
	}
	counted := !t.State.Authorized.GetEmergency() || slices.ContainsFunc(service.Emergencies, func(e *releasev1.EmergencyUse) bool {
		return e.GetRelease() == t.State.Release
	})
	if !counted {
		service = service.Used(t.State.Release, t.State.RequestedAt)
	}
	before := service.Incidents
	if t.State.Recorded {
		_, incident := procedure.OpenIncident(t.State, nil, false)
		service = service.Incident(t.State.Release, incident)
	}
	if len(open) == len(service.Open) && sameReleases(debts, service.Debts) && counted && slices.Equal(before, service.Incidents) {
		return nil, nil
	}
	return []eventstore.Draft{t.Stamp(service.Draft(service.Changed(t.State.Release, open, debts)))}, nil
}

func sameReleases(a, b []*releasev1.ReviewDebt) bool {
	if len(a) != len(b) {
		return false
	}
	for _, d := range a {
		if !slices.ContainsFunc(b, func(o *releasev1.ReviewDebt) bool { return o.GetRelease() == d.GetRelease() }) {
			return false
		}
	}
	return true
}
