package scope

import (
	"context"

	"github.com/blackdice/shipwarden/internal/standing"
	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// standings reads what the artifacts stand at: whether they were taken back anywhere,
// under whatever name, by whatever service, from whatever target (PD-2.3).
func (l *look) standings(ctx context.Context, r standing.Reader, pinned []*releasev1.PinnedArtifact) error {
	l.artifacts = map[string]standing.Artifact{}
	for i, a := range l.request.GetArtifacts() {
		digests := []string{a.GetDigest()}
		for _, p := range pinned[i].GetPlatforms() {
			digests = append(digests, p.GetDigest())
		}
		for _, digest := range digests {
			known, err := standing.ReadArtifact(ctx, r, digest)
			if err != nil {
				return err
			}
			l.artifacts[digest] = known
		}
	}
	return nil
}

// cleared reports whether an artifact of the release was in quarantine and two people
// let it out, so that what was taken back before stops it no longer.
func (l *look) cleared(digest string) bool {
	a, asked := l.artifacts[digest]
	return asked && a.LetOut()
}

// quarantine says which artifacts are in quarantine. One that was let out is called out:
// whoever approves the release is to know.
func (l *look) quarantine(pinned []*releasev1.PinnedArtifact, targets []*releasev1.ScopedTarget) {
	severity := func(of standing.Artifact) releasev1.Finding_Severity {
		return procedure.QuarantineSeverity(l.request, targets, of.State, l.index.Document().GetQuarantine().GetBypassable())
	}
	for i, a := range l.request.GetArtifacts() {
		held, rest, index := "", len(pinned[i].GetPlatforms()), standing.Artifact{}
		for _, p := range pinned[i].GetPlatforms() {
			image := l.artifacts[p.GetDigest()]
			if image.Held && held == "" {
				// An index that brings an image back is that image by another name.
				held = p.GetDigest()
				l.find(severity(image), procedure.RuleQuarantined, a.GetName(), "its image for %s, %s, is %s", p.GetPlatform(), held, image.Sentence())
			}
			if by, is := image.ByIndex(""); is {
				index, rest = by, rest-1
			}
		}
		switch known := l.artifacts[a.GetDigest()]; {
		case known.Held:
			l.find(severity(known), procedure.RuleQuarantined, a.GetName(), "%s", known.Sentence())
			l.around(severity(known), a)
		case held != "":
			l.around(severity(l.artifacts[held]), a)
		case index.Held && rest == 0:
			// All that is in it is in an index that was taken back, and in one with another
			// annotation the same would run. One with something new in it is another one.
			l.find(severity(index), procedure.RuleQuarantined, a.GetName(), "all its images are those of the index %s, which is %s", index.Digest, index.Sentence())
			l.around(severity(index), a)
		case len(known.Within) > 0:
			l.find(severity(known.Within[0]), procedure.RuleQuarantined, a.GetName(), "%s", procedure.OfIndex(known.Within[0].Digest, known.Within[0].Quarantined))
			l.around(severity(known.Within[0]), a)
		case l.cleared(a.GetDigest()):
			l.find(releasev1.Finding_SEVERITY_WARNING, "artifact.cleared", a.GetName(), "%s", known.Sentence())
		}
	}
}

// around notes that an emergency goes around the quarantine of an artifact.
func (l *look) around(severity releasev1.Finding_Severity, a *releasev1.Artifact) {
	if severity != releasev1.Finding_SEVERITY_BLOCKING && l.request.GetTrigger() == releasev1.Trigger_TRIGGER_EMERGENCY {
		l.bypassed = append(l.bypassed, procedure.QuarantineBypass(a.GetName()))
	}
}
