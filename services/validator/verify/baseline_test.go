package verify_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/blackdice/shipwarden/internal/eventstore/eventstoretest"
	"github.com/blackdice/shipwarden/internal/evidence"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/promtest"
	"github.com/blackdice/shipwarden/internal/reactor"
	"github.com/blackdice/shipwarden/internal/standing"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/validator/check"
	"github.com/blackdice/shipwarden/services/validator/check/promcheck"
	"github.com/blackdice/shipwarden/services/validator/metrics"
	"github.com/blackdice/shipwarden/services/validator/verify"
)

// TestAReleaseIsComparedWithItsBaseline: a real Prometheus has the values of two targets from
// before the first wave and since. What they come to decides, though all of them are within the
// bounds, and is derived again from what was kept.
func TestAReleaseIsComparedWithItsBaseline(t *testing.T) {
	server := promtest.Start(t)
	const (
		before    = releasev1.MetricBaseline_KIND_BEFORE
		unchanged = releasev1.MetricBaseline_KIND_UNCHANGED
	)
	for _, test := range []struct {
		name string
		kind releasev1.MetricBaseline_Kind
		// eu1 and eu2 are what the values are times, since the change.
		eu1, eu2 float64
		// other is a target that another release holds meanwhile.
		other string
		want  releasev1.CheckResult_Verdict
		says  string
	}{
		{"as before", before, 1, 1, "", pass, "not higher than before"},
		{"higher than before", before, 2, 2, "", fail, "higher than before"},
		{"higher, as elsewhere", unchanged, 2, 2, "", pass, "not higher than where it is not changed yet"},
		{"higher than elsewhere", unchanged, 2, 1, "", fail, "higher than where it is not changed yet"},
		{"another release was under way", before, 1, 1, "eu1", inconclusive, "release shop-other was under way on eu1"},
		{"another release is under way elsewhere", unchanged, 1, 1, "eu2", inconclusive, "release shop-other was under way on eu2"},
		{"another release was under way where nothing is compared", unchanged, 1, 1, "eu1", pass, "not higher"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			job := t.Name()
			sources, err := metrics.Open([]*configv1.MetricSource{{Name: "metrics", Url: server.URL}}, nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			r := newRig(t, "", map[string]*place{"eu1": newPlace(t, released)}, proceduretest.Waves([]string{"eu1"}, []string{"eu2"}), bake(6*time.Second, 2*time.Second), func(q *releasev1.Request) {
				q.Validation.Checks = []*releasev1.Check{{Name: "errors", Probe: &releasev1.Check_Prometheus{Prometheus: &releasev1.PrometheusProbe{
					Source: "metrics", Query: `max(errors{job="` + job + `",target="{target}"})`, Range: &releasev1.NumberRange{Max: proto.Float64(100)},
					MaxAge: durationpb.New(3 * time.Second), MaxAgeOf: `errors{job="` + job + `",target="{target}"}`,
					Baseline: &releasev1.MetricBaseline{
						Kind: test.kind, Direction: releasev1.MetricBaseline_DIRECTION_HIGHER_IS_WORSE,
						Over: durationpb.New(10 * time.Second), Step: durationpb.New(time.Second), MinSamples: proto.Uint32(5),
					},
				}}}}
			})
			if test.other != "" {
				executor := eventstoretest.Store(r, procedure.ServiceExecutor)
				at, err := standing.ReadTarget(t.Context(), executor, test.other)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := executor.Append(t.Context(), at.Draft(&releasev1.Event{Data: &releasev1.Event_TargetLocked{
					TargetLocked: &releasev1.TargetLocked{Release: "shop-other", Claimer: "executor-1"},
				}})); err != nil {
					t.Fatal(err)
				}
			}
			r.to(t, procedure.PhaseVerify)
			h, state := r.history(t)
			for target, times := range map[string]float64{"eu1": test.eu1, "eu2": test.eu2} {
				var values []promtest.Value
				for at := state.Entered.Add(-30 * time.Second); at.Before(state.Entered.Add(60 * time.Second)); at = at.Add(500 * time.Millisecond) {
					value := 1 + float64(at.UnixMilli()*7919%1009)/1e4
					if !at.Before(state.Entered) {
						value *= times
					}
					values = append(values, promtest.Value{Time: at, Value: value})
				}
				server.Write(t, map[string]string{"__name__": "errors", "job": job, "target": target}, values...)
			}
			blobs := evidence.New(r.JetStream())
			source := policy.NewSource(blobs.Get)
			step := verify.New(source, check.Bake{Probers: map[string]check.Prober{"prometheus": promcheck.Prober{Sources: sources}}},
				r.places, blobs, eventstoretest.Store(r, procedure.ServiceValidator))
			drafts, err := step.Act(t.Context(), reactor.Task{State: state, History: h, Cause: h.Entries[len(h.Entries)-1], Delivery: 1, Now: time.Now()})
			if err != nil {
				t.Fatal(err)
			}
			said := verification(drafts[0].Event)
			if got := results(said)["errors eu1"]; got.GetVerdict() != test.want || !strings.Contains(got.GetReason(), test.says) {
				t.Errorf("%v, want %v: %s", got, test.want, test.says)
			}
			samples, err := blobs.Get(t.Context(), said.GetSamples().GetDigest())
			if err != nil {
				t.Fatal(err)
			}
			index, err := source.ByDigest(t.Context(), state.ProcedureDigest)
			if err != nil {
				t.Fatal(err)
			}
			chart, err := blobs.Get(t.Context(), said.GetChart().GetDigest())
			if err != nil || said.GetChart().GetMediaType() != check.ChartType || !strings.Contains(string(chart), "errors on eu1") {
				t.Errorf("chart %v: %v:\n%s", said.GetChart(), err, chart)
			}
			again, err := verify.Rejudge(index, state, samples, chart, nil, said)
			if err != nil || !proto.Equal(verification(again), said) {
				t.Errorf("derived again: %v, %v", again, err)
			}
			other := proto.CloneOf(said)
			other.Chart.Digest = released
			if _, err := verify.Rejudge(index, state, samples, chart, nil, other); err == nil {
				t.Error("another chart is taken for that of these samples")
			}
			elsewhere := bytes.Replace(chart, []byte(`data-drawing="1"`), []byte(`data-drawing="0"`), 1)
			other.Chart.Digest = evidence.Digest(elsewhere)
			if again, err := verify.Rejudge(index, state, samples, elsewhere, nil, other); err != nil || !proto.Equal(verification(again), other) {
				t.Errorf("with a chart that is drawn otherwise: %v", err)
			}
			state.WavesBegan = []time.Time{state.WavesBegan[0].Add(time.Second)}
			if _, err := verify.Rejudge(index, state, samples, chart, nil, said); test.kind == before && err == nil {
				t.Error("of a wave that began later it is derived as well")
			}
		})
	}
}
