package scope

import (
	"slices"

	"github.com/blackdice/shipwarden/internal/criterion"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// sources looks whether there is an address of every source of metrics that a check asks which the
// release or its way back will be looked at with: a check without one comes to no verdict
// when the release is in production already (PD-6.1). Each source is one finding. Only the
// validator knows, so that nobody can tell before this step.
func (l *look) sources(configured []string) {
	said := map[string]bool{}
	catalogue := l.index.Service(l.request.GetService()).GetChecks()
	for _, c := range slices.Concat(criterion.Looked(l.request, catalogue, false), criterion.Looked(l.request, catalogue, true)) {
		source := c.GetPrometheus().GetSource()
		if source == "" || said[source] || slices.Contains(configured, source) {
			continue
		}
		said[source] = true
		l.find(l.severity(releasev1.Finding_SEVERITY_UNSPECIFIED, releasev1.Finding_SEVERITY_BLOCKING), "check.source", source,
			"the validator has no address of the source of metrics %s: check %s, which asks it, would come to no verdict", source, c.GetName())
	}
}
