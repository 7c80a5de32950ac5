package check_test

import (
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/validator/check"
)

// drawCheck draws thresholds, some of them absent; ratios are in hundredths, and near
// to what the samples can have.
func drawCheck(t *rapid.T) *releasev1.Check {
	c := &releasev1.Check{Name: "health"}
	if rapid.Bool().Draw(t, "has ratio") {
		c.MinPassRatio = proto.Float64(float64(rapid.IntRange(1, 100).Draw(t, "hundredths")) / 100)
	}
	if rapid.Bool().Draw(t, "has row") {
		c.MaxConsecutiveFailures = proto.Uint32(rapid.Uint32Range(1, 8).Draw(t, "row"))
	}
	if rapid.Bool().Draw(t, "has least") {
		c.MinSamples = proto.Uint32(rapid.Uint32Range(1, 12).Draw(t, "least"))
	}
	return c
}

// drawSamples draws samples that mostly pass, because verdicts are decided by few.
func drawSamples(t *rapid.T) []check.Sample {
	letters := rapid.StringOfN(rapid.SampledFrom([]rune("ppppppppffe")), 0, 40, -1).Draw(t, "samples")
	return samples(letters)
}

// TestAPassIsProved states in its own words, in whole numbers, what a pass needs.
func TestAPassIsProved(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c, all := drawCheck(t), drawSamples(t)
		r := check.Judge(c, all)
		if r.GetVerdict() != pass {
			return
		}
		least := int64(2)
		if c.MinSamples != nil {
			least = int64(c.GetMinSamples())
		}
		if answers := int64(r.GetPassed() + r.GetFailed()); answers < least {
			t.Fatalf("passed with %d answers of at least %d", answers, least)
		}
		hundredths := int64(100)
		if c.MinPassRatio != nil {
			hundredths = int64(c.GetMinPassRatio()*100 + 0.5)
		}
		// Every error counted as a failure: passed / all >= hundredths / 100.
		if int64(r.GetPassed())*100 < hundredths*int64(r.GetSamples()) {
			t.Fatalf("passed with %d of %d samples, %d%% must pass", r.GetPassed(), r.GetSamples(), hundredths)
		}
	})
}

// TestAFailureIsProved shows that errors never fail a check: with every error turned
// into a pass it still fails.
func TestAFailureIsProved(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c, all := drawCheck(t), drawSamples(t)
		c.MaxConsecutiveFailures = proto.Uint32(1000)
		if check.Judge(c, all).GetVerdict() != fail {
			return
		}
		for i := range all {
			if all[i].Outcome == check.Error {
				all[i].Outcome = check.Passed
			}
		}
		if got := check.Judge(c, all); got.GetVerdict() != fail {
			t.Fatalf("fails only by its errors: without them %v", got)
		}
	})
}

// TestAFailureMoreNeverHelps turns one pass into something worse.
func TestAFailureMoreNeverHelps(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c, all := drawCheck(t), drawSamples(t)
		before := check.Judge(c, all).GetVerdict()
		at := rapid.IntRange(0, max(len(all)-1, 0)).Draw(t, "at")
		if len(all) == 0 || all[at].Outcome != check.Passed {
			return
		}
		worse := slices.Clone(all)
		worse[at].Outcome = rapid.SampledFrom([]check.Outcome{check.Failed, check.Error}).Draw(t, "worse")
		after := check.Judge(c, worse).GetVerdict()
		if before != pass && after == pass {
			t.Fatalf("%v became a pass by a sample that is %v", before, worse[at].Outcome)
		}
		if before == fail && worse[at].Outcome == check.Failed && after != fail {
			t.Fatalf("a failure became %v by one failure more", after)
		}
	})
}

// TestNoDataIsNeverAPass has nothing but errors.
func TestNoDataIsNeverAPass(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := drawCheck(t)
		all := make([]check.Sample, rapid.IntRange(0, 50).Draw(t, "errors"))
		if got := check.Judge(c, all); got.GetVerdict() != inconclusive {
			t.Fatalf("no data is %v", got)
		}
	})
}

// TestOverallIsTheWorst adds results: none of them makes the whole better.
func TestOverallIsTheWorst(t *testing.T) {
	rank := map[releasev1.CheckResult_Verdict]int{pass: 0, inconclusive: 1, fail: 2}
	rapid.Check(t, func(t *rapid.T) {
		verdicts := rapid.SliceOfN(rapid.SampledFrom([]releasev1.CheckResult_Verdict{pass, inconclusive, fail}), 1, 10).Draw(t, "verdicts")
		var results []*releasev1.CheckResult
		worst := pass
		for _, v := range verdicts {
			results = append(results, &releasev1.CheckResult{Verdict: v})
			if rank[v] > rank[worst] {
				worst = v
			}
		}
		if got := check.Overall(results); got != worst {
			t.Fatalf("Overall(%v) = %v, want %v", verdicts, got, worst)
		}
	})
}
