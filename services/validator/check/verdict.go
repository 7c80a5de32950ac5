package check

import (
	"fmt"

	"github.com/blackdice/shipwarden/internal/criterion"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// What holds where a check does not say otherwise.
const (
	DefaultMinPassRatio           = 1.0
	DefaultMaxConsecutiveFailures = 3
	DefaultMinSamples             = 2
	// LeastControlRatio is the share of looks at a control of security that must pass at least,
	// whatever its check says: of what could not be looked at for most of the time nothing is known.
	LeastControlRatio = 0.5
)

// The verdicts, under names that fit on a line.
const (
	pass         = releasev1.CheckResult_VERDICT_PASS
	fail         = releasev1.CheckResult_VERDICT_FAIL
	inconclusive = releasev1.CheckResult_VERDICT_INCONCLUSIVE
)

// Judge derives the verdict of one check on one target from all of its samples, in
// the order of their times. It is pure, and it knows no samples but these: whether
// the bake lasted to its end is for the caller to add.
//
// Errors are taken for failures where a pass is to be proved, and for passes where a
// failure is to be proved; what holds in neither way is inconclusive.
func Judge(c *releasev1.Check, samples []Sample) *releasev1.CheckResult {
	result := count(samples)
	result.Check = c.GetName()
	if criterion.AsksPeople(c) {
		result.Verdict, result.Reason = decideAnswered(samples)
		return result
	}
	result.Verdict, result.Reason = decide(c, result, longestFailure(samples))
	return result
}

// decide applies the thresholds.
func decide(c *releasev1.Check, r *releasev1.CheckResult, run uint32) (releasev1.CheckResult_Verdict, string) {
	ratio, valid := minPassRatio(c)
	answers := r.GetPassed() + r.GetFailed()
	switch {
	case !valid:
		return inconclusive, fmt.Sprintf("min_pass_ratio %v is not in (0, 1]", ratio)
	case r.GetFailed() > 0 && criterion.Hard(c):
		return fail, fmt.Sprintf("%d of %d samples failed, and not one may", r.GetFailed(), r.GetSamples())
	case run >= maxConsecutiveFailures(c):
		return fail, fmt.Sprintf("%d failures one after the other", run)
	case answers < minSamples(c):
		return inconclusive, fmt.Sprintf("%d of %d samples had an answer, at least %d are needed",
			answers, r.GetSamples(), minSamples(c))
	case share(r.GetPassed()+r.GetErrors(), r.GetSamples()) < ratio:
		return fail, fmt.Sprintf("%d of %d samples failed, %s must pass", r.GetFailed(), r.GetSamples(), percent(ratio))
	case share(r.GetPassed(), r.GetSamples()) >= ratio:
		return pass, fmt.Sprintf("%d of %d samples passed", r.GetPassed(), r.GetSamples())
	}
	return inconclusive, fmt.Sprintf("%d of %d samples could not be taken: that %s pass is neither shown nor refuted",
		r.GetErrors(), r.GetSamples(), percent(ratio))
}

// Overall is the verdict of all results together: one failure fails all, else one
// inconclusive result leaves all open. No result at all is inconclusive.
func Overall(results []*releasev1.CheckResult) releasev1.CheckResult_Verdict {
	verdict := inconclusive
	if len(results) > 0 {
		verdict = pass
	}
	for _, r := range results {
		switch r.GetVerdict() {
		case releasev1.CheckResult_VERDICT_FAIL:
			return fail
		case releasev1.CheckResult_VERDICT_PASS:
		case releasev1.CheckResult_VERDICT_INCONCLUSIVE, releasev1.CheckResult_VERDICT_UNSPECIFIED:
			verdict = inconclusive
		}
	}
	return verdict
}

// count counts the samples by outcome.
func count(samples []Sample) *releasev1.CheckResult {
	r := &releasev1.CheckResult{}
	for _, s := range samples {
		r.Samples++
		switch s.Outcome {
		case Passed:
			r.Passed++
		case Failed:
			r.Failed++
		case Error:
			r.Errors++
		}
	}
	return r
}

// longestFailure is the length of the longest run of failures. An error neither
// lengthens nor ends a run: nothing was seen that speaks against it.
func longestFailure(samples []Sample) uint32 {
	var run, longest uint32
	for _, s := range samples {
		switch s.Outcome {
		case Passed:
			run = 0
		case Failed:
			run++
			longest = max(longest, run)
		case Error:
		}
	}
	return longest
}

// percent writes a ratio so that nobody takes it for a number of samples.
func percent(ratio float64) string { return fmt.Sprintf("%.6g %%", ratio*100) }

// share divides once, so that 7 of 10 is exactly the ratio that 0.7 is read as.
func share(part, whole uint32) float64 { return float64(part) / float64(whole) }

// minPassRatio returns the share of samples that must pass, and whether it is one.
// The comparison is written so that NaN is none.
func minPassRatio(c *releasev1.Check) (float64, bool) {
	if c == nil || c.MinPassRatio == nil {
		return DefaultMinPassRatio, true
	}
	ratio := c.GetMinPassRatio()
	valid := ratio > 0 && ratio <= 1
	if valid && criterion.Hard(c) {
		ratio = max(ratio, LeastControlRatio)
	}
	return ratio, valid
}

// maxConsecutiveFailures returns how many failures in a row end the bake.
func maxConsecutiveFailures(c *releasev1.Check) uint32 {
	if n := c.GetMaxConsecutiveFailures(); n > 0 {
		return n
	}
	return DefaultMaxConsecutiveFailures
}

// minSamples returns how many answers a verdict needs.
func minSamples(c *releasev1.Check) uint32 {
	if n := c.GetMinSamples(); n > 0 {
		return n
	}
	return DefaultMinSamples
}
