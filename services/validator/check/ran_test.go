package check_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/blackdice/shipwarden/internal/criterion"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/validator/check"
	"github.com/blackdice/shipwarden/services/validator/target"
)

// running has a program end as the next of some say, and notes for whom it was run.
type running struct {
	ends  []check.Ran
	run   int
	names criterion.Names
}

func (*running) Probe(context.Context, *target.Target, *releasev1.Check) check.Observation {
	return check.Observation{Detail: "asked without names"}
}

func (r *running) ProbeNamed(_ context.Context, _ *target.Target, _ *releasev1.Check, names criterion.Names) check.Observation {
	ran := r.ends[min(r.run, len(r.ends)-1)]
	r.run++
	r.names = names
	return check.JudgeRan(&ran)
}

// bakeCommand bakes eu1 with the check of a program.
func bakeCommand(t *testing.T, programs *running) (check.Report, check.Plan) {
	t.Helper()
	p := plan(t, "eu1")
	p.Release = check.Release{Service: "shop", Environment: "production"}
	p.Checks = []*releasev1.Check{p.Checks[0], {Name: "stock", Probe: &releasev1.Check_Command{Command: &releasev1.CommandProbe{Command: "stock", Arguments: map[string]string{"depth": "3"}}}}}
	bake := newWorld("").Bake()
	bake.Probers["command"] = programs
	report, err := bake.Run(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	return report, p
}

// TestWhatAProgramSaidIsDerivedAgain: a program that did not end as it should is never a pass, and
// the verdict is derived from how it ended, and from nothing else.
func TestWhatAProgramSaidIsDerivedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		looked := []check.Approved{{Target: "eu1", Digest: approved}}
		documents := map[string]string{}
		ended := func(status int) check.Ran {
			return check.Ran{Program: "/opt/stock", Digest: "sha256:ab", Ended: check.EndedByItself, Status: status, Fails: 2, Said: "looked\nthree are missing", Bytes: 24}
		}
		var of check.Plan
		for _, test := range []struct {
			name string
			ends []check.Ran
			want releasev1.CheckResult_Verdict
		}{
			{"well", []check.Ran{ended(0)}, pass},
			{"missing", []check.Ran{ended(0), ended(2)}, fail},
			{"crashes", []check.Ran{ended(1)}, inconclusive},
			{"killed", []check.Ran{{Program: "/opt/stock", Ended: check.EndedKilled, Why: "not done after 5s", Fails: 2}}, inconclusive},
			{"gone", []check.Ran{{Ended: check.EndedNever, Why: "no such file", Fails: 2}}, inconclusive},
			{"how it ended is not known", []check.Ran{{Ended: "somehow", Fails: 2}}, inconclusive},
			{"no status for a failure", []check.Ran{{Ended: check.EndedByItself, Status: 1}}, inconclusive},
		} {
			programs := &running{ends: test.ends}
			var report check.Report
			report, of = bakeCommand(t, programs)
			if report.Verdict != test.want {
				t.Errorf("%s: %v (%s)", test.name, report.Verdict, report.Verification.GetReason())
			}
			if want := (criterion.Names{Target: "eu1", Service: "shop", Environment: "production", Digest: approved}); programs.names != want {
				t.Errorf("%s: run for %+v", test.name, programs.names)
			}
			again, err := check.Rejudge(report.Document, of.Release, of.Checks, looked)
			if err != nil || !proto.Equal(again, report.Verification) {
				t.Errorf("%s: derived again: %v, %v", test.name, again, err)
			}
			documents[test.name] = string(report.Document)
		}
		for _, test := range []struct{ name, document, old, new string }{
			{"a failure that is called a pass", "missing", `"outcome":"failed"`, `"outcome":"passed"`},
			{"a crash that is called a pass", "crashes", `"outcome":"error"`, `"outcome":"passed"`},
			{"another status", "missing", `"status":2`, `"status":0`},
			{"another status for a failure", "crashes", `"fails":2`, `"fails":1`},
			{"a kill that ended by itself", "killed", `"ended":"killed"`, `"ended":"by itself"`},
			{"a program that was not run", "well", `"ran":`, `"run":`},
			{"another word", "well", "three are missing", "none is missing"},
			{"another argument", "well", `depth \"3\"`, `depth \"4\"`},
		} {
			changed := strings.Replace(documents[test.document], test.old, test.new, 1)
			if changed == documents[test.document] {
				t.Errorf("%s: %s is not in %s", test.name, test.old, changed)
				continue
			}
			if _, err := check.Rejudge([]byte(changed), of.Release, of.Checks, looked); err == nil {
				t.Errorf("%s proves something", test.name)
			}
		}
		health := of.Checks[:1]
		moved := strings.Replace(documents["well"], `"check":"health","verdict":"pass","reason":"11 of 11 samples passed","samples":[{`, `"check":"health","verdict":"pass","reason":"11 of 11 samples passed","samples":[{"ran":{"ended":"by itself","status":0},`, 1)
		if _, err := check.Rejudge([]byte(moved), of.Release, append(health, of.Checks[1]), looked); err == nil || !strings.Contains(err.Error(), "runs no program") {
			t.Errorf("a program of a check that runs none: %v", err)
		}
	})
}

// TestTheLargestSayingsAreEvidence has programs say as much as is kept, as often as a bake looks.
func TestTheLargestSayingsAreEvidence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := plan(t, "a", "b", "c", "d")
		p.Bake, p.Checks = 24*time.Hour, nil
		for _, name := range []string{"one", "two", "three"} {
			p.Checks = append(p.Checks, &releasev1.Check{Name: name, Probe: &releasev1.Check_Command{Command: &releasev1.CommandProbe{Command: "stock"}}})
		}
		bake := newWorld("").Bake()
		bake.Probers["command"] = &running{ends: []check.Ran{{Ended: check.EndedByItself, Said: check.Saying("x" + strings.Repeat("\n", 5000) + "y")}}}
		bake.Parallel = 1
		report, err := bake.Run(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		if size := len(report.Document); report.Verdict != pass || size < 3<<20 || size > 8<<20 {
			t.Errorf("%v in %d bytes", report.Verdict, size)
		}
	})
}
