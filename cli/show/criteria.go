package show

import (
	"fmt"
	"strings"

	"github.com/blackdice/shipwarden/cli/terminal"
	"github.com/blackdice/shipwarden/internal/criterion"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// What holds where a check says nothing else; the contract says so (request.proto).
const (
	usualFailures = 3
	usualSamples  = 2
)

// criteria are everything that decides whether the release is good.
func (p *page) criteria(pending *approvalv1.Pending) {
	all, v := pending.GetChecks(), pending.GetRequest().GetValidation()
	t := terminal.NewTable()
	for _, c := range all {
		t.Add(c.GetName(), criterion.Words(c), bounds(c))
	}
	if a := pending.GetArtifacts(); len(a) > 0 {
		t.Add("target.digest", "every target runs "+a[0].GetDigest(), "at the beginning and at the end")
	}
	if v.GetBake() != nil {
		t.Add("over", v.GetBake().AsDuration().String(), "each check every "+v.GetInterval().AsDuration().String())
	}
	p.table("Counts as good when", t)
}

// checks are the request's own checks of the way back; those of the catalog come on top.
func (p *page) checks(title string, all []*releasev1.Check) {
	t := terminal.NewTable()
	for _, c := range all {
		t.Add(c.GetName(), criterion.Words(c), bounds(c))
	}
	p.table(title, t)
}

// bounds are how many of its samples a check needs.
func bounds(c *releasev1.Check) string {
	failures, samples := uint32(usualFailures), uint32(usualSamples)
	if c.MaxConsecutiveFailures != nil {
		failures = c.GetMaxConsecutiveFailures()
	}
	if c.MinSamples != nil {
		samples = c.GetMinSamples()
	}
	share := "all samples"
	if c.MinPassRatio != nil && c.GetMinPassRatio() < 1 {
		share = strings.TrimSuffix(fmt.Sprintf("%.2f", 100*c.GetMinPassRatio()), ".00") + "% of the samples"
	}
	return fmt.Sprintf("%s, at least %d; %d failures in a row end it", share, samples, failures)
}
