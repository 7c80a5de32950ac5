package verify_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/blackdice/shipwarden/internal/eventstore/eventstoretest"
	"github.com/blackdice/shipwarden/internal/evidence"
	"github.com/blackdice/shipwarden/internal/natstest"
	"github.com/blackdice/shipwarden/internal/reactor"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/validator/check"
)

const (
	pass         = releasev1.CheckResult_VERDICT_PASS
	fail         = releasev1.CheckResult_VERDICT_FAIL
	inconclusive = releasev1.CheckResult_VERDICT_INCONCLUSIVE
)

// catalog is a catalog entry with a check of its own.
const catalog = `services:
  - name: shop
    owner_groups: [shop-team]
    checks:
      - {name: login, http: {path: /login}}
`

// The histories of proceduretest release digest a over digest b.
var (
	released = proceduretest.Digest('a')
	before   = proceduretest.Digest('b')
)

func TestAHealthyReleasePassesAndItsSamplesAreEvidence(t *testing.T) {
	eu1 := newPlace(t, released)
	r := newRig(t, catalog, map[string]*place{"eu1": eu1})
	r.to(t, procedure.PhaseVerify)
	e, err := r.turn(t)
	if err != nil || r.state(t).Outcome != releasev1.Outcome_OUTCOME_SUCCEEDED {
		t.Fatalf("outcome %s: %v, %v", r.state(t).Outcome, verification(e).GetReason(), err)
	}
	v := verification(e)
	for _, want := range []string{"target.digest eu1", "health eu1", "login eu1"} {
		if got := results(v)[want]; got.GetVerdict() != pass || got.GetPassed() < 2 {
			t.Errorf("%s: %v", want, got)
		}
	}
	content, err := evidence.New(r.JetStream()).Get(t.Context(), v.GetSamples().GetDigest())
	if err != nil || v.GetSamples().GetMediaType() != check.MediaType || int64(len(content)) != v.GetSamples().GetSize() {
		t.Fatalf("samples %v: %v", v.GetSamples(), err)
	}
	var document struct {
		Targets []struct {
			ApprovedDigest string `json:"approved_digest"`
			Results        []struct {
				Check   string
				Samples []json.RawMessage
			}
		}
	}
	if err := json.Unmarshal(content, &document); err != nil || len(document.Targets) != 1 || document.Targets[0].ApprovedDigest != released {
		t.Fatalf("samples: %v\n%s", err, content)
	}
	for _, result := range document.Targets[0].Results {
		if want := results(v)[result.Check+" eu1"].GetSamples(); uint32(len(result.Samples)) != want { //nolint:gosec // A bake has few samples.
			t.Errorf("%s has %d samples on record, %d were counted", result.Check, len(result.Samples), want)
		}
	}
}

// TestAReleaseThatRunsSomethingElseFails is bad input 77.
func TestAReleaseThatRunsSomethingElseFails(t *testing.T) {
	r := newRig(t, "", map[string]*place{"eu1": newPlace(t, before)})
	r.to(t, procedure.PhaseVerify)
	e, err := r.turn(t)
	if err != nil || results(verification(e))["target.digest eu1"].GetVerdict() != fail || r.state(t).Phase != procedure.PhaseRemedy {
		t.Errorf("in phase %s: %v, %v", r.state(t).Phase, verification(e), err)
	}
}

// TestChecksOfTheCatalogCannotBeLeftOut, nor be replaced by a milder one of that name.
func TestChecksOfTheCatalogCannotBeLeftOut(t *testing.T) {
	for name, change := range map[string]func(*releasev1.Request){
		"left out": func(*releasev1.Request) {},
		"replaced": func(r *releasev1.Request) {
			r.Validation.Checks = append(r.Validation.Checks, httpCheck("login", "/healthz"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			eu1 := newPlace(t, released)
			eu1.sick["/login"] = true
			r := newRig(t, catalog, map[string]*place{"eu1": eu1}, change)
			r.to(t, procedure.PhaseVerify)
			e, err := r.turn(t)
			if err != nil || results(verification(e))["login eu1"].GetVerdict() != fail || e.GetVerificationFailed() == nil {
				t.Errorf("%v, %v", verification(e), err)
			}
		})
	}
}

func TestATargetThatCannotBeLookedAtIsInconclusive(t *testing.T) {
	for _, test := range []struct {
		name, document string
		phase          procedure.Phase
	}{
		{"which counts as a failure", "", procedure.PhaseRemedy},
		{"which a person is asked about", "escalation: {ask_when_inconclusive: true}\n", procedure.PhaseEscalated},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newRig(t, test.document, map[string]*place{"eu1": newPlace(t, released)}, proceduretest.Waves([]string{"eu1", "eu2"}))
			r.to(t, procedure.PhaseVerify)
			e, err := r.turn(t)
			v := verification(e)
			if err != nil || e.GetVerificationInconclusive() == nil || results(v)["health eu2"].GetVerdict() != inconclusive ||
				results(v)["health eu1"].GetVerdict() != pass || !strings.Contains(v.GetReason(), "eu2") {
				t.Errorf("%v, %v", v, err)
			}
			if s := r.state(t); s.Phase != test.phase {
				t.Errorf("in phase %s", s.Phase)
			}
		})
	}
}

func TestTheWayBackIsJudgedByWhatRanBefore(t *testing.T) {
	back := func(r *releasev1.Request) {
		r.RollbackPlan.Checks = []*releasev1.Check{httpCheck("orders", "/orders")}
	}
	for _, test := range []struct {
		name    string
		running string
		sick    string
		change  func(*releasev1.Request)
		want    map[string]releasev1.CheckResult_Verdict
		outcome releasev1.Outcome
	}{
		{"and passes", before, "", back, map[string]releasev1.CheckResult_Verdict{"target.digest eu1": pass, "login eu1": pass, "orders eu1": pass}, releasev1.Outcome_OUTCOME_ROLLED_BACK},
		{"not by the checks of what was to come", before, "/healthz", back, map[string]releasev1.CheckResult_Verdict{"target.digest eu1": pass, "login eu1": pass, "orders eu1": pass}, releasev1.Outcome_OUTCOME_ROLLED_BACK},
		{"and fails by the plan's own checks", before, "/orders", back, map[string]releasev1.CheckResult_Verdict{"orders eu1": fail}, 0},
		{"and fails where the new version still runs", released, "", back, map[string]releasev1.CheckResult_Verdict{"target.digest eu1": fail}, 0},
		{"by the catalog alone where the plan has none", before, "/healthz", func(*releasev1.Request) {}, map[string]releasev1.CheckResult_Verdict{"target.digest eu1": pass, "login eu1": pass}, releasev1.Outcome_OUTCOME_ROLLED_BACK},
	} {
		t.Run(test.name, func(t *testing.T) {
			eu1 := newPlace(t, test.running)
			eu1.sick[test.sick] = true
			r := newRig(t, catalog, map[string]*place{"eu1": eu1}, test.change)
			r.to(t, procedure.PhaseVerifyRollback)
			e, err := r.turn(t)
			v := verification(e)
			if err != nil || !v.GetRollback() || (test.outcome != 0 && len(v.GetResults()) != len(test.want)) {
				t.Errorf("%v, %v", v, err)
			}
			for name, verdict := range test.want {
				if got := results(v)[name].GetVerdict(); got != verdict {
					t.Errorf("%s: %s, want %s", name, got, verdict)
				}
			}
			s := r.state(t)
			if s.Outcome != test.outcome || (test.outcome == 0 && s.EscalatedFor != releasev1.Cause_CAUSE_ROLLBACK_FAILED) {
				t.Errorf("outcome %s, escalated for %s", s.Outcome, s.EscalatedFor)
			}
		})
	}
	t.Run("by the request's checks where there are no others", func(t *testing.T) {
		eu1 := newPlace(t, before)
		eu1.sick["/healthz"] = true
		r := newRig(t, "", map[string]*place{"eu1": eu1})
		r.to(t, procedure.PhaseVerifyRollback)
		if e, err := r.turn(t); err != nil || results(verification(e))["health eu1"].GetVerdict() != fail {
			t.Errorf("%v, %v", verification(e), err)
		}
	})
}

// TestTheWayBackIsLookedAtOnEveryTargetThatWentBack fails the second wave: the first
// one went back as well, and is not in work any more.
func TestTheWayBackIsLookedAtOnEveryTargetThatWentBack(t *testing.T) {
	for _, test := range []struct {
		name    string
		seen    []string
		eu1     releasev1.CheckResult_Verdict
		outcome releasev1.Outcome
	}{
		{"and passes where all are well", []string{"eu1", "us1"}, pass, releasev1.Outcome_OUTCOME_ROLLED_BACK},
		{"and has no verdict where one cannot be looked at", []string{"us1"}, inconclusive, releasev1.Outcome_OUTCOME_UNSPECIFIED},
	} {
		t.Run(test.name, func(t *testing.T) {
			places := map[string]*place{"eu1": newPlace(t, released)}
			r := newRig(t, "", places, proceduretest.Waves([]string{"eu1"}, []string{"us1"}))
			r.to(t, procedure.PhaseVerify)
			if _, err := r.turn(t); err != nil {
				t.Fatal(err)
			}
			r.to(t, procedure.PhaseVerifyRollback)
			r.look(t, before, test.seen...)
			e, err := r.turn(t)
			got := results(verification(e))
			for name, want := range map[string]releasev1.CheckResult_Verdict{
				"target.digest eu1": test.eu1, "health eu1": test.eu1, "target.digest us1": pass, "health us1": pass,
			} {
				if got[name].GetVerdict() != want {
					t.Errorf("%s: %s, want %s", name, got[name].GetVerdict(), want)
				}
			}
			if s := r.state(t); err != nil || s.Outcome != test.outcome {
				t.Errorf("in phase %s, outcome %s: %v", s.Phase, s.Outcome, err)
			}
		})
	}
}

// TestAValidatorThatTakesOverCountsNothingTwice cuts the first one off in the middle of
// the bake. What it saw is not on record, and the second one says how much is missing.
func TestAValidatorThatTakesOverCountsNothingTwice(t *testing.T) {
	eu1 := newPlace(t, released)
	r := newRig(t, "", map[string]*place{"eu1": eu1}, bake(30*time.Second, 250*time.Millisecond))
	r.to(t, procedure.PhaseVerify)
	run := func(name string, js jetstream.JetStream) context.CancelFunc {
		ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
		ended := make(chan error, 1)
		go func() {
			ended <- reactor.Run(ctx, js, eventstoretest.Store(r, procedure.ServiceValidator), reactor.Config{
				Name: name, Workers: 1, AckWait: ackWait, Drain: 100 * time.Millisecond,
			}, r.step())
		}()
		stop := func() {
			cancel()
			if err := <-ended; err != nil && name != "lost" {
				t.Errorf("%s ended with %v", name, err)
			}
			ended <- nil
		}
		t.Cleanup(stop)
		return stop
	}
	conn := r.Connect(t)
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	stop := run("lost", js)
	natstest.Eventually(t, "some samples", func() bool { return eu1.count("/healthz") > 5 })
	conn.Close() // nobody hears of it any more
	stop()
	seen := eu1.count("/healthz")
	run("heir", r.JetStream())
	natstest.Eventually(t, "the end of the bake", func() bool { return r.state(t).Phase == procedure.PhaseRelease })
	h, s := r.history(t)
	v := verification(h.Entries[len(h.Entries)-1].Event)
	health := results(v)["health eu1"]
	if s.Verifications != 1 || int(health.GetSamples()) > eu1.count("/healthz")-seen || health.GetSamples() >= 121 || !strings.Contains(v.GetReason(), "took over") {
		t.Errorf("%d samples of the %d that the heir took: %s", health.GetSamples(), eu1.count("/healthz")-seen, v.GetReason())
	}
}

// TestTheChosenBakeIsWhatLasts: the window is as long as step 3 chose, and not as was asked for.
func TestTheChosenBakeIsWhatLasts(t *testing.T) {
	eu1 := newPlace(t, released)
	r := newRig(t, "", map[string]*place{"eu1": eu1}, bake(100*time.Millisecond, 100*time.Millisecond), func(q *releasev1.Request) { q.Validation.MayRaise = true })
	r.chosen = &releasev1.Chosen{Bake: durationpb.New(2 * time.Second)}
	r.to(t, procedure.PhaseVerify)
	if _, err := r.turn(t); err != nil {
		t.Fatal(err)
	}
	// Twice within 100 milliseconds, and 21 times within two seconds.
	h, s := r.history(t)
	v := verification(h.Entries[len(h.Entries)-1].Event)
	if n := results(v)["health eu1"].GetSamples(); n <= 2 || s.Verifications != 1 {
		t.Errorf("%d samples: %v", n, v)
	}
}

// TestTwoValidatorsAreCountedOnce lets both look at the same wave to its end.
func TestTwoValidatorsAreCountedOnce(t *testing.T) {
	r := newRig(t, "", map[string]*place{"eu1": newPlace(t, released)}, proceduretest.Waves([]string{"eu1"}, []string{"eu2"}))
	r.to(t, procedure.PhaseVerify)
	h, s := r.history(t)
	task := reactor.Task{State: s, History: h, Cause: h.Entries[len(h.Entries)-1], Delivery: 1, Now: time.Now()}
	store := eventstoretest.Store(r, procedure.ServiceValidator)
	for i := range 2 {
		drafts, err := r.step().Act(t.Context(), task)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := store.Append(t.Context(), drafts...); (err == nil) != (i == 0) {
			t.Errorf("validator %d: %v", i, err)
		}
	}
	if s := r.state(t); s.Verifications != 1 || s.Wave != 1 || s.Phase != procedure.PhaseExecute {
		t.Errorf("%d verifications, wave %d, phase %s", s.Verifications, s.Wave, s.Phase)
	}
}

// TestAResultOfAnotherWaveDoesNotCount is bad input 76.
func TestAResultOfAnotherWaveDoesNotCount(t *testing.T) {
	r := newRig(t, "", map[string]*place{"eu1": newPlace(t, released)})
	r.to(t, procedure.PhaseVerify)
	for name, change := range map[string]func(*releasev1.Verification){
		"another wave":      func(v *releasev1.Verification) { v.Wave = 1 },
		"the way back":      func(v *releasev1.Verification) { v.Rollback = true },
		"counted before":    func(v *releasev1.Verification) { v.Number = 0 },
		"nothing looked at": func(v *releasev1.Verification) { v.Results = nil },
	} {
		t.Run(name, func(t *testing.T) {
			s := r.state(t)
			e := proceduretest.Verified(s, pass, false)
			e.ProcedureDigest = r.digest
			if _, err := procedure.Evolve(s, proceduretest.Entry(s, s.Head.Sequence+1, time.Now(), nil, e)); err != nil {
				t.Fatalf("the right one does not count: %v", err)
			}
			change(e.GetVerificationPassed().GetVerification())
			if _, err := procedure.Evolve(s, proceduretest.Entry(s, s.Head.Sequence+1, time.Now(), nil, e)); err == nil {
				t.Error("it counts")
			}
		})
	}
}
