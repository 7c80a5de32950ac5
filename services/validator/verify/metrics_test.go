package verify_test

import (
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/blackdice/shipwarden/internal/eventstore/eventstoretest"
	"github.com/blackdice/shipwarden/internal/evidence"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/promtest"
	"github.com/blackdice/shipwarden/internal/reactor"
	"github.com/blackdice/shipwarden/procedure"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/validator/check"
	"github.com/blackdice/shipwarden/services/validator/check/httpcheck"
	"github.com/blackdice/shipwarden/services/validator/check/promcheck"
	"github.com/blackdice/shipwarden/services/validator/metrics"
	"github.com/blackdice/shipwarden/services/validator/verify"
)

// TestAReleaseIsJudgedByItsMetrics: a real Prometheus has a series for every target, under
// the digest that was released there. What it says decides, and is derived again from what
// was kept.
func TestAReleaseIsJudgedByItsMetrics(t *testing.T) {
	server := promtest.Start(t)
	sources, err := metrics.Open([]*configv1.MetricSource{{Name: "metrics", Url: server.URL}}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name string
		// values are those of the one target; none writes no series.
		values []float64
		want   procedure.Phase
		says   releasev1.CheckResult_Verdict
	}{
		{"well", []float64{0.001}, procedure.PhaseRelease, pass},
		{"too many errors", []float64{0.5}, procedure.PhaseRemedy, fail},
		{"no data", nil, procedure.PhaseRemedy, inconclusive},
	} {
		t.Run(test.name, func(t *testing.T) {
			job := t.Name()
			r := newRig(t, "", map[string]*place{"eu1": newPlace(t, released)}, func(q *releasev1.Request) {
				q.Validation.Checks = []*releasev1.Check{{Name: "errors", Probe: &releasev1.Check_Prometheus{Prometheus: &releasev1.PrometheusProbe{
					Source: "metrics", Query: `sum(errors{job="` + job + `",target="{target}",service="{service}",environment="{environment}",digest="{digest}"})`,
					Range:  &releasev1.NumberRange{Max: proto.Float64(0.01)},
					MaxAge: durationpb.New(time.Minute), MaxAgeOf: `errors{job="` + job + `",target="{target}"}`,
				}}}}
			})
			for _, v := range test.values {
				server.Write(t, map[string]string{
					"__name__": "errors", "job": job, "target": "eu1", "service": r.asked.GetService(), "environment": r.asked.GetEnvironment(), "digest": released,
				}, promtest.Value{Time: time.Now(), Value: v})
			}
			r.to(t, procedure.PhaseVerify)
			h, before := r.history(t)
			blobs := evidence.New(r.JetStream())
			source := policy.NewSource(blobs.Get)
			step := verify.New(source, check.Bake{Probers: map[string]check.Prober{
				"http": httpcheck.Prober{}, "prometheus": promcheck.Prober{Sources: sources},
			}}, r.places, blobs, eventstoretest.Store(r, procedure.ServiceValidator))
			drafts, err := step.Act(t.Context(), reactor.Task{State: before, History: h, Cause: h.Entries[len(h.Entries)-1], Delivery: 1, Now: time.Now()})
			if err != nil {
				t.Fatal(err)
			}
			said := drafts[0].Event
			if got := results(verification(said))["errors eu1"]; got.GetVerdict() != test.says {
				t.Fatalf("%v", got)
			}
			r.do(t, "", proto.CloneOf(said))
			if phase := r.state(t).Phase; phase != test.want {
				t.Errorf("in phase %s, want %s", phase, test.want)
			}
			samples, err := blobs.Get(t.Context(), verification(said).GetSamples().GetDigest())
			if err != nil {
				t.Fatal(err)
			}
			index, err := source.ByDigest(t.Context(), before.ProcedureDigest)
			if err != nil {
				t.Fatal(err)
			}
			again, err := verify.Rejudge(index, before, samples, nil, nil, verification(said))
			if err != nil || !proto.Equal(verification(again), verification(said)) {
				t.Errorf("derived again: %v, %v", again, err)
			}
		})
	}
}
