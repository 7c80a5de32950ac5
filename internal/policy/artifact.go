package policy

import (
	"strings"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// InRegistry reports whether an artifact lies in a registry and not below the artifact
// folder: an image does, and a chart whose location has not the name of an archive (PD-2.1).
// All that looks for it, or for what is beside it, tells them apart in this way.
func InRegistry(a *releasev1.Artifact) bool {
	return a.GetKind() == releasev1.ArtifactKind_ARTIFACT_KIND_OCI_IMAGE ||
		a.GetKind() == releasev1.ArtifactKind_ARTIFACT_KIND_HELM_CHART && !strings.HasSuffix(a.GetLocation(), ".tgz")
}
