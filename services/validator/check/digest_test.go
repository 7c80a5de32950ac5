package check_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/validator/check"
	"github.com/blackdice/shipwarden/services/validator/target"
)

var (
	approved = "sha256:" + strings.Repeat("a", 64)
	other    = "sha256:" + strings.Repeat("b", 64)
)

func TestWhatRunsIsJudged(t *testing.T) {
	starting := errors.New("connection refused")
	tests := []struct {
		name    string
		digest  func(id string, question int) (string, error)
		verdict releasev1.CheckResult_Verdict
		took    time.Duration
		reason  string
	}{
		{
			"the approved artifact", func(string, int) (string, error) { return approved, nil },
			pass, 10 * time.Second, "all 6 results passed",
		},
		{"another artifact on one target", func(id string, _ int) (string, error) {
			if id == "eu2" {
				return other, nil
			}
			return approved, nil
		}, fail, 0, "target.digest on eu2: runs another artifact"},
		{"another artifact at the end, though all checks passed", func(id string, question int) (string, error) {
			if id == "eu2" && question > 0 {
				return other, nil
			}
			return approved, nil
		}, fail, 10 * time.Second, "target.digest on eu2: runs another artifact"},
		{
			"a target that can never tell", func(string, int) (string, error) { return "", target.ErrNoDigest },
			inconclusive, 0, "no way of telling",
		},
		{
			"a target that never tells", func(string, int) (string, error) { return "", starting },
			inconclusive, 10 * time.Second, "did not tell what it runs: connection refused",
		},
		{"a target that was just starting", func(_ string, question int) (string, error) {
			if question < 2 {
				return "", starting
			}
			return approved, nil
		}, pass, 10 * time.Second, "all 6 results passed"},
		{"another artifact after the start", func(_ string, question int) (string, error) {
			if question < 2 {
				return "", starting
			}
			return other, nil
		}, fail, 2 * time.Second, "runs another artifact"},
		{"a target that is slow to tell at the end", func(_ string, question int) (string, error) {
			if question == 1 {
				return "", starting
			}
			return approved, nil
		}, pass, 11 * time.Second, "all 6 results passed"},
		{"a target that does not tell at the end", func(_ string, question int) (string, error) {
			if question > 0 {
				return "", starting
			}
			return approved, nil
		}, inconclusive, 12 * time.Second, "did not tell at the end"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				world := newWorld("")
				world.digest = tt.digest
				begin := time.Now()
				report := world.bake(t, plan(t, "eu1", "eu2"))
				if report.Verdict != tt.verdict {
					t.Errorf("%v, want %v", report.Verdict, tt.verdict)
				}
				if reason := report.Verification.GetReason(); !strings.Contains(reason, tt.reason) {
					t.Errorf("reason %q, want %q", reason, tt.reason)
				}
				if took := time.Since(begin); took != tt.took {
					t.Errorf("took %v, want %v", took, tt.took)
				}
				if len(report.Verification.GetResults()) != 6 {
					t.Errorf("%d results, want one for each check and one for the artifact of two targets", len(report.Verification.GetResults()))
				}
			})
		})
	}
}

func TestNothingIsSampledWhereAnotherArtifactRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		world := newWorld("")
		world.digest = func(string, int) (string, error) { return other, nil }
		report := world.bake(t, plan(t, "eu1"))
		expect(t, report, "target.digest eu1 FAIL 0/1/0", "health eu1 INCONCLUSIVE 0/0/0", "port eu1 INCONCLUSIVE 0/0/0")
	})
}

func TestWithoutAnApprovedDigestNothingPasses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := plan(t, "eu1")
		p.Subjects[0].Digest = ""
		world := newWorld("")
		world.digest = func(string, int) (string, error) { return "", nil }
		if report := world.bake(t, p); report.Verdict != inconclusive {
			t.Errorf("%v: %s", report.Verdict, report.Verification.GetReason())
		}
	})
}

// TestADeadTargetFails has a target that refuses every connection: that it does not
// tell what it runs must not hide that it does not work.
func TestADeadTargetFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		world := newWorld("fffffffffff")
		world.digest = func(string, int) (string, error) { return "", target.ErrNoAnswer }
		report := world.bake(t, plan(t, "eu1"))
		if report.Verdict != fail {
			t.Errorf("%v: %s", report.Verdict, report.Verification.GetReason())
		}
	})
}

// plan returns a plan of ten seconds with an HTTP and a TCP check.
func plan(t *testing.T, ids ...string) check.Plan {
	t.Helper()
	p := check.Plan{
		Checks: []*releasev1.Check{
			{Name: "health", Probe: &releasev1.Check_Http{Http: &releasev1.HttpProbe{Path: "/health"}}},
			{Name: "port", Probe: &releasev1.Check_Tcp{Tcp: &releasev1.TcpProbe{}}},
		},
		Bake: 10 * time.Second, Interval: time.Second,
	}
	for _, id := range ids {
		looked, err := target.New(&configv1.TargetAddress{Target: id, BaseUrl: "http://shop.example"}, nil)
		if err != nil {
			t.Fatal(err)
		}
		p.Subjects = append(p.Subjects, check.Subject{Target: looked, Digest: approved})
	}
	return p
}

// expect compares the results, each as "check target VERDICT passed/failed/errors".
func expect(t *testing.T, report check.Report, want ...string) {
	t.Helper()
	var got []string
	for _, r := range report.Verification.GetResults() {
		verdict := strings.TrimPrefix(r.GetVerdict().String(), "VERDICT_")
		got = append(got, fmt.Sprintf("%s %s %s %d/%d/%d", r.GetCheck(), r.GetTarget(), verdict, r.GetPassed(), r.GetFailed(), r.GetErrors()))
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("results:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// sampleNumbers reads the numbers of the samples of one check from the document.
func sampleNumbers(t *testing.T, report check.Report, name string) []int {
	t.Helper()
	var d struct {
		Targets []struct {
			Results []struct {
				Check   string
				Samples []struct{ Number int }
			}
		}
	}
	if err := json.Unmarshal(report.Document, &d); err != nil {
		t.Fatal(err)
	}
	var numbers []int
	for _, result := range d.Targets[0].Results {
		if result.Check == name {
			for _, s := range result.Samples {
				numbers = append(numbers, s.Number)
			}
		}
	}
	return numbers
}
