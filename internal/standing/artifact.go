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
	// Within are the indexes in quarantine of which it is an image.
	Within []Artifact
}

// ByIndex returns the first of the indexes that hold it but for what one release did, empty
// for none: who orders a release again knows of that.
func (a Artifact) ByIndex(release string) (Artifact, bool) {
	for _, index := range a.Within {
		if index.Without(release).Held {
			return index, true
		}
	}
	return Artifact{}, false
}

// Indexes are the digests of the indexes in quarantine of which it is an image.
func (a Artifact) Indexes() []string {
	var out []string
	for _, index := range a.Within {
		out = append(out, index.Digest)
	}
	return out
}

// ReadArtifact reads what an artifact stands at, whoever released it under whatever name.
// One that was never in quarantine has no history. A newest event that does not count
// leaves it in quarantine (PD-2.3). Of one that is an image of indexes in quarantine, those
// are read as well.
func ReadArtifact(ctx context.Context, r Reader, digest string) (Artifact, error) {
	aggregate := procedure.ArtifactAggregate(digest)
	e, found, err := r.Last(ctx, aggregate)
	if err != nil {
		return Artifact{}, fmt.Errorf("read artifact %s: %w", digest, err)
	}
	if !found {
		return Artifact{Head: Head{Aggregate: aggregate}, Digest: digest}, nil
	}
	a := Artifact{Head: headOf(aggregate, e), Digest: digest, Quarantined: procedure.QuarantineOf(e.Event)}
	for _, index := range a.State.GetIndexes() {
		e, found, err := r.Last(ctx, procedure.ArtifactAggregate(index))
		if err != nil {
			return Artifact{}, fmt.Errorf("read artifact %s, of which %s is an image: %w", index, digest, err)
		}
		if q := (Artifact{Digest: index}); found {
			if q.Quarantined = procedure.QuarantineOf(e.Event); q.Held {
				a.Within = append(a.Within, q)
			}
		}
	}
	return a, nil
}
