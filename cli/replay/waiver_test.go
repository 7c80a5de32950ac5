package replay_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/blackdice/shipwarden/cli/replay"
	"github.com/blackdice/shipwarden/internal/attest"
	"github.com/blackdice/shipwarden/internal/sigstore"
	"github.com/blackdice/shipwarden/internal/verdict"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/approval/approvaltest"
	"github.com/blackdice/shipwarden/services/approval/gates"
)

// unboundWaiver is a waiver that does not say where it counts, and all there is.
func (g *generator) unboundWaiver(request *releasev1.Request, at time.Time) [][]byte {
	waiver, err := attest.Sign(attest.Statement{
		PredicateType: attest.WaiverType, Subjects: []attest.Subject{{Name: "shop", Digest: request.GetArtifacts()[0].GetDigest()}},
		Predicate: map[string]any{
			"gate": "tests", "owner": "gina", "reason": "the suite is being moved",
			"issued": at.Format(time.RFC3339), "expires": at.Add(20 * time.Hour).Format(time.RFC3339),
		},
	}, "desk", approvaltest.Key("desk"))
	if err != nil {
		g.t.Fatal(err)
	}
	return [][]byte{waiver}
}

// judgedAs is what step 1 decided by a rule of before.
func (g *generator) judgedAs(trust verdict.Trust, now time.Time) *releasev1.Event {
	root, err := sigstore.ParseRoot(g.kept[g.index.Document().GetSigstore().GetTrustedRoot()])
	if err != nil {
		g.t.Fatal(err)
	}
	var envelopes [][]byte
	for _, ref := range g.State().Evidence() {
		envelopes = append(envelopes, g.kept[ref.GetDigest()])
	}
	trust.Index, trust.Root = g.index, root
	return gates.Judge(trust, g.State(), envelopes, gates.Beside{}, now)
}

// TestWaiversOfBeforeTheyNamedAnEnvironmentReplay: what such a one let through, or let wait
// for something else, follows from the rule of then, and the report says that it is taken.
func TestWaiversOfBeforeTheyNamedAnEnvironmentReplay(t *testing.T) {
	w := newWorld(t, func(d *policyv1.Procedure) { d.Gates[1].EvidenceWithin = durationpb.New(20 * time.Minute) })
	seen := map[string]int{}
	for seed := range uint64(40) {
		g := w.release(t, seed, func(g *generator) { g.unbound = true })
		report := g.replay(t, w.kept.Get, g.messages)
		if !report.OK() {
			t.Fatalf("seed %d: %+v", seed, report)
		}
		for _, d := range report.Decisions {
			if slices.ContainsFunc(d.Taken, func(text string) bool { return strings.Contains(text, "names no environment") }) {
				if seen[d.Type]++; d.Result != replay.Partly {
					t.Errorf("seed %d: %+v", seed, d)
				}
			}
		}
	}
	if seen["gates_confirmed"] == 0 || seen["gates_held"] == 0 {
		t.Errorf("taken %v", seen)
	}
}

// TestAWaiverForElsewhereThatLetAGateThroughIsReported, whatever the verdict says of it.
func TestAWaiverForElsewhereThatLetAGateThroughIsReported(t *testing.T) {
	w := newWorld(t)
	for name, lie := range map[string]func(*releasev1.Waiver){
		"another environment": func(w *releasev1.Waiver) { w.Environment = "production" },
		"another service":     func(w *releasev1.Waiver) { w.Environment, w.Service = "production", "shop" },
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(100) {
				lied := false
				g := w.release(t, seed, func(g *generator) {
					g.unbound = true
					g.lie = func(e *releasev1.Event) {
						for _, v := range e.GetGatesConfirmed().GetVerdicts() {
							for _, waiver := range v.GetWaivers() {
								lie(waiver)
								lied = true
							}
						}
					}
				})
				if !lied {
					continue
				}
				if report := g.replay(t, w.kept.Get, g.messages); report.Count(replay.Differs) != 1 {
					t.Errorf("%+v", report.Decisions)
				}
				return
			}
			t.Fatal("no waiver was used")
		})
	}
}
