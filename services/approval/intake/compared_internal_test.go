package intake

import (
	"fmt"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/approval/approvaltest"
)

// TestRoomIsForTheLongestBakeThatMayBeChosen: a request that lets its bake be raised has room for
// what is compared then, also for the checks of the catalogue.
func TestRoomIsForTheLongestBakeThatMayBeChosen(t *testing.T) {
	var checks []*releasev1.Check
	for i := range 40 {
		checks = append(checks, &releasev1.Check{Name: fmt.Sprintf("c%d", i), Probe: &releasev1.Check_Prometheus{Prometheus: &releasev1.PrometheusProbe{
			Source: "metrics", Query: "errors", Range: &releasev1.NumberRange{Max: proto.Float64(1)}, MaxAge: durationpb.New(time.Minute),
			Baseline: &releasev1.MetricBaseline{
				Kind: releasev1.MetricBaseline_KIND_BEFORE, Direction: releasev1.MetricBaseline_DIRECTION_HIGHER_IS_WORSE,
				Over: durationpb.New(4 * time.Hour), Step: durationpb.New(30 * time.Second),
			},
		}}})
	}
	x := policy.NewIndex(approvaltest.Document(func(d *policyv1.Procedure) {
		d.Services[0].Checks = checks
		d.RiskScore = &policyv1.RiskScore{Levels: []*policyv1.RiskLevel{{From: 1}, {From: 2, Bake: durationpb.New(4 * time.Hour)}}}
	}))
	for _, test := range []struct {
		bake    time.Duration
		raise   bool
		targets int
		want    bool
	}{
		{15 * time.Minute, false, 1, false},
		{15 * time.Minute, true, 1, false},
		{4 * time.Hour, false, 2, true},
		{15 * time.Minute, false, 2, false},
		{15 * time.Minute, true, 2, true},
	} {
		r := proceduretest.Request(proceduretest.Waves([]string{"eu1", "us1"}[:test.targets]))
		r.Validation.Bake, r.Validation.MayRaise = durationpb.New(test.bake), test.raise
		got := false
		for _, v := range check(x, r, time.Now()) {
			got = got || v.GetRule() == "baseline.room"
		}
		if got != test.want {
			t.Errorf("%+v: refused %t", test, got)
		}
	}
}
