package risk_test

import (
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/approval/risk"
)

// TestWavesThatMayBeDividedAreDivided (PD-3.4) as the level demands, where the request says
// that they may be; and not into more than a plan has.
func TestWavesThatMayBeDividedAreDivided(t *testing.T) {
	r := newRig(t, func(d *policyv1.Procedure) {
		d.RiskScore = &policyv1.RiskScore{
			Weights: &policyv1.RiskWeights{Target: 10}, Levels: []*policyv1.RiskLevel{{From: 20, FirstWave: 1, OtherWaves: 1}},
		}
	})
	divide := func(q *releasev1.Request) { q.Plan.MayDivide = true }
	three := proceduretest.Waves([]string{"eu1", "us1", "us2"})
	for _, test := range []struct {
		name    string
		changes []func(*releasev1.Request)
		phase   procedure.Phase
		waves   int
	}{
		{"lets-it", []func(*releasev1.Request){three, divide}, procedure.PhaseApprove, 3},
		{"does-not", []func(*releasev1.Request){three}, procedure.PhaseRecord, 1},
		{"small-enough", []func(*releasev1.Request){divide}, procedure.PhaseApprove, 1},
		{"emergency", []func(*releasev1.Request){three, divide, proceduretest.Emergency}, procedure.PhaseApprove, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			release := r.Reach(t, procedure.PhaseRisk, append(test.changes, proceduretest.Key(test.name))...)
			s, err := r.Act(t, risk.New(r.Procedures, r.Store, risk.Watch{}), release, time.Now())
			if err != nil || s.Phase != test.phase || len(s.Request.GetPlan().GetWaves()) != test.waves {
				t.Errorf("phase %s, %v: %v, %v", s.Phase, s.Request.GetPlan(), s.EndReason, err)
			}
			if divided := test.waves == 3; divided != (s.Chosen != nil) {
				t.Errorf("chosen is %v", s.Chosen)
			}
		})
	}
}

// TestABakeThatMayBeRaisedIsRaised (PD-3.4) to what the level demands, where the request says
// that it may; nothing else is.
func TestABakeThatMayBeRaisedIsRaised(t *testing.T) {
	r := newRig(t, func(d *policyv1.Procedure) {
		d.RiskScore = &policyv1.RiskScore{
			Weights: &policyv1.RiskWeights{Target: 10},
			Levels:  []*policyv1.RiskLevel{{From: 10, Bake: durationpb.New(30 * time.Minute)}},
		}
	})
	raise := func(q *releasev1.Request) { q.Validation.MayRaise = true }
	for _, test := range []struct {
		name    string
		changes []func(*releasev1.Request)
		phase   procedure.Phase
		bake    time.Duration
		found   releasev1.Finding_Severity // what is said of the bake
	}{
		{"lets-it", []func(*releasev1.Request){raise}, procedure.PhaseApprove, 30 * time.Minute, releasev1.Finding_SEVERITY_WARNING},
		{"does-not", nil, procedure.PhaseRecord, 2 * time.Minute, releasev1.Finding_SEVERITY_BLOCKING},
		{"long-enough", []func(*releasev1.Request){raise, func(q *releasev1.Request) { q.Validation.Bake = durationpb.New(time.Hour) }}, procedure.PhaseApprove, time.Hour, releasev1.Finding_SEVERITY_UNSPECIFIED},
		{"emergency", []func(*releasev1.Request){raise, proceduretest.Emergency}, procedure.PhaseApprove, 2 * time.Minute, releasev1.Finding_SEVERITY_WARNING},
	} {
		t.Run(test.name, func(t *testing.T) {
			release := r.Reach(t, procedure.PhaseRisk, append(test.changes, proceduretest.Key(test.name))...)
			before, now := r.State(t, release), time.Now()
			s, err := r.Act(t, risk.New(r.Procedures, r.Store, risk.Watch{}), release, now)
			if err != nil || s.Phase != test.phase || s.Request.GetValidation().GetBake().AsDuration() != test.bake {
				t.Errorf("phase %s, bake %s: %v, %v", s.Phase, s.Request.GetValidation().GetBake().AsDuration(), s.EndReason, err)
			}
			if raised := test.bake == 30*time.Minute; raised != (s.Chosen != nil) {
				t.Errorf("chosen is %v", s.Chosen)
			}
			said := releasev1.Finding_SEVERITY_UNSPECIFIED
			for _, f := range s.Findings {
				if f.GetRule() == "risk.bake" {
					said = f.GetSeverity()
				}
			}
			if said != test.found {
				t.Errorf("found %v", s.Findings)
			}
			// A replay chooses the same.
			entries := r.Task(t, release, now).History.Entries
			recorded := entries[len(entries)-1].Event
			again, err := risk.Judge(r.Index(t), before, risk.SeenIn(recorded), now)
			if err != nil || !proto.Equal(again.GetRiskCleared(), recorded.GetRiskCleared()) || !proto.Equal(again.GetRiskRefused(), recorded.GetRiskRefused()) {
				t.Errorf("judged again it is\n%v, was\n%v, %v", again, recorded, err)
			}
		})
	}
}
