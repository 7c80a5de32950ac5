package document

import (
	"fmt"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// planChanges is what a plan of Terraform said that it would change, and what of it was not known.
func (w *writer) planChanges(a *releasev1.PinnedArtifact) {
	c := a.GetPlan()
	if c == nil {
		return
	}
	about := fmt.Sprintf("Plan %s: %d to create, %d to update, %d to destroy, %d to replace, %d to let go, %d actions to invoke, %d put off",
		escape(a.GetName()), c.GetCreate(), c.GetUpdate(), c.GetDelete(), c.GetReplace(), c.GetForget(), c.GetInvoke(), c.GetDeferred())
	if !c.GetAttributes() {
		about += "; which attributes change it does not say"
	}
	w.paragraph(sentence(about))
	var rows [][]string
	for _, r := range c.GetChanges() {
		rows = append(rows, []string{word(r.GetAction(), "ACTION_"), escape(r.GetAddress()), escape(r.GetAttributes())})
	}
	w.table([]string{"Action", "Resource (those that destroy first)", "Attributes"}, rows)
}
