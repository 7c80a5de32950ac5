package replay_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/blackdice/shipwarden/cli/replay"
	"github.com/blackdice/shipwarden/procedure"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// TestTheChoiceIsDerived (PD-3.4): a replay chooses what step 3 chose, and reports another
// choice that somebody signed, whichever digest it has.
func TestTheChoiceIsDerived(t *testing.T) {
	w := newWorld(t, func(d *policyv1.Procedure) {
		d.RiskScore = &policyv1.RiskScore{
			Weights: &policyv1.RiskWeights{Target: 10}, Levels: []*policyv1.RiskLevel{{From: 10, Bake: durationpb.New(8 * time.Second)}},
		}
	})
	raise := func(g *generator) { g.raise = true }
	g := w.successful(t, raise)
	if g.State().Request.GetTrigger() == releasev1.Trigger_TRIGGER_PLANNED && g.State().Chosen.GetBake().AsDuration() != 8*time.Second {
		t.Fatalf("chosen is %v", g.State().Chosen)
	}
	if report := g.replay(t, w.kept.Get, g.messages); !report.OK() {
		t.Fatalf("%+v", report)
	}
	for name, c := range map[string]*releasev1.Chosen{"nothing": nil, "a longer bake": {Bake: durationpb.New(9 * time.Second)}} {
		lies := 0
		for seed := uint64(0); seed < 200 && lies == 0; seed++ {
			lied := w.release(t, seed, raise, func(g *generator) {
				g.lie = func(e *releasev1.Event) {
					if x := e.GetRiskCleared(); x.GetChosen() != nil {
						s := g.State()
						s.Request = procedure.AsChosen(s.Request, c)
						x.Chosen, x.ChangeDigest, lies = c, procedure.ChangeDigest(s), lies+1
					}
				}
			})
			if lies == 0 {
				continue
			}
			report := lied.replay(t, w.kept.Get, lied.messages)
			if i := slices.IndexFunc(report.Decisions, func(d replay.Decision) bool { return d.Result == replay.Differs }); i < 0 ||
				report.Decisions[i].Type != "risk_cleared" || !strings.Contains(report.Decisions[i].Detail, "derived is") {
				t.Errorf("%s: %+v", name, report.Decisions)
			}
		}
		if lies == 0 {
			t.Errorf("%s: nobody lied", name)
		}
	}
}
