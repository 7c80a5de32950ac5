package execute

import (
	"context"
	"slices"
	"time"

	"github.com/blackdice/shipwarden/internal/reactor"
	"github.com/blackdice/shipwarden/internal/verdict"
	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// lapsed names the waivers that keep a release from starting at that time (PD-1.2): those
// that are over, and those that do not say for which environment they were given. And it
// names the gates that an emergency goes around instead: where it may, by the procedure
// document of the release and by the one in effect now if that has such a gate, the gate
// would not have stopped it without a waiver, and so does not for one that counts for
// nothing (PD-A.5). Of what has begun it names none.
func (s shell) lapsed(ctx context.Context, t reactor.Task, at time.Time) (over, unbound []*releasev1.Waiver, around []string, err error) {
	late, nowhere := t.State.LapsedGates(at), t.State.UnboundGates()
	if len(late)+len(nowhere) == 0 || !begins(t.State) {
		return nil, nil, nil, nil
	}
	documents, err := s.documents(ctx, t)
	if err != nil {
		return nil, nil, nil, err
	}
	stops := func(gates []procedure.LapsedGate) (all []*releasev1.Waiver) {
		for _, g := range gates {
			if b := procedure.GateBypass(g.Gate); !verdict.Bypassable(t.State, g.Gate, documents...) {
				all = append(all, g.Waiver)
			} else if !slices.Contains(around, b) {
				around = append(around, b)
			}
		}
		return all
	}
	over, unbound = stops(late), stops(nowhere)
	return over, unbound, around, nil
}
