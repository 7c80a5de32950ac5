package scope

import (
	"slices"
	"strings"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/validator/resolve/inspect"
)

// plans says what the plans of Terraform in a release would change, and holds the JSON form,
// which approvers can read, against the saved plan, which is what is applied (PD-2.5): whoever
// made one of them may have made another one of the other.
func (l *look) plans(pinned []*releasev1.PinnedArtifact) {
	var saved, forms []*releasev1.PinnedArtifact
	for _, p := range pinned {
		switch {
		case p.GetPlan() == nil:
		case p.GetKind() == releasev1.ArtifactKind_ARTIFACT_KIND_TERRAFORM_PLAN:
			saved = append(saved, p)
		default:
			forms = append(forms, p)
		}
	}
	of := func(a, b *releasev1.PinnedArtifact) bool {
		return a.GetPlan().GetDigest() == b.GetPlan().GetDigest() && strings.HasPrefix(b.GetTitle(), a.GetTitle())
	}
	for _, p := range saved {
		l.changes(p)
		if !slices.ContainsFunc(forms, func(form *releasev1.PinnedArtifact) bool { return of(p, form) }) {
			l.find(releasev1.Finding_SEVERITY_WARNING, "plan.attributes", p.GetName(),
				"which attributes change, and how, is not known: a saved plan says it to the program that made it alone, and its JSON form is not released with it")
		}
	}
	for _, form := range forms {
		switch {
		case len(saved) == 0:
			l.changes(form)
			l.find(releasev1.Finding_SEVERITY_WARNING, "plan.alone", form.GetName(),
				"no saved plan is released with it: whether what is applied is what it says, nobody knows")
		case !slices.ContainsFunc(saved, func(p *releasev1.PinnedArtifact) bool { return of(p, form) }):
			l.find(l.severity(releasev1.Finding_SEVERITY_UNSPECIFIED, releasev1.Finding_SEVERITY_BLOCKING), "plan.differs", form.GetName(),
				"it is not the JSON form of a saved plan of this release: it says %s, and %s says %s", inspect.Words(form.GetPlan()), saved[0].GetName(), inspect.Words(saved[0].GetPlan()))
		}
	}
}

// changes says what a plan would change; that it destroys something is called out.
func (l *look) changes(p *releasev1.PinnedArtifact) {
	c := p.GetPlan()
	if c.GetDelete()+c.GetReplace() == 0 {
		l.find(releasev1.Finding_SEVERITY_OK, "plan.changes", p.GetName(), "%s", inspect.Words(c))
		return
	}
	var gone []string
	for _, r := range c.GetChanges() {
		switch r.GetAction() { //nolint:exhaustive // The others destroy nothing.
		case releasev1.ResourceChange_ACTION_DELETE, releasev1.ResourceChange_ACTION_REPLACE:
			gone = append(gone, r.GetAddress())
		}
	}
	l.find(releasev1.Finding_SEVERITY_WARNING, "plan.destroys", p.GetName(), "%s: what is there is gone: %s", inspect.Words(c), strings.Join(gone, ", "))
}
