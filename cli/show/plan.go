package show

import (
	"fmt"

	"github.com/blackdice/shipwarden/cli/terminal"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// plan shows what a plan of Terraform would change, those that are destroyed first, and says
// plainly what is not known of it.
func (p *page) plan(a *releasev1.PinnedArtifact) {
	c := a.GetPlan()
	if c == nil {
		return
	}
	p.heading("What plan " + terminal.Escape(a.GetName()) + " would change")
	p.line("  %d to create, %d to update, %d to DESTROY, %d to REPLACE, %d to let go, %d actions to invoke, %d put off to another plan",
		c.GetCreate(), c.GetUpdate(), c.GetDelete(), c.GetReplace(), c.GetForget(), c.GetInvoke(), c.GetDeferred())
	for _, r := range c.GetChanges() {
		line := fmt.Sprintf("    %s %s", terminal.Word(r.GetAction(), "ACTION_"), terminal.Escape(r.GetAddress()))
		if r.GetAttributes() != "" {
			line += ": " + terminal.Escape(r.GetAttributes())
		}
		p.line("%s", line)
	}
	if total := c.GetCreate() + c.GetUpdate() + c.GetDelete() + c.GetReplace() + c.GetForget(); int(total) > len(c.GetChanges()) {
		p.line("    and others: %d of %d are shown, those that destroy first", len(c.GetChanges()), total)
	}
	if !c.GetAttributes() {
		p.line("    which attributes change is not known: a saved plan does not say it")
	}
}
