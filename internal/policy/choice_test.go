package policy_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"pgregory.net/rapid"

	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// TestWhatRunsIsNeverLaxerThanAskedForNorThanDemanded (PD-3.4) draws documents and requests:
// a planned release is refused, or runs as its level demands, and nothing is chosen that was
// not left to the procedure or does already.
func TestWhatRunsIsNeverLaxerThanAskedForNorThanDemanded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		document := drawLevels(t)
		request := drawPlan(t)
		s := procedure.State{Request: request}
		asked := proto.CloneOf(request)
		chosen, findings := policy.Choose(document, s, time.Now())
		if !proto.Equal(asked, request) {
			t.Fatal("what was asked for was changed")
		}
		if again, _ := policy.Choose(document, s, time.Now()); !proto.Equal(again, chosen) {
			t.Fatalf("chosen are %v and %v", chosen, again)
		}
		_, level := policy.Score(document, s, policy.WayBackOf(document, s).Why != "", time.Now())
		runs, planned := procedure.AsChosen(request, chosen), request.GetTrigger() == releasev1.Trigger_TRIGGER_PLANNED
		refused := slices.ContainsFunc(findings, func(f *releasev1.Finding) bool { return f.GetSeverity() == releasev1.Finding_SEVERITY_BLOCKING })
		bake := func(r *releasev1.Request) time.Duration { return r.GetValidation().GetBake().AsDuration() }
		does := bake(runs) >= level.GetBake().AsDuration() && small(runs.GetPlan().GetWaves(), level)
		switch {
		case bake(runs) < bake(asked):
			t.Fatalf("asked for were %s, and it bakes for %s", bake(asked), bake(runs))
		case planned && !refused && !does:
			t.Fatalf("%v runs, and the level demands %v", runs, level)
		case planned && refused && does:
			t.Fatalf("it is refused, and does what is demanded: %v", findings)
		case refused && !planned:
			t.Fatalf("what cannot wait is refused: %v", findings)
		case chosen != nil && (!planned || chosen.GetBake() != nil && (!request.GetValidation().GetMayRaise() || bake(runs) == bake(asked))):
			t.Fatalf("something is chosen that was not to be: %v", chosen)
		case len(chosen.GetWaves()) > 0 && (!request.GetPlan().GetMayDivide() || small(asked.GetPlan().GetWaves(), level) || len(chosen.GetWaves()) > procedure.MaxWaves):
			t.Fatalf("waves are chosen that were not to be: %v", chosen)
		case !slices.Equal(procedure.Targets(runs), procedure.Targets(asked)):
			t.Fatalf("other targets: %v", runs.GetPlan())
		case chosen != nil && len(findings) == 0:
			t.Fatalf("nothing says why it was chosen: %v", chosen)
		}
	})
}

// small reports whether waves have no more targets than a level allows.
func small(waves []*releasev1.Wave, level *policyv1.RiskLevel) bool {
	for i, w := range waves {
		most := level.GetOtherWaves()
		if i == 0 {
			most = level.GetFirstWave()
		}
		if most > 0 && len(w.GetTargets()) > int(most) {
			return false
		}
	}
	return true
}

// TestWavesAreDividedInTheirOrder, and what was to be verified first still is.
func TestWavesAreDividedInTheirOrder(t *testing.T) {
	asked := [][]string{{"a", "b", "c", "d", "e"}, {"f", "g", "h"}, {"i"}}
	for _, test := range []struct {
		first, others uint32
		waves         string
	}{
		{0, 0, ""},
		{5, 3, ""},
		{1, 0, "[a] [b c d e] [f g h] [i]"},
		{1, 2, "[a] [b c] [d e] [f g] [h] [i]"},
		{2, 2, "[a b] [c d] [e] [f g] [h] [i]"},
		{0, 2, "[a b c d e] [f g] [h] [i]"},
		{6, 1, "[a b c d e] [f] [g] [h] [i]"},
	} {
		document := &policyv1.Procedure{RiskScore: &policyv1.RiskScore{
			Weights: &policyv1.RiskWeights{Target: 1}, Levels: []*policyv1.RiskLevel{{From: 1, FirstWave: test.first, OtherWaves: test.others}},
		}}
		s := procedure.State{Request: proceduretest.Request(proceduretest.Waves(asked...), func(r *releasev1.Request) { r.Plan.MayDivide = true })}
		chosen, _ := policy.Choose(document, s, time.Now())
		var got []string
		for _, w := range chosen.GetWaves() {
			got = append(got, fmt.Sprint(w.GetTargets()))
		}
		if strings.Join(got, " ") != test.waves {
			t.Errorf("%d and %d: %v", test.first, test.others, got)
		}
	}
}

// drawLevels is a document that weighs targets, with some levels.
func drawLevels(t *rapid.T) *policyv1.Procedure {
	score := &policyv1.RiskScore{Weights: &policyv1.RiskWeights{Target: 1}}
	for _, from := range []uint32{1, 3, 5}[:rapid.IntRange(0, 3).Draw(t, "levels")] {
		level := &policyv1.RiskLevel{From: from, FirstWave: rapid.Uint32Range(0, 4).Draw(t, "first wave"), OtherWaves: rapid.Uint32Range(0, 4).Draw(t, "other waves")}
		if rapid.Bool().Draw(t, "demands a bake") {
			level.Bake = durationpb.New(time.Duration(rapid.IntRange(0, 6).Draw(t, "bake")) * time.Minute)
		}
		score.Levels = append(score.Levels, level)
	}
	return &policyv1.Procedure{RiskScore: score}
}

// drawPlan is a request of some waves.
func drawPlan(t *rapid.T) *releasev1.Request {
	trigger := rapid.SampledFrom([]func(*releasev1.Request){
		func(*releasev1.Request) {}, func(*releasev1.Request) {}, proceduretest.Emergency, proceduretest.Rollback,
	}).Draw(t, "trigger")
	var waves [][]string
	for w := range rapid.IntRange(1, 4).Draw(t, "waves") {
		var targets []string
		for i := range rapid.IntRange(1, 9).Draw(t, "targets") {
			targets = append(targets, fmt.Sprintf("t%d-%d", w, i))
		}
		waves = append(waves, targets)
	}
	return proceduretest.Request(trigger, proceduretest.Waves(waves...), func(r *releasev1.Request) {
		r.Plan.MayDivide = rapid.Bool().Draw(t, "may divide")
		r.Validation.MayRaise = rapid.Bool().Draw(t, "may raise")
		r.Validation.Bake = durationpb.New(time.Duration(rapid.IntRange(1, 6).Draw(t, "asked")) * time.Minute)
	})
}
