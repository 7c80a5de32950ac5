package scope

import (
	"context"

	"github.com/blackdice/shipwarden/internal/standing"
	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// standings reads what the artifacts stand at: whether they were taken back anywhere,
// under whatever name, by whatever service, from whatever target (PD-2.3).
func (l *look) standings(ctx context.Context, r standing.Reader) error {
	l.artifacts = map[string]standing.Artifact{}
	for _, a := range l.request.GetArtifacts() {
		known, err := standing.ReadArtifact(ctx, r, a.GetDigest())
		if err != nil {
			return err
		}
		l.artifacts[a.GetDigest()] = known
	}
	return nil
}

// cleared reports whether an artifact of the release was in quarantine and two people
// let it out, so that what was taken back before stops it no longer.
func (l *look) cleared(digest string) bool {
	a, asked := l.artifacts[digest]
	return asked && a.State != nil && !a.Held
}

// quarantine says which artifacts are in quarantine. One that was let out is called out:
// whoever approves the release is to know.
func (l *look) quarantine(targets []*releasev1.ScopedTarget) {
	severity := procedure.QuarantineSeverity(l.request, targets, l.index.Document().GetQuarantine().GetBypassable())
	for _, a := range l.request.GetArtifacts() {
		switch known := l.artifacts[a.GetDigest()]; {
		case l.cleared(a.GetDigest()):
			l.find(releasev1.Finding_SEVERITY_WARNING, "artifact.cleared", a.GetName(), "%s", known.Sentence())
		case known.Held:
			l.find(severity, procedure.RuleQuarantined, a.GetName(), "%s", known.Sentence())
			if severity != releasev1.Finding_SEVERITY_BLOCKING && l.request.GetTrigger() == releasev1.Trigger_TRIGGER_EMERGENCY {
				l.bypassed = append(l.bypassed, procedure.QuarantineBypass(a.GetName()))
			}
		}
	}
}
