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
	return s.quarantine(ctx, t, digest, procedure.WhyQuarantined(t.State, t.History.Entries, t.Now))
}

// QuarantineTaken is as Quarantine, for the release that this one was asked for to take
// back, and has.
func (s *Site) QuarantineTaken(ctx context.Context, t reactor.Task, now time.Time) (digest string, drafts []eventstore.Draft, err error) {
	release := procedure.ReleaseQuarantines(t.State)
	if release == "" {
		return "", nil, nil
	}
	h, err := s.Store.Load(ctx, procedure.Aggregate(release))
	if err != nil {
		return "", nil, fmt.Errorf("look at release %s, which is taken back: %w", release, err)
	}
	taken, _ := procedure.Fold(release, h.Entries)
	digest = procedure.RemedyQuarantines(taken)
	if digest == "" || digest == t.State.PrimaryArtifact().GetDigest() {
		return "", nil, nil // It never ran, or is what was placed again.
	}
	return s.quarantine(ctx, t, digest, procedure.WhyTakenBack(taken, t.State, now))
}

func (s *Site) quarantine(ctx context.Context, t reactor.Task, digest string, why *releasev1.QuarantineReason) (string, []eventstore.Draft, error) {
	artifact, err := standing.ReadArtifact(ctx, s.Store, digest)
	if err != nil {
		return "", nil, err
	}
	event := procedure.DecideQuarantine(artifact.Quarantined, digest, why)
	if event == nil {
		return "", nil, nil
	}
	return digest, []eventstore.Draft{t.Stamp(artifact.Draft(event))}, nil
}

// Quarantined looks again at the artifacts of a release before it starts: what another
// release did to them since step 2 counts here as it does there, and what this one did
// itself does not, for a person who orders another attempt knows of it. Of those for
// which an emergency is not stopped it returns the names.
func (s *Site) Quarantined(ctx context.Context, state procedure.State, bypassable bool) (findings []*releasev1.Finding, around []string, err error) {
	for _, a := range state.Artifacts {
		others, err := s.heldOf(ctx, state.Release, a)
		if err != nil {
			return nil, nil, err
		}
		if !others.Held {
			continue
		}
		if severity := procedure.QuarantineSeverity(state.Request, state.Targets, others.State, bypassable); severity == releasev1.Finding_SEVERITY_BLOCKING {
			findings = append(findings, &releasev1.Finding{
				Rule: procedure.RuleQuarantined, Severity: severity, Subject: a.GetName(), Message: Line(others.Sentence()),
			})
		} else if state.Emergency() {
			around = append(around, procedure.QuarantineBypass(a.GetName()))
		}
	}
	return findings, around, nil
}

// heldOf is the first standing in quarantine of an artifact and, where it is an index, of
// the images in it, without what the release itself did to them.
func (s *Site) heldOf(ctx context.Context, release string, a *releasev1.PinnedArtifact) (procedure.Quarantined, error) {
	digests := []string{a.GetDigest()}
	for _, p := range a.GetPlatforms() {
		digests = append(digests, p.GetDigest())
	}
	for _, digest := range digests {
		artifact, err := standing.ReadArtifact(ctx, s.Store, digest)
		if err != nil {
			return procedure.Quarantined{}, err
		}
		if others := artifact.Without(release); others.Held {
			return others, nil
		}
	}
	return procedure.Quarantined{}, nil
}
