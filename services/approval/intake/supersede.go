package intake

import (
	"context"
	"errors"
	"slices"

	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/standing"
	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// supersede ends older releases of the service that have not started (PD-0.4).
func (i *Intake) supersede(ctx context.Context, request *releasev1.Request, by string) error {
	service, err := standing.ReadService(ctx, i.store, request.GetEnvironment(), request.GetService())
	if err != nil {
		return err
	}
	at := slices.Index(service.Open, by)
	for _, older := range service.Open[:max(at, 0)] {
		if err := i.end(ctx, older, by); err != nil {
			return err
		}
	}
	return nil
}

// end supersedes one release, unless it has started, ended, or is not a planned one.
func (i *Intake) end(ctx context.Context, older, by string) error {
	for {
		h, err := i.store.Load(ctx, procedure.Aggregate(older))
		if err != nil {
			return err
		}
		s, _ := procedure.Fold(older, h.Entries)
		if s.Phase == procedure.PhaseNone || s.Phase > procedure.PhaseExecute || s.Started() ||
			s.Request.GetTrigger() != releasev1.Trigger_TRIGGER_PLANNED {
			return nil
		}
		_, err = i.store.Append(ctx, eventstore.Draft{
			Aggregate: procedure.Aggregate(older), Expect: h.Last, Previous: s.Head.Previous(),
			Event: &releasev1.Event{
				Actor:           &releasev1.Actor{Id: procedure.ServiceApproval, Kind: releasev1.Actor_KIND_SERVICE, Method: "service"},
				ProcedureDigest: s.ProcedureDigest,
				Data:            &releasev1.Event_Superseded{Superseded: &releasev1.Superseded{ByRelease: by}},
			},
		})
		if !errors.Is(err, eventstore.ErrSequenceConflict) {
			return err
		}
	}
}
