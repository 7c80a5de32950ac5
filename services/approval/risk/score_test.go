package risk_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/approval/approvaltest"
	"github.com/blackdice/shipwarden/services/approval/risk"
)

// TestTheScoreSaysWhatIsDemanded weighs releases by what is on record of them.
func TestTheScoreSaysWhatIsDemanded(t *testing.T) {
	now := time.Now()
	r := newRig(t, func(d *policyv1.Procedure) {
		d.RiskScore = &policyv1.RiskScore{
			Weights: &policyv1.RiskWeights{Target: 10, Dependency: 1, HighRiskArea: 20, DataIrreversible: 50, NoWayBack: 5, RolledBack: 7, Week: 2, Emergency: 100},
			Levels: []*policyv1.RiskLevel{
				{From: 25, Approvals: []*policyv1.Approvals{{Group: "release-managers", Count: 2}}},
				{From: 50, Approvals: []*policyv1.Approvals{{Group: "security", Count: 3}}, FirstWave: 1, Bake: durationpb.New(10 * time.Minute)},
			},
		}
	})
	two := proceduretest.Waves([]string{"eu1"}, []string{"us1"})
	long := func(q *releasev1.Request) { q.Validation.Bake = durationpb.New(10 * time.Minute) }
	for _, test := range []struct {
		name    string
		changes []func(*releasev1.Request)
		state   *releasev1.TargetState // of the first target
		score   string
		level   uint32
		phase   procedure.Phase
		quorum  string
		unfit   string
	}{
		{"small", nil, nil, "target 1 10, dependency 1 1", 0, procedure.PhaseApprove, "release-managers 1, security 1", ""},
		{"rolled back, long ago", nil, &releasev1.TargetState{
			Deployed:   &releasev1.Deployment{Time: timestamppb.New(now.Add(-15 * 24 * time.Hour))},
			RolledBack: []*releasev1.Deployment{{}, {}},
		}, "target 1 10, dependency 1 1, rolled_back 2 14, week 2 4", 25, procedure.PhaseApprove, "release-managers 2, security 1", ""},
		{
			"high",
			[]func(*releasev1.Request){two, long, func(q *releasev1.Request) {
				q.Risk.Areas = []string{"authentication"}
			}, proceduretest.Irreversible, func(q *releasev1.Request) { q.RollbackPlan.Recovery = "Restore the backup." }},
			nil,
			"target 2 20, dependency 1 1, high_risk_area 1 20, data_irreversible 1 50, no_way_back 1 5", 50, procedure.PhaseApprove, "release-managers 2, security 3", "",
		},
		{"high, in one wave and a hurry", []func(*releasev1.Request){proceduretest.Waves([]string{"eu1", "us1", "us2"}), func(q *releasev1.Request) {
			q.Risk.Areas = []string{"authentication"}
		}}, nil, "target 3 30, dependency 1 1, high_risk_area 1 20", 50, procedure.PhaseRecord, "", "risk.waves risk.bake"},
		{
			"an emergency",
			[]func(*releasev1.Request){proceduretest.Waves([]string{"eu1", "us1"}), proceduretest.Emergency},
			nil,
			"target 2 20, dependency 1 1, emergency 1 100", 50, procedure.PhaseApprove, "incident-commanders 1", "risk.waves risk.bake",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			key := proceduretest.Key(strings.NewReplacer(" ", "-", ",", "").Replace(test.name))
			release := r.Reach(t, procedure.PhaseScope, append(test.changes, key)...)
			scope := approvaltest.Scope(r.State(t, release))
			if test.state != nil {
				scope.GetScopeValidated().GetTargets()[0].State = test.state
			}
			r.Do(t, release, "", scope)
			r.To(t, release, procedure.PhaseRisk)
			s, err := r.Act(t, risk.New(r.Procedures, r.Store, risk.Watch{}), release, now)
			if err != nil || s.Phase != test.phase {
				t.Fatalf("phase %s, %v, %v", s.Phase, s.EndReason, err)
			}
			h := r.Task(t, release, now).History.Entries
			last := h[len(h)-1].Event
			score := last.GetRiskCleared().GetScore()
			if score == nil {
				score = last.GetRiskRefused().GetScore()
			}
			want := &releasev1.RiskScore{Level: test.level}
			for _, part := range strings.Split(test.score, ", ") {
				var in releasev1.RiskInput
				if _, err := fmt.Sscan(part, &in.Fact, &in.Count, &in.Points); err != nil {
					t.Fatal(err)
				}
				want.Inputs, want.Score = append(want.Inputs, &in), want.GetScore()+in.GetPoints()
			}
			if diff := cmp.Diff(want, score, protocmp.Transform()); diff != "" {
				t.Errorf("score (-want +got):\n%s", diff)
			}
			var quorum, unfit []string
			for _, q := range s.Quorum {
				quorum = append(quorum, fmt.Sprintf("%s %d", q.GetGroup(), q.GetCount()))
			}
			for _, f := range s.Findings {
				if f.GetRule() == "risk.waves" || f.GetRule() == "risk.bake" {
					unfit = append(unfit, f.GetRule())
				}
			}
			if strings.Join(quorum, ", ") != test.quorum || strings.Join(unfit, " ") != test.unfit || !found(s, "risk.score") {
				t.Errorf("quorum %q, unfit %q, findings %v", quorum, unfit, s.Findings)
			}
		})
	}
}
