package policy

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/blackdice/shipwarden/internal/freeze"
	"github.com/blackdice/shipwarden/procedure"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
)

// weighMore weighs how much depends on the service, when it would start, how large it is and
// what became of releases before it (PD-3.4). All of it is in the document, in the request
// and in what step 2 found of the targets, so that whoever has these finds the same.
func weighMore(document *policyv1.Procedure, s procedure.State, now time.Time, weigh func(fact string, weight uint32, count int)) {
	w, tier := document.GetRiskScore().GetWeights(), tierOf(document, s.Request.GetService())
	weigh("tier1", w.GetTier1(), one(tier == 1))
	weigh("tier2", w.GetTier2(), one(tier == 2))
	weigh("tier3", w.GetTier3(), one(tier == 3))
	weigh("off_hours", w.GetOffHours(), one(offHours(document, s, now)))
	weigh("dependent", w.GetDependent(), dependents(document, s.Request.GetService()))
	weigh("wave", w.GetWave(), len(s.Request.GetPlan().GetWaves()))
	weigh("artifact", w.GetArtifact(), len(s.Request.GetArtifacts()))
	weigh("failed_release", w.GetFailedRelease(), failedReleases(s))
}

func tierOf(document *policyv1.Procedure, service string) uint32 {
	for _, s := range document.GetServices() {
		if s.GetName() == service {
			return s.GetTier()
		}
	}
	return 0
}

func dependents(document *policyv1.Procedure, service string) int {
	n := 0
	for _, s := range document.GetServices() {
		n += one(slices.Contains(s.GetDependencies(), service))
	}
	return n
}

// WeighsHours reports whether a score depends on clocks on walls, and so on the time zone
// database.
func WeighsHours(document *policyv1.Procedure) bool {
	return document.GetRiskScore().GetWeights().GetOffHours() > 0 && len(document.GetRiskScore().GetWorkingHours()) > 0
}

// offHours reports whether nobody is at work when the release may start at the earliest, as
// far as that is known when it is weighed: then, or when the request lets it. Hours that
// cannot be understood are those of nobody; documents with such hours are refused.
func offHours(document *policyv1.Procedure, s procedure.State, now time.Time) bool {
	if !WeighsHours(document) {
		return false
	}
	at := now
	if nb := s.Request.GetNotBefore(); nb != nil && nb.AsTime().After(at) {
		at = nb.AsTime()
	}
	ends, err := freeze.QuietUntil(document.GetRiskScore().GetWorkingHours(), at)
	return err != nil || !ends.After(at)
}

// failedReleases counts the releases of the service that were taken back from the targets, of
// those that each of them remembers.
func failedReleases(s procedure.State) int {
	var all []string
	for _, t := range s.Targets {
		for _, d := range t.GetState().GetRolledBack() {
			if d.GetService() == s.Request.GetService() && !slices.Contains(all, d.GetRelease()) {
				all = append(all, d.GetRelease())
			}
		}
	}
	return len(all)
}

// workingHours checks that it can be told when people are at work, and when they are not.
func (c *checker) workingHours() {
	const field = "risk_score.working_hours"
	hours := c.document.GetRiskScore().GetWorkingHours()
	if c.document.GetRiskScore().GetWeights().GetOffHours() > 0 && len(hours) == 0 {
		c.report(field, "hours.missing", "off_hours weighs, and nothing says when people are at work")
	}
	// Times are in the same order every week, whichever it is.
	at := time.Date(2026, 6, 10, 12, 0, 0, 0, time.UTC)
	for i, h := range hours {
		if _, err := freeze.QuietUntil([]*policyv1.QuietHours{h}, at); err != nil && !errors.Is(err, freeze.ErrAlwaysQuiet) {
			c.report(fmt.Sprintf("%s[%d]", field, i), "hours.unclear", "%v", err)
			return
		}
	}
	if _, err := freeze.QuietUntil(hours, at); errors.Is(err, freeze.ErrAlwaysQuiet) {
		c.report(field, "hours.always", "people would be at work at all times, and off_hours never weigh")
	}
}
