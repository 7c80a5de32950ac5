package standing

import (
	"context"
	"fmt"

	"github.com/blackdice/shipwarden/procedure"
)

// Artifact is whether an artifact may be released, by its digest.
type Artifact struct {
	Head
	procedure.Quarantined

	// Digest is "sha256:…".
	Digest string
}

// ReadArtifact reads what an artifact stands at, whoever released it under whatever name.
// One that was never in quarantine has no history. A newest event that does not count
// leaves it in quarantine (PD-2.3).
func ReadArtifact(ctx context.Context, r Reader, digest string) (Artifact, error) {
	aggregate := procedure.ArtifactAggregate(digest)
	e, found, err := r.Last(ctx, aggregate)
	if err != nil {
		return Artifact{}, fmt.Errorf("read artifact %s: %w", digest, err)
	}
	if !found {
		return Artifact{Head: Head{Aggregate: aggregate}, Digest: digest}, nil
	}
	return Artifact{Head: headOf(aggregate, e), Digest: digest, Quarantined: procedure.QuarantineOf(e.Event)}, nil
}
