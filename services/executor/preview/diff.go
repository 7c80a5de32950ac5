package preview

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/blackdice/shipwarden/internal/reactor"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/site"
)

const (
	// rulePreview names a target whose own tool could not say what would change.
	rulePreview = "preview"
	// ruleCut names a target whose own tool said more than is kept and shown.
	ruleCut = "preview.cut"
	// patience is how many times a target is asked at which somebody else is at work, such as at a
	// plan of their own: minutes, since each time the tool waits for them as well.
	patience = 8
)

// diff asks the tool of the target's own what would change (PD-2.5). It is asked twice,
// because the start compares: an answer with a time of day in it would be approved by
// people and then refused in the window that they gave it, by night. Where it gives none a
// planned release is refused, after it was tried again while somebody else was at work there; one that
// cannot wait goes on without, called out.
func (s shell) diff(ctx context.Context, t reactor.Task, target, back string) (driver.Diff, []*releasev1.Finding, error) {
	state := t.State
	say := func(rule string, severity releasev1.Finding_Severity, message string) []*releasev1.Finding {
		return []*releasev1.Finding{{Rule: rule, Severity: severity, Subject: target, Message: site.Short(message)}}
	}
	d, err := s.Diff(ctx, state, target, back)
	if err != nil || !d.Asked {
		return d, nil, err
	}
	if d.Failed == "" {
		again, err := s.Diff(ctx, state, target, back)
		switch {
		case err != nil:
			return d, nil, err
		case again.Failed != "":
			d = again
		case again.Text != d.Text:
			d.Failed = "asked twice, it says two things, so that its answer could never be held against what was approved"
		}
	}
	planned := state.Request.GetTrigger() == releasev1.Trigger_TRIGGER_PLANNED
	switch {
	case d.Busy && planned && t.Delivery < patience:
		return d, nil, fmt.Errorf("target %s: its own tool: %s: %w", target, d.Failed, driver.ErrBusy)
	case d.Failed != "" && planned:
		return d, say(rulePreview, releasev1.Finding_SEVERITY_BLOCKING, "its own tool: "+d.Failed), nil
	case d.Failed != "":
		return d, say(rulePreview, releasev1.Finding_SEVERITY_WARNING, "its own tool: "+d.Failed), nil
	case d.LeftOut:
		return d, say(ruleCut, releasev1.Finding_SEVERITY_WARNING, "its own tool prints more than is shown; what was left out is compared at the start as well"), nil
	}
	return d, nil, nil
}

// printed is what the tool said, or why it did not, behind all else that approvers read of a
// target.
func printed(d driver.Diff) string {
	if !d.Asked {
		return ""
	}
	out := "\nwhat its own tool printed\n" + d.Text
	if d.Failed != "" {
		out += "\nand it gave no answer: " + d.Failed + "\n"
	}
	return out
}

// ending is the last line of what the tool said, which sums it up as a rule.
func ending(d driver.Diff) string {
	if last := strings.TrimSpace(d.Last); last != "" && d.Failed == "" {
		return "; its preview ends with: " + last
	}
	return ""
}

// joined is the findings with one warning of each of the tools' rules for all targets
// together: room for one of a hundred was looked at before there was a release.
func joined(findings []*releasev1.Finding) []*releasev1.Finding {
	var out []*releasev1.Finding
	more := map[int]int{}
	for _, f := range findings {
		i := -1
		if f.GetSeverity() == releasev1.Finding_SEVERITY_WARNING && (f.GetRule() == rulePreview || f.GetRule() == ruleCut) {
			i = slices.IndexFunc(out, func(o *releasev1.Finding) bool {
				return o.GetRule() == f.GetRule() && o.GetSeverity() == f.GetSeverity()
			})
		}
		if i < 0 {
			out = append(out, f)
			continue
		}
		more[i]++
	}
	for i, n := range more {
		out[i].Message = site.Short(fmt.Sprintf("here and on %d more: %s", n, out[i].GetMessage()))
	}
	return out
}
