// Package gates is the shell of step 1: it fetches the evidence that came with a
// release and lets every required gate judge it (PD-1.1 to PD-1.3).
//
// It wakes on requested, and appends gates_confirmed or gates_refused. Evidence
// that cannot be read from the store just now is a transient error; evidence that
// proves nothing is a verdict.
package gates

import (
	"context"
	"fmt"

	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/reactor"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/services/approval/evidence"
)

// Procedures gives the procedure document that a release runs under.
type Procedures interface {
	ByDigest(ctx context.Context, digest string) (*policy.Index, error)
}

// Blobs gives stored evidence by its digest.
type Blobs interface {
	Get(ctx context.Context, digest string) ([]byte, error)
}

// New returns the step.
func New(procedures Procedures, blobs Blobs) reactor.Step {
	s := shell{procedures, blobs}
	return reactor.Step{ID: procedure.StepGates, Act: s.act}
}

type shell struct {
	procedures Procedures
	blobs      Blobs
}

func (s shell) act(ctx context.Context, t reactor.Task) ([]eventstore.Draft, error) {
	index, err := s.procedures.ByDigest(ctx, t.State.ProcedureDigest)
	if err != nil {
		return nil, err
	}
	var envelopes [][]byte
	for _, ref := range t.State.Requested.GetEvidence() {
		b, err := s.blobs.Get(ctx, ref.GetDigest())
		if err != nil {
			return nil, fmt.Errorf("read evidence %s: %w", ref.GetDigest(), err)
		}
		envelopes = append(envelopes, b)
	}
	required := index.GatesFor(t.State.Request)
	verdicts, whole := evidence.Fit(evidence.Evaluate(index, required, t.State.Request, envelopes, t.Now))
	event := procedure.DecideGates(t.State, verdicts, func(gate string) bool { return whole && index.Gate(gate).GetBypassable() })
	return []eventstore.Draft{t.Draft(event)}, nil
}
