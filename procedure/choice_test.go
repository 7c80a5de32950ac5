package procedure_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"pgregory.net/rapid"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// mayRaise lets the bake be raised, which is two minutes at least.
func mayRaise(r *releasev1.Request) { r.Validation.MayRaise = true }

// mayDivide lets the waves be divided.
func mayDivide(r *releasev1.Request) { r.Plan.MayDivide = true }

func wavesOf(waves ...[]string) *releasev1.Chosen {
	c := &releasev1.Chosen{}
	for _, targets := range waves {
		c.Waves = append(c.GetWaves(), &releasev1.Wave{Targets: targets})
	}
	return c
}

func bakeOf(d time.Duration) *releasev1.Chosen { return &releasev1.Chosen{Bake: durationpb.New(d)} }

// chosen is step 3 with something chosen.
func chosen(h *proceduretest.History, c *releasev1.Chosen) *releasev1.Event {
	return proceduretest.Risk(h.State(), h.Now, func(f *procedure.RiskFacts) { f.Chosen = c })
}

// TestWhatWasChosenRuns: from step 3 on everything reads it, and what was asked for is still
// on record as it was.
func TestWhatWasChosenRuns(t *testing.T) {
	h := proceduretest.New(proceduretest.Request(mayRaise))
	h.To(t, procedure.PhaseRisk)
	before := h.State()
	asked := procedure.ChangeDigest(before)
	h.Do(t, "", chosen(h, bakeOf(30*time.Minute)))
	s := h.State()
	if got := s.Request.GetValidation().GetBake().AsDuration(); got != 30*time.Minute {
		t.Errorf("it bakes for %s", got)
	}
	for name, r := range map[string]*releasev1.Request{"the request": s.Requested.GetRequest(), "the state before": before.Request} {
		if got := r.GetValidation().GetBake().AsDuration(); got != 2*time.Minute {
			t.Errorf("%s was changed: %s", name, got)
		}
	}
	if s.ChangeDigest == asked || s.ChangeDigest != procedure.ChangeDigest(s) {
		t.Error("the digest is not of what runs")
	}
	// Who approves what was asked for approves nothing.
	anna := proceduretest.Person("anna")
	if err := procedure.MayApprove(s, anna, asked, h.Now); !errors.Is(err, procedure.ErrStaleDigest) {
		t.Errorf("an approval of what was asked for: %v", err)
	}
	if err := procedure.MayApprove(s, anna, s.ChangeDigest, h.Now); err != nil {
		t.Errorf("an approval of what runs: %v", err)
	}
	h.To(t, procedure.PhaseVerify)
	d, _ := procedure.NextDeadline(h.State())
	if got := d.At.Sub(h.State().Entered); got != 30*time.Minute+proceduretest.Timeouts().GetVerify().AsDuration() {
		t.Errorf("the validation is overdue after %s", got)
	}
}

// TestDividedWavesRun: claims, numbers of targets, verifications and the end of it are of the
// waves that were chosen.
func TestDividedWavesRun(t *testing.T) {
	h := proceduretest.New(proceduretest.Request(proceduretest.Waves([]string{"eu1", "eu2", "eu3"}, []string{"us1"}), mayDivide))
	h.To(t, procedure.PhaseRisk)
	before := h.State()
	h.Do(t, "", chosen(h, wavesOf([]string{"eu1"}, []string{"eu2", "eu3"}, []string{"us1"})))
	var numbers, asked []uint32
	for i, target := range h.State().Targets {
		numbers, asked = append(numbers, target.GetWave()), append(asked, before.Targets[i].GetWave())
	}
	if !slices.Equal(numbers, []uint32{0, 1, 1, 2}) || !slices.Equal(asked, []uint32{0, 0, 0, 1}) {
		t.Errorf("the targets are of the waves %d, and were of %d", numbers, asked)
	}
	var claimed [][]string
	h.To(t, procedure.PhaseClosed)
	for _, e := range h.Entries {
		if c := e.Event.GetExecutionClaimed(); c != nil {
			claimed = append(claimed, c.GetTargets())
		}
	}
	if want := [][]string{{"eu1"}, {"eu2", "eu3"}, {"us1"}}; !slices.EqualFunc(claimed, want, slices.Equal) {
		t.Errorf("claimed were %v", claimed)
	}
	if s := h.State(); s.Verifications != 3 || s.Outcome != releasev1.Outcome_OUTCOME_SUCCEEDED {
		t.Errorf("%d verifications, %s", s.Verifications, s.Outcome)
	}
}

// TestTheLaneIsApproved: that fewer people are asked is in what they approve.
func TestTheLaneIsApproved(t *testing.T) {
	h := proceduretest.New(proceduretest.Request())
	h.To(t, procedure.PhaseRisk)
	asked := procedure.ChangeDigest(h.State())
	h.Do(t, "", chosen(h, &releasev1.Chosen{Lane: "standard"}))
	if s := h.State(); s.ChangeDigest == asked || s.Chosen.GetLane() != "standard" || s.Request != s.Requested.GetRequest() && !proto.Equal(s.Request, s.Requested.GetRequest()) {
		t.Errorf("chosen is %v of %v", s.Chosen, s.Request)
	}
	urgent := proceduretest.New(proceduretest.Request(proceduretest.Emergency))
	urgent.To(t, procedure.PhaseRisk)
	if err := urgent.Append("", chosen(urgent, &releasev1.Chosen{Lane: "standard"})); err == nil {
		t.Error("an emergency goes by it")
	}
}

// TestAStandardChangeStartsInNoFreeze: an exception that is made before step 3 closes the lane,
// and none is made for what entered it. What has begun goes on by one.
func TestAStandardChangeStartsInNoFreeze(t *testing.T) {
	h := proceduretest.New(proceduretest.Request(proceduretest.Waves([]string{"eu1"}, []string{"us1"})))
	h.To(t, procedure.PhaseRisk)
	h.Do(t, "", chosen(h, &releasev1.Chosen{Lane: "standard"}))
	for _, phase := range []procedure.Phase{procedure.PhaseApprove, procedure.PhaseExecute} {
		h.To(t, phase)
		if err := h.Append("dan", proceduretest.Override("freeze-1")); err == nil || !strings.Contains(err.Error(), "request it again") || len(h.State().Overrides) != 0 {
			t.Errorf("in %s: %v", phase, err)
		}
	}
	h.To(t, procedure.PhaseVerify)
	h.Do(t, "dan", proceduretest.Override("freeze-1"))
	if len(h.State().Overrides) != 1 {
		t.Error("what has begun cannot go on")
	}
}

// TestNothingLaxerIsChosen draws requests and choices: of what counts, what runs is never
// laxer than what was asked for, nothing but the choice differs, and another choice is
// another digest.
func TestNothingLaxerIsChosen(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		request := drawRequest(t)
		h := proceduretest.New(request)
		for h.State().Phase != procedure.PhaseRisk {
			if person, e := h.Good(); h.Append(person, e) != nil {
				t.Fatal("step 3 is not reached")
			}
		}
		digests := map[string]*releasev1.Chosen{}
		for _, c := range []*releasev1.Chosen{drawChoice(t, request), drawChoice(t, request), nil} {
			branch := h.Clone()
			err := branch.Append("", chosen(branch, c))
			s := branch.State()
			if may := c == nil || request.GetTrigger() == releasev1.Trigger_TRIGGER_PLANNED && stricter(request, c); (err == nil) != may {
				t.Fatalf("%v in place of %v, %v: %v", c, request.GetPlan(), request.GetValidation(), err)
			}
			if err != nil {
				continue
			}
			runs := proto.CloneOf(s.Request)
			if runs.GetValidation().GetBake().AsDuration() < request.GetValidation().GetBake().AsDuration() || !slices.Equal(procedure.Targets(runs), procedure.Targets(request)) {
				t.Fatalf("%v runs in place of %v", runs, request)
			}
			for _, target := range s.Targets {
				if !slices.Contains(runs.GetPlan().GetWaves()[target.GetWave()].GetTargets(), target.GetTarget()) {
					t.Fatalf("%s is not in wave %d: %v", target.GetTarget(), target.GetWave(), runs.GetPlan())
				}
			}
			runs.Validation.Bake, runs.Plan.Waves = request.GetValidation().GetBake(), request.GetPlan().GetWaves()
			if !proto.Equal(runs, s.Requested.GetRequest()) {
				t.Fatalf("more than what was chosen is changed: %v", runs)
			}
			if before, there := digests[s.ChangeDigest]; there && !proto.Equal(before, c) {
				t.Fatalf("%v and %v have one digest", before, c)
			}
			digests[s.ChangeDigest] = c
			// Nobody can have approved what was chosen before it was.
			if len(s.Approvals) > 0 || s.Authorized != nil {
				t.Fatal("it was approved before it was chosen")
			}
		}
	})
}

// stricter says the same as the procedure does, from its clause alone: something is chosen,
// each part of it is left to the procedure, the bake is longer, and the waves end wherever
// those that were asked for end, and somewhere else as well.
func stricter(r *releasev1.Request, c *releasev1.Chosen) bool {
	bake, asked := c.GetBake(), r.GetValidation().GetBake().AsDuration()
	if bake != nil && (!r.GetValidation().GetMayRaise() || !bake.IsValid() || bake.AsDuration() <= asked || bake.AsDuration() > 24*time.Hour) {
		return false
	}
	if len(c.GetWaves()) > 0 {
		ends, empty := endsOf(c.GetWaves())
		for _, end := range first(endsOf(r.GetPlan().GetWaves())) {
			if !slices.Contains(ends, end) {
				return false
			}
		}
		if all := (&releasev1.Request{Plan: &releasev1.Plan{Waves: c.GetWaves()}}); empty || !slices.Equal(procedure.Targets(all), procedure.Targets(r)) ||
			!r.GetPlan().GetMayDivide() || len(c.GetWaves()) <= len(r.GetPlan().GetWaves()) || len(c.GetWaves()) > 16 {
			return false
		}
	}
	return bake != nil || len(c.GetWaves()) > 0 || c.GetLane() != ""
}

func first[A, B any](a A, _ B) A { return a }

// endsOf is after how many targets each wave ends, and whether one has none.
func endsOf(waves []*releasev1.Wave) (ends []int, empty bool) {
	n := 0
	for _, w := range waves {
		n += len(w.GetTargets())
		ends, empty = append(ends, n), empty || len(w.GetTargets()) == 0
	}
	return ends, empty
}

func drawRequest(t *rapid.T) *releasev1.Request {
	trigger := rapid.SampledFrom([]func(*releasev1.Request){
		func(*releasev1.Request) {}, func(*releasev1.Request) {}, proceduretest.Emergency, proceduretest.Rollback,
	}).Draw(t, "trigger")
	var targets []string
	for i := range rapid.IntRange(1, 20).Draw(t, "targets") {
		targets = append(targets, fmt.Sprint("t", i))
	}
	return proceduretest.Request(trigger, proceduretest.Waves(split(t, targets)...), func(r *releasev1.Request) {
		r.Validation.MayRaise, r.Plan.MayDivide = rapid.Bool().Draw(t, "may raise"), rapid.Bool().Draw(t, "may divide")
		r.Validation.Bake = durationpb.New(time.Duration(rapid.Int64Range(int64(100*time.Millisecond), int64(24*time.Hour)).Draw(t, "asked")))
	})
}

// split draws parts of targets, in their order.
func split(t *rapid.T, targets []string) (out [][]string) {
	for len(targets) > 0 {
		n := rapid.IntRange(1, len(targets)).Draw(t, "part")
		out, targets = append(out, targets[:n]), targets[n:]
	}
	return out
}

func drawChoice(t *rapid.T, r *releasev1.Request) *releasev1.Chosen {
	c := &releasev1.Chosen{Lane: rapid.SampledFrom([]string{"", "", "standard", "other"}).Draw(t, "lane")}
	switch rapid.IntRange(0, 4).Draw(t, "bake") {
	case 0:
	case 1:
		c.Bake = &durationpb.Duration{Seconds: rapid.Int64().Draw(t, "seconds"), Nanos: rapid.Int32().Draw(t, "nanos")}
	case 2:
		c.Bake = r.GetValidation().GetBake()
	default:
		c.Bake = durationpb.New(time.Duration(rapid.Int64Range(0, int64(25*time.Hour)).Draw(t, "chosen")))
	}
	asked := r.GetPlan().GetWaves()
	switch rapid.IntRange(0, 4).Draw(t, "waves") {
	case 0:
	case 1: // whatever parts of them all
		c.Waves = wavesOf(split(t, procedure.Targets(r))...).GetWaves()
	case 2: // in another order, or one of them is missing, or is there twice
		c.Waves = wavesOf(split(t, rapid.Permutation(procedure.Targets(r)).Draw(t, "order"))...).GetWaves()
		c.Waves = append(c.GetWaves(), c.GetWaves()[rapid.IntRange(0, 1).Draw(t, "twice")%len(c.GetWaves())])[rapid.IntRange(0, 1).Draw(t, "from"):]
	default: // parts of each, one of them perhaps with nothing
		for _, w := range asked {
			c.Waves = append(c.GetWaves(), wavesOf(split(t, w.GetTargets())...).GetWaves()...)
		}
		if rapid.IntRange(0, 4).Draw(t, "nothing") == 0 {
			c.Waves = append(c.GetWaves(), &releasev1.Wave{})
		}
	}
	return c
}
