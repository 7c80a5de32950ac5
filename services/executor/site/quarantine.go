package site

import (
	"context"
	"fmt"
	"time"

	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/reactor"
	"github.com/blackdice/shipwarden/internal/standing"
	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// Quarantine returns the draft that puts the artifact of a release into quarantine that is
// sent back now, to be stored in one batch with the event that says so, so that no crash
// lies between the two (PD-2.3). It is empty where the artifact never ran, or is there
// already because of this release; the digest says what goes there.
func (s *Site) Quarantine(ctx context.Context, t reactor.Task) (digest string, drafts []eventstore.Draft, err error) {
	digest = procedure.RemedyQuarantines(t.State)
	if digest == "" {
		return "", nil, nil
	}
	return s.quarantine(ctx, t, t.State, digest, procedure.WhyQuarantined(t.State, t.History.Entries, t.Now))
}

// QuarantineTaken is as Quarantine, for the release that this one was asked for to take
// back, and has.
func (s *Site) QuarantineTaken(ctx context.Context, t reactor.Task, now time.Time) (digest string, drafts []eventstore.Draft, err error) {
	release := procedure.ReleaseQuarantines(t.State)
	if release == "" {
		return "", nil, nil
	}
	h, err := s.Store.Beginning(ctx, procedure.Aggregate(release))
	if err != nil {
		return "", nil, fmt.Errorf("look at release %s, which is taken back: %w", release, err)
	}
	taken, _ := procedure.Fold(release, h.Entries)
	digest = procedure.RemedyQuarantines(taken)
	if digest == "" || digest == t.State.PrimaryArtifact().GetDigest() {
		return "", nil, nil // It never ran, or is what was placed again.
	}
	return s.quarantine(ctx, t, taken, digest, procedure.WhyTakenBack(taken, t.State, now))
}

// quarantine puts the artifact of a release there, and notes of its images that they are
// those of an index that is there.
func (s *Site) quarantine(ctx context.Context, t reactor.Task, of procedure.State, digest string, why *releasev1.QuarantineReason) (string, []eventstore.Draft, error) {
	artifact, err := standing.ReadArtifact(ctx, s.Store, digest)
	if err != nil {
		return "", nil, err
	}
	event := procedure.DecideQuarantine(artifact.Quarantined, digest, why)
	if event == nil {
		return "", nil, nil
	}
	drafts := []eventstore.Draft{t.Stamp(artifact.Draft(event))}
	for _, image := range procedure.ImagesOf(of, digest) {
		known, err := standing.ReadArtifact(ctx, s.Store, image)
		if err != nil {
			return "", nil, err
		}
		if event := procedure.DecideImage(known.Quarantined, known.Indexes(), image, digest, why.GetRelease()); event != nil {
			drafts = append(drafts, t.Stamp(known.Draft(event)))
		}
	}
	return digest, drafts, nil
}

// Quarantined looks again at the artifacts of a release before it starts: what another
// release did to them since step 2 counts here as it does there, and what this one did
// itself does not, for a person who orders another attempt knows of it. Of those for
// which an emergency is not stopped it returns the names.
func (s *Site) Quarantined(ctx context.Context, state procedure.State, bypassable bool) (findings []*releasev1.Finding, around []string, err error) {
	for _, a := range state.Artifacts {
		why, stands, err := s.heldOf(ctx, state.Release, a)
		if err != nil {
			return nil, nil, err
		}
		if why == "" {
			continue
		}
		if severity := procedure.QuarantineSeverity(state.Request, state.Targets, stands, bypassable); severity == releasev1.Finding_SEVERITY_BLOCKING {
			findings = append(findings, &releasev1.Finding{
				Rule: procedure.RuleQuarantined, Severity: severity, Subject: a.GetName(), Message: Line(why),
			})
		} else if state.Emergency() {
			around = append(around, procedure.QuarantineBypass(a.GetName()))
		}
	}
	return findings, around, nil
}

// heldOf says why an artifact is in quarantine, empty where it is not: by itself, as an image
// of an index that is, or, where it is an index, by one of the images in it, or by all of
// them being those of such an index. It returns the standing that says so, too. What the
// release itself did to them is left out.
func (s *Site) heldOf(ctx context.Context, release string, a *releasev1.PinnedArtifact) (why string, stands *releasev1.Quarantine, err error) {
	own, err := standing.ReadArtifact(ctx, s.Store, a.GetDigest())
	if err != nil {
		return "", nil, err
	}
	if others := own.Without(release); others.Held {
		return others.Sentence(), others.State, nil
	}
	if index, held := own.ByIndex(release); held {
		return procedure.OfIndex(index.Digest, index.Quarantined), index.State, nil
	}
	rest := len(a.GetPlatforms())
	for _, p := range a.GetPlatforms() {
		image, err := standing.ReadArtifact(ctx, s.Store, p.GetDigest())
		if err != nil {
			return "", nil, err
		}
		if others := image.Without(release); others.Held {
			return others.Sentence(), others.State, nil
		}
		if index, held := image.ByIndex(release); held {
			why, stands, rest = procedure.OfIndex(index.Digest, index.Quarantined), index.State, rest-1
		}
	}
	if rest > 0 {
		return "", nil, nil
	}
	return why, stands, nil
}
