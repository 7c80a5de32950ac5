package check_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/validator/check"
	"github.com/blackdice/shipwarden/services/validator/target"
)

func TestBakeThatPasses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		world := newWorld("")
		begin := time.Now()
		report := world.bake(t, plan(t, "eu1", "eu2"))
		if report.Verdict != pass || time.Since(begin) != 10*time.Second {
			t.Errorf("%v after %v: %s", report.Verdict, time.Since(begin), report.Verification.GetReason())
		}
		expect(t, report, "target.digest eu1 PASS 2/0/0", "health eu1 PASS 11/0/0", "port eu1 PASS 11/0/0",
			"target.digest eu2 PASS 2/0/0", "health eu2 PASS 11/0/0", "port eu2 PASS 11/0/0")
		v := report.Verification
		if !v.GetStarted().AsTime().Equal(begin) || v.GetEnded().AsTime().Sub(begin) != 10*time.Second {
			t.Errorf("from %v to %v", v.GetStarted().AsTime(), v.GetEnded().AsTime())
		}
	})
}

func TestBakeEndsEarlyAfterFailuresInARow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		world := newWorld("ppfff")
		world.only = "eu1"
		begin := time.Now()
		report := world.bake(t, plan(t, "eu1", "eu2"))
		if report.Verdict != fail || time.Since(begin) != 4*time.Second {
			t.Errorf("%v after %v: %s", report.Verdict, time.Since(begin), report.Verification.GetReason())
		}
		want := "health on eu1: 3 failures one after the other; ended early: check health failed 3 times in a row on eu1"
		if reason := report.Verification.GetReason(); reason != want {
			t.Errorf("reason %q, want %q", reason, want)
		}
		for _, r := range report.Verification.GetResults() {
			if r.GetVerdict() == pass {
				t.Errorf("%s on %s passed by a part of the bake", r.GetCheck(), r.GetTarget())
			}
		}
	})
}

func TestBakeLooksAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := plan(t, "eu1")
		p.Interval = time.Hour
		report := newWorld("pf").bake(t, p)
		expect(t, report, "target.digest eu1 PASS 2/0/0", "health eu1 FAIL 1/1/0", "port eu1 PASS 2/0/0")
	})
}

func TestErrorsAreNeverAPass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		report := newWorld("eeeeeeeeeee").bake(t, plan(t, "eu1"))
		if report.Verdict != inconclusive {
			t.Errorf("%v", report.Verdict)
		}
		expect(t, report, "target.digest eu1 PASS 2/0/0", "health eu1 INCONCLUSIVE 0/0/11", "port eu1 PASS 11/0/0")
	})
}

func TestSlowAnswersAreNotCountedTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		world := newWorld("")
		world.delay = 2500 * time.Millisecond
		report := world.bake(t, plan(t, "eu1"))
		// At 0, 2.5 (late for 2), 5, 7.5 and 10.
		expect(t, report, "target.digest eu1 PASS 2/0/0", "health eu1 PASS 5/0/0", "port eu1 PASS 11/0/0")
		numbers := sampleNumbers(t, report, "health")
		for i := 1; i < len(numbers); i++ {
			if numbers[i] <= numbers[i-1] {
				t.Errorf("sample numbers %v", numbers)
			}
		}
	})
}

func TestATargetThatIsSlowToSayWhatItRunsIsLookedAtForAllOfTheBake(t *testing.T) {
	tests := []struct {
		name              string
		late, slow, takes time.Duration
		health, notes     string
	}{
		{"a little", 0, 3 * time.Second, 10 * time.Second, "health eu1 PASS 8/0/0", ""},
		{"most of the bake", 0, 7 * time.Second, 17 * time.Second, "health eu1 PASS 11/0/0", "a fresh window was taken"},
		{"longer than the bake", 0, 15 * time.Second, 25 * time.Second, "health eu1 PASS 11/0/0", "a fresh window was taken"},
		{"what was left to who took over", 3500 * time.Millisecond, 5 * time.Second, 15 * time.Second, "health eu1 PASS 11/0/0", "a fresh window was taken"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				world := newWorld("")
				world.digest = func(_ string, question int) (string, error) {
					if question == 0 {
						<-time.After(tt.slow)
					}
					return approved, nil
				}
				begin, p := time.Now(), plan(t, "eu1")
				if tt.late > 0 {
					p.Start = begin.Add(-tt.late)
				}
				report := world.bake(t, p)
				expect(t, report, "target.digest eu1 PASS 2/0/0", tt.health, strings.Replace(tt.health, "health", "port", 1))
				if took := time.Since(begin); took != tt.takes {
					t.Errorf("took %v, want %v", took, tt.takes)
				}
				if reason := report.Verification.GetReason(); tt.notes == "" && strings.Contains(reason, "window") || !strings.Contains(reason, tt.notes) || strings.Contains(reason, "took over") {
					t.Errorf("reason %q, want %q", reason, tt.notes)
				}
			})
		})
	}
}

func TestAValidatorThatTakesOver(t *testing.T) {
	tests := []struct {
		name    string
		late    time.Duration
		samples string
		takes   time.Duration
		reason  string
	}{
		{"in the middle takes what is left", 4 * time.Second, "health eu1 PASS 7/0/0", 6 * time.Second, "4 of 11 sample times were over"},
		{"near the end begins anew", 9 * time.Second, "health eu1 PASS 11/0/0", 10 * time.Second, "a fresh window was taken"},
		{"after the end begins anew", time.Hour, "health eu1 PASS 11/0/0", 10 * time.Second, "a fresh window was taken"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := plan(t, "eu1")
				p.Start = time.Now().Add(-tt.late)
				begin := time.Now()
				report := newWorld("").bake(t, p)
				expect(t, report, "target.digest eu1 PASS 2/0/0", tt.samples, strings.Replace(tt.samples, "health", "port", 1))
				if took := time.Since(begin); took != tt.takes {
					t.Errorf("took %v, want %v", took, tt.takes)
				}
				if reason := report.Verification.GetReason(); !strings.Contains(reason, tt.reason) {
					t.Errorf("reason %q, want %q", reason, tt.reason)
				}
			})
		})
	}
}

func TestAnInterruptedBakeHasNoResult(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		report, err := newWorld("").Bake().Run(ctx, plan(t, "eu1"))
		if !errors.Is(err, context.DeadlineExceeded) || report.Verification != nil || report.Document != nil {
			t.Errorf("Run = %v, %v", report, err)
		}
	})
}

func TestNothingToLookAtIsInconclusive(t *testing.T) {
	tests := map[string]func(*check.Plan){
		"no targets": func(p *check.Plan) { p.Subjects = nil },
		"no checks":  func(p *check.Plan) { p.Checks = nil },
		"no bake":    func(p *check.Plan) { p.Bake = 0 },
		"unknown check": func(p *check.Plan) {
			p.Checks = append(p.Checks, &releasev1.Check{Name: "new-kind"})
		},
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := plan(t, "eu1")
				change(&p)
				if report := newWorld("").bake(t, p); report.Verdict != inconclusive || report.Verification.GetReason() == "" {
					t.Errorf("%v: %s", report.Verdict, report.Verification.GetReason())
				}
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		bare := check.Bake{RunningDigest: func(context.Context, *target.Target) (string, error) { return approved, nil }}
		if report, err := bare.Run(t.Context(), plan(t, "eu1")); err != nil || report.Verdict != inconclusive {
			t.Errorf("without probers: %v, %v", report.Verdict, err)
		}
	})
}

// shifted is a clock that goes right and shows another time.
type shifted struct {
	check.SystemClock
	by time.Duration
}

func (c shifted) Now() time.Time { return c.SystemClock.Now().Add(c.by) }

func TestTheBakeGoesByItsOwnClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newWorld("").Bake()
		b.Clock = shifted{by: 25 * time.Hour}
		begin := time.Now()
		report, err := b.Run(t.Context(), plan(t, "eu1"))
		if err != nil {
			t.Fatal(err)
		}
		if got := report.Verification.GetStarted().AsTime().Sub(begin); got != 25*time.Hour || time.Since(begin) != 10*time.Second {
			t.Errorf("started %v ahead, took %v", got, time.Since(begin))
		}
	})
}

func TestParallelLooksAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		world := newWorld("")
		world.delay = 10 * time.Millisecond
		b := world.Bake()
		b.Parallel = 3
		if _, err := b.Run(t.Context(), plan(t, "a", "b", "c", "d", "e", "f")); err != nil {
			t.Fatal(err)
		}
		if world.most != 3 {
			t.Errorf("%d looks at a time, want 3", world.most)
		}
	})
}

func TestTheDocumentHoldsEverySample(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		world := newWorld("pfpppppppp")
		world.detail = "line\r\none\x1b[31m" + strings.Repeat("ä", 200)
		report := world.bake(t, plan(t, "eu1"))
		var d struct {
			Schema, Verdict, Reason, Bake string
			Checks                        []map[string]any
			Targets                       []struct {
				ApprovedDigest string `json:"approved_digest"`
				Results        []struct {
					Check, Verdict string
					Samples        []struct {
						Number          int
						Time            time.Time
						Outcome, Detail string
					}
				}
			}
		}
		if err := json.Unmarshal(report.Document, &d); err != nil {
			t.Fatalf("document: %v\n%s", err, report.Document)
		}
		if d.Schema != check.MediaType || d.Verdict != "fail" || d.Reason != report.Verification.GetReason() || d.Bake != "10s" {
			t.Errorf("head: %+v", d)
		}
		if c := d.Checks[0]; c["kind"] != "http" || c["path"] != "/health" || c["expect_status"] != 200.0 || c["timeout"] != "5s" || c["min_samples"] != 2.0 {
			t.Errorf("criteria: %v", c)
		}
		results := d.Targets[0].Results
		if d.Targets[0].ApprovedDigest != approved || len(results) != 3 || results[1].Check != "health" || len(results[1].Samples) != 11 {
			t.Fatalf("targets: %+v", d.Targets)
		}
		if s := results[1].Samples[1]; s.Outcome != "failed" || s.Number != 1 || s.Time.IsZero() {
			t.Errorf("second sample: %+v", s)
		}
		if detail := results[1].Samples[0].Detail; strings.ContainsAny(detail, "\r\n\x1b") || len(detail) > 170 || !strings.HasSuffix(detail, "ä…") {
			t.Errorf("detail %q", detail)
		}
	})
}

// TestTheLargestDocumentIsEvidence has as many samples as there can be, each with the
// longest detail.
func TestTheLargestDocumentIsEvidence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		world := newWorld("")
		world.detail = strings.Repeat(`"`, 1000)
		p := plan(t, "a", "b", "c", "d")
		p.Bake = 24 * time.Hour
		p.Checks = nil
		for i := range 200 {
			p.Checks = append(p.Checks, &releasev1.Check{
				Name: fmt.Sprintf("health-%d", i), Probe: &releasev1.Check_Http{Http: &releasev1.HttpProbe{
					Path: "/" + strings.Repeat("p", 511), ExpectBody: strings.Repeat(`"`, 1024),
				}},
			})
		}
		report := world.bake(t, p)
		if size := len(report.Document); report.Verdict != pass || size < 4<<20 || size > 8<<20 {
			t.Errorf("%v with a document of %d bytes", report.Verdict, size)
		}
	})
}

func TestEqualObservationsGiveEqualDocuments(t *testing.T) {
	var documents []string
	for range 2 {
		synctest.Test(t, func(t *testing.T) {
			documents = append(documents, string(newWorld("pfppepppp").bake(t, plan(t, "eu1", "eu2")).Document))
		})
	}
	if documents[0] != documents[1] {
		t.Errorf("documents differ:\n%s\n%s", documents[0], documents[1])
	}
}

// world is what the probers of these tests see, without a network.
type world struct {
	mu sync.Mutex
	// script holds the outcomes of the HTTP check, by target; after its end all passes.
	// only is the target that the script is about; empty means all.
	script string
	only   string
	at     map[string]int
	delay  time.Duration
	detail string
	// digests are what the targets run, by the number of the question.
	digest      func(id string, question int) (string, error)
	questions   map[string]int
	under, most int
}

func newWorld(script string) *world {
	return &world{script: script, at: map[string]int{}, questions: map[string]int{}}
}

// Bake returns a bake that looks at this world.
func (w *world) Bake() check.Bake {
	return check.Bake{Probers: map[string]check.Prober{"http": httpProber{w}, "tcp": tcpProber{}}, RunningDigest: w.runningDigest}
}

func (w *world) bake(t *testing.T, p check.Plan) check.Report {
	t.Helper()
	report, err := w.Bake().Run(t.Context(), p)
	if err != nil {
		t.Fatalf("Run: %v", err)
	}
	return report
}

func (w *world) runningDigest(_ context.Context, t *target.Target) (string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	question := w.questions[t.ID()]
	w.questions[t.ID()]++
	if w.digest == nil {
		return approved, nil
	}
	return w.digest(t.ID(), question)
}

type httpProber struct{ *world }

func (p httpProber) Probe(ctx context.Context, t *target.Target, _ *releasev1.Check) check.Observation {
	p.mu.Lock()
	p.under++
	p.most = max(p.most, p.under)
	at := p.at[t.ID()]
	p.at[t.ID()]++
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		p.under--
		p.mu.Unlock()
	}()
	if p.delay > 0 {
		select {
		case <-time.After(p.delay):
		case <-ctx.Done():
		}
	}
	letter := byte('p')
	if at < len(p.script) && (p.only == "" || p.only == t.ID()) {
		letter = p.script[at]
	}
	return check.Observation{Outcome: samples(string(letter))[0].Outcome, Detail: p.detail}
}

type tcpProber struct{}

func (tcpProber) Probe(context.Context, *target.Target, *releasev1.Check) check.Observation {
	return check.Observation{Outcome: check.Passed}
}
