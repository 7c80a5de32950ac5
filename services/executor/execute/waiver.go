package execute

import (
	"context"
	"slices"
	"time"

	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/reactor"
	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// lapsed names the waivers that are over at that time and keep a release from starting
// (PD-1.2), and the gates that an emergency goes around instead: where it may, by the
// procedure document of the release and by the one in effect now if that has such a gate,
// the gate would not have stopped it without a waiver, and so does not for one that is over
// (PD-A.5). Of what has begun it names none.
func (s shell) lapsed(ctx context.Context, t reactor.Task, at time.Time) (stops []*releasev1.Waiver, around []string, err error) {
	gates := t.State.LapsedGates(at)
	if len(gates) == 0 || !begins(t.State) {
		return nil, nil, nil
	}
	documents, err := s.documents(ctx, t)
	if err != nil {
		return nil, nil, err
	}
	for _, g := range gates {
		strict := !documents[0].Gate(g.Gate).GetBypassable() || slices.ContainsFunc(documents, func(x *policy.Index) bool {
			gate := x.Gate(g.Gate)
			return gate != nil && !gate.GetBypassable()
		})
		if t.State.Emergency() && !strict {
			around = append(around, procedure.GateBypass(g.Gate))
		} else {
			stops = append(stops, g.Waiver)
		}
	}
	return stops, around, nil
}
