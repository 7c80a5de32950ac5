package show

import (
	"fmt"

	"github.com/blackdice/shipwarden/cli/terminal"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// alarms are what sources of alerts said when the newest start was looked at.
func (p *page) alarms(all []*releasev1.AlertAnswer) {
	t := terminal.NewTable()
	for _, a := range all {
		said := fmt.Sprintf("%d active", a.GetActive())
		if a.GetError() != "" {
			said = a.GetError()
		}
		t.Add(a.GetSource(), said, a.GetAnswer().GetDigest())
	}
	p.table("Alerts at the newest start", t, "SOURCE", "SAID", "WHAT DECIDES")
}
