package check_test

import (
	"math"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/validator/check"
)

const (
	pass         = releasev1.CheckResult_VERDICT_PASS
	fail         = releasev1.CheckResult_VERDICT_FAIL
	inconclusive = releasev1.CheckResult_VERDICT_INCONCLUSIVE
)

func TestJudge(t *testing.T) {
	ratio := func(r float64) *releasev1.Check { return &releasev1.Check{MinPassRatio: &r} }
	row := func(n uint32) *releasev1.Check { return &releasev1.Check{MaxConsecutiveFailures: &n} }
	least := func(n uint32) *releasev1.Check { return &releasev1.Check{MinSamples: &n} }
	half := func(row, least uint32) *releasev1.Check {
		return &releasev1.Check{MinPassRatio: proto.Float64(0.5), MaxConsecutiveFailures: &row, MinSamples: &least}
	}
	tests := []struct {
		name    string
		check   *releasev1.Check
		samples string // p passed, f failed, e error
		want    releasev1.CheckResult_Verdict
	}{
		{"no samples are no verdict", &releasev1.Check{}, "", inconclusive},
		{"one sample is less than two", &releasev1.Check{}, "p", inconclusive},
		{"two passes suffice by default", &releasev1.Check{}, "pp", pass},
		{"all must pass by default", &releasev1.Check{}, "pppf", fail},
		{"one failure alone is no verdict", &releasev1.Check{}, "f", inconclusive},
		{"three failures in a row fail by default", &releasev1.Check{}, "fff", fail},
		{"errors alone are no verdict, however many", &releasev1.Check{}, "eeeeeeee", inconclusive},
		{"an error is not an answer", &releasev1.Check{}, "pe", inconclusive},
		{"an error leaves open whether all passed", &releasev1.Check{}, "ppppe", inconclusive},
		{"an error does not hide a failure", &releasev1.Check{}, "pppef", fail},

		{"seven of ten are exactly 0.7", ratio(0.7), "ppfppfppfp", pass},
		{"six of ten are less than 0.7", ratio(0.7), "ppfppfpfpf", fail},
		{"an error that could not change it", ratio(0.7), "ppppppppe", pass},
		{"an error that could change it", ratio(0.7), "pppfppfe", inconclusive},
		{"errors that could not save it", ratio(0.9), "ppffppe", fail},
		{"99 of 100 are not 1", ratio(1), strings.Repeat("p", 99) + "f", fail},

		{"the row decides though the ratio holds", ratio(0.5), "pppppppfff", fail},
		{"a pass ends the row", ratio(0.5), "ffpffpppp", pass},
		{"an error does not end the row", ratio(0.1), "ppppppffef", fail},
		{"an error does not lengthen the row", ratio(0.5), "pppppffe", pass},
		{"a row of one", row(1), "ppppf", fail},
		{"a row of one needs no second sample", row(1), "f", fail},
		{"a longer row is allowed where it is said", half(4, 2), "ffffpppp", fail},
		{"a shorter one than that is not a row", half(5, 2), "ffffpppp", pass},

		{"as many samples as were asked for", least(5), "ppppp", pass},
		{"one sample less than that", least(5), "pppp", inconclusive},
		{"errors do not make up the number", half(3, 5), "ppppe", inconclusive},

		{"a ratio that is not a number", ratio(math.NaN()), "pppp", inconclusive},
		{"a ratio of zero would always hold", ratio(0), "pppp", inconclusive},
		{"a negative ratio would always hold", ratio(-1), "ffpf", inconclusive},
		{"an infinite ratio never holds", ratio(math.Inf(1)), "pppp", inconclusive},
		{"a minimum of zero means the default", least(0), "p", inconclusive},
		{"a row of zero means the default", row(0), "pp", pass},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.check.Name = "health"
			got := check.Judge(tt.check, samples(tt.samples))
			if got.GetVerdict() != tt.want {
				t.Errorf("%q: %v (%s), want %v", tt.samples, got.GetVerdict(), got.GetReason(), tt.want)
			}
			if got.GetCheck() != "health" || got.GetReason() == "" {
				t.Errorf("result without name or reason: %v", got)
			}
			want := [4]int{len(tt.samples), strings.Count(tt.samples, "p"), strings.Count(tt.samples, "f"), strings.Count(tt.samples, "e")}
			counted := [4]int{int(got.GetSamples()), int(got.GetPassed()), int(got.GetFailed()), int(got.GetErrors())}
			if counted != want {
				t.Errorf("counted %v, want %v", counted, want)
			}
		})
	}
}

func TestOverall(t *testing.T) {
	tests := []struct {
		name     string
		verdicts []releasev1.CheckResult_Verdict
		want     releasev1.CheckResult_Verdict
	}{
		{"nothing was looked at", nil, inconclusive},
		{"all passed", []releasev1.CheckResult_Verdict{pass, pass}, pass},
		{"one is open", []releasev1.CheckResult_Verdict{pass, inconclusive, pass}, inconclusive},
		{"one failed", []releasev1.CheckResult_Verdict{pass, fail, pass}, fail},
		{"a failure outweighs what is open", []releasev1.CheckResult_Verdict{inconclusive, fail}, fail},
		{"a verdict that was not given", []releasev1.CheckResult_Verdict{pass, 0}, inconclusive},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var results []*releasev1.CheckResult
			for _, v := range tt.verdicts {
				results = append(results, &releasev1.CheckResult{Verdict: v})
			}
			if got := check.Overall(results); got != tt.want {
				t.Errorf("Overall = %v, want %v", got, tt.want)
			}
		})
	}
}

// samples reads samples from letters.
func samples(letters string) []check.Sample {
	outcomes := map[rune]check.Outcome{'p': check.Passed, 'f': check.Failed, 'e': check.Error}
	var all []check.Sample
	for i, letter := range letters {
		all = append(all, check.Sample{Number: i, Outcome: outcomes[letter]})
	}
	return all
}

// A ratio is told as one: "1 must pass" reads as one sample.
func TestWhatMustPassIsAShareOfTheSamples(t *testing.T) {
	for _, test := range []struct {
		ratio   float64
		samples string
		want    string
	}{
		{1, "ppppppppppff", "2 of 12 samples failed, 100 % must pass"},
		{0.57, "ppff", "2 of 4 samples failed, 57 % must pass"},
		{0.999, "pppf", "1 of 4 samples failed, 99.9 % must pass"},
		{0.7, "pppfppfe", "1 of 8 samples could not be taken: that 70 % pass is neither shown nor refuted"},
	} {
		got := check.Judge(&releasev1.Check{MinPassRatio: &test.ratio}, samples(test.samples)).GetReason()
		if got != test.want {
			t.Errorf("%s: %q, want %q", test.samples, got, test.want)
		}
	}
}
