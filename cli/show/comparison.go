package show

import (
	"fmt"
	"strings"

	"github.com/blackdice/shipwarden/cli/terminal"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
)

// comparison says what a proposed document would have changed of past releases, where the
// document in effect demands to know that (N-18).
func (p *page) comparison(c *approvalv1.Comparison) {
	if c == nil {
		return
	}
	total := c.GetTotal()
	p.heading("Past releases")
	p.line("  %d of the newest %d would have been answered otherwise%s.", total.GetChanged(), total.GetReleases(), stepsOf(c.GetSteps()))
	if n := total.GetUnknown(); n > 0 {
		p.line("  %d of them cannot be compared: approvals do not put this document into effect.", n)
	}
	t := terminal.NewTable()
	for _, d := range c.GetDifferences() {
		for _, a := range d.GetAnswers() {
			t.Add(d.GetRelease(), a.GetStep(), fmt.Sprintf("%d %s", a.GetSequence(), a.GetEvent()), a.GetBefore(), a.GetAfter())
		}
	}
	p.table("What would have been answered otherwise", t, "RELEASE", "STEP", "EVENT", "BEFORE", "AFTER")
	t = terminal.NewTable()
	for _, u := range c.GetUnknown() {
		t.Add(u.GetRelease(), u.GetReason())
	}
	p.table("What cannot be compared", t, "RELEASE", "WHY")
	if c.GetCut() {
		p.line("There is more than this: shipwarden evidence %s", terminal.Escape(total.GetDigest()))
	}
}

// stepsOf says in how many releases which step differs.
func stepsOf(all []*approvalv1.StepChange) string {
	var out []string
	for _, s := range all {
		out = append(out, fmt.Sprintf("step %s of %d", terminal.Escape(s.GetStep()), s.GetReleases()))
	}
	if len(out) == 0 {
		return ""
	}
	return ": " + strings.Join(out, ", ")
}
