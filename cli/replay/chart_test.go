package replay_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/blackdice/shipwarden/cli/replay"
	"github.com/blackdice/shipwarden/internal/envelope/envelopetest"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/validator/check"
)

// TestAChartOfAnotherDrawingIsTaken and no difference; one of the same drawing is drawn again.
func TestAChartOfAnotherDrawingIsTaken(t *testing.T) {
	w := newWorld(t, func(d *policyv1.Procedure) {
		d.Services[0].Checks = append(d.Services[0].Checks, &releasev1.Check{Name: "compared", Probe: &releasev1.Check_Prometheus{Prometheus: &releasev1.PrometheusProbe{
			Source: "metrics", Query: "errors", Range: &releasev1.NumberRange{Max: proto.Float64(1)}, MaxAge: durationpb.New(time.Minute),
			Baseline: &releasev1.MetricBaseline{
				Kind: releasev1.MetricBaseline_KIND_BEFORE, Direction: releasev1.MetricBaseline_DIRECTION_HIGHER_IS_WORSE,
				Over: durationpb.New(time.Hour), Step: durationpb.New(time.Minute),
			},
		}}})
	})
	for name, test := range map[string]struct {
		old, new  string
		ok, taken bool
	}{
		"as it is":                   {"", "", true, false},
		"of another drawing":         {`data-drawing="1"`, `data-drawing="0"`, true, true},
		"of before they had numbers": {` data-drawing="1"`, "", true, true},
		"of the same, and changed":   {"bounds", "scores", false, false},
	} {
		seen := 0
		for seed := range uint64(10) {
			g := w.release(t, seed, func(g *generator) {
				g.lie = func(e *releasev1.Event) {
					for _, v := range []*releasev1.Verification{e.GetVerificationInconclusive().GetVerification(), e.GetVerificationFailed().GetVerification()} {
						if v.GetChart() == nil {
							continue
						}
						seen++
						content := bytes.Replace(w.kept[v.GetChart().GetDigest()], []byte(test.old), []byte(test.new), 1)
						ref := w.kept.put(content)
						ref.MediaType, ref.Name = check.ChartType, v.GetChart().GetName()
						v.Chart = ref
					}
				}
			})
			report, err := replay.New(envelopetest.Ring(), w.kept.Get).Release(t.Context(), g.Release, g.messages)
			if err != nil {
				t.Fatal(err)
			}
			taken, charts := 0, 0
			for _, d := range report.Decisions {
				if strings.HasPrefix(d.Type, "verification_") {
					charts++
				}
				if strings.Contains(strings.Join(d.Taken, "; "), "the chart, which another version draws otherwise") {
					taken++
				}
			}
			if charts > 0 && (report.OK() != test.ok || (taken > 0) != test.taken) {
				t.Errorf("%s, seed %d: %+v", name, seed, report)
			}
		}
		if seen == 0 {
			t.Errorf("%s: there is no chart", name)
		}
	}
}
