package submit_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/blackdice/shipwarden/cli/submit"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// TestACheckThatCanHaveNoVerdictIsSeenBeforeItIsSent, with its field, among those of the
// release and those of the way back.
func TestACheckThatCanHaveNoVerdictIsSeenBeforeItIsSent(t *testing.T) {
	metric := func(query string) *releasev1.Check {
		return &releasev1.Check{Name: "errors", Probe: &releasev1.Check_Prometheus{Prometheus: &releasev1.PrometheusProbe{
			Source: "metrics", Query: query, Range: &releasev1.NumberRange{Max: proto.Float64(1)},
		}}}
	}
	load := func(forth, back string) error {
		t.Helper()
		request := proceduretest.Request()
		request.Validation.Checks = append(request.Validation.Checks, metric(forth))
		request.RollbackPlan.Checks = []*releasev1.Check{metric(back)}
		data, err := protojson.Marshal(request)
		if err != nil {
			t.Fatal(err)
		}
		_, err = submit.Load(data, "release.json", nil)
		return err
	}
	if err := load(`errors{target="{target}"}`, `errors`); err != nil {
		t.Fatal(err)
	}
	err := load(`errors{target="{host}"}`, `sum(errors`)
	for _, want := range []string{"release.json:", "validation.checks[1].prometheus.query: {host} stands for nothing", "rollback_plan.checks[0].prometheus.query: the bracket ( is not closed"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// TestABakeThatIsTooShortForAComparisonIsSeenBeforeItIsSent, and what a schema cannot say of it.
func TestABakeThatIsTooShortForAComparisonIsSeenBeforeItIsSent(t *testing.T) {
	request := proceduretest.Request()
	request.Validation.Bake = durationpb.New(time.Minute)
	request.Validation.Checks = []*releasev1.Check{{Name: "errors", Probe: &releasev1.Check_Prometheus{Prometheus: &releasev1.PrometheusProbe{
		Source: "metrics", Query: "errors", Range: &releasev1.NumberRange{Max: proto.Float64(1)}, MaxAge: durationpb.New(time.Minute),
		Baseline: &releasev1.MetricBaseline{
			Kind: releasev1.MetricBaseline_KIND_UNCHANGED, Direction: releasev1.MetricBaseline_DIRECTION_HIGHER_IS_WORSE,
			Over: durationpb.New(time.Hour), Step: durationpb.New(30 * time.Second),
		},
	}}}}
	data, err := protojson.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	_, err = submit.Load(data, "release.json", nil)
	for _, want := range []string{"validation.bake: must be at least 10m0s for check errors", "validation.checks[0].prometheus.query: must have {target}"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// TestComparisonsWithoutRoomAreSeenBeforeTheyAreSent.
func TestComparisonsWithoutRoomAreSeenBeforeTheyAreSent(t *testing.T) {
	request := proceduretest.Request()
	request.Validation.Bake, request.Validation.Checks = durationpb.New(time.Hour), nil
	for i := range 100 {
		request.Validation.Checks = append(request.Validation.Checks, &releasev1.Check{Name: fmt.Sprintf("errors%d", i), Probe: &releasev1.Check_Prometheus{Prometheus: &releasev1.PrometheusProbe{
			Source: "metrics", Query: "errors", Range: &releasev1.NumberRange{Max: proto.Float64(1)}, MaxAge: durationpb.New(time.Minute),
			Baseline: &releasev1.MetricBaseline{
				Kind: releasev1.MetricBaseline_KIND_BEFORE, Direction: releasev1.MetricBaseline_DIRECTION_HIGHER_IS_WORSE,
				Over: durationpb.New(4 * time.Hour), Step: durationpb.New(30 * time.Second),
			},
		}}})
	}
	found := submit.Unclear(request)
	if len(found) != 1 || found[0].Field != "plan.waves" || found[0].Rule != "baseline.room" {
		t.Errorf("%v", found)
	}
}
