package replay_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/blackdice/shipwarden/cli/replay"
	"github.com/blackdice/shipwarden/internal/attest"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/approval/approvaltest"
)

const svrType = "https://in-toto.io/attestation/svr/v0.1"

// stampedResult is a verification result that has a timestamp, fresh or old, and mostly no
// time of its type; at times with the bundle of provenance.
func (g *generator) stampedResult(request *releasev1.Request, at time.Time) [][]byte {
	age := []time.Duration{time.Minute, time.Minute, time.Minute, 10 * time.Hour}[g.rand.IntN(4)]
	predicate := map[string]any{"result": "PASSED", "tests": 20, "timestamp": at.Add(-age).Format(time.RFC3339)}
	if g.rand.IntN(3) == 0 {
		predicate["timeCreated"] = at.Format(time.RFC3339)
	}
	signed, err := attest.Sign(attest.Statement{
		PredicateType: svrType, Predicate: predicate, Subjects: []attest.Subject{{Name: "shop", Digest: request.GetArtifacts()[0].GetDigest()}},
	}, "ci", approvaltest.Key("ci"))
	if err != nil {
		g.t.Fatal(err)
	}
	if g.rand.IntN(2) == 0 {
		return [][]byte{signed}
	}
	return [][]byte{signed, g.bundle}
}

// TestVerdictsOfBeforeTypesHadTheirOwnTimeReplay: what was let through, refused or let wait
// by a timestamp follows from the rule of then, which its verdict tells, up to the start; and
// the report says so.
func TestVerdictsOfBeforeTypesHadTheirOwnTimeReplay(t *testing.T) {
	w := newWorld(t, func(d *policyv1.Procedure) {
		d.Gates[0].PredicateType, d.Gates[1].EvidenceWithin = svrType, durationpb.New(20*time.Minute)
	})
	seen := map[string]int{}
	for seed := range uint64(60) {
		g := w.release(t, seed, func(g *generator) { g.stamped = true })
		report := g.replay(t, w.kept.Get, g.messages)
		if !report.OK() {
			t.Fatalf("seed %d: %+v", seed, report)
		}
		for _, d := range report.Decisions {
			if slices.ContainsFunc(d.Taken, func(text string) bool { return strings.Contains(text, "dated by its field timestamp") }) {
				if seen[d.Type]++; d.Result != replay.Partly {
					t.Errorf("seed %d: %+v", seed, d)
				}
			}
			if d.Type == "execution_claimed" {
				seen[d.Type]++
			}
		}
	}
	for _, kind := range []string{"gates_confirmed", "gates_refused", "gates_held", "execution_claimed"} {
		if seen[kind] == 0 {
			t.Errorf("no %s among %v", kind, seen)
		}
	}
}

// TestAStatementThatIsNotDatedByItsTypeIsReported where the verdict says that it was.
func TestAStatementThatIsNotDatedByItsTypeIsReported(t *testing.T) {
	w := newWorld(t, func(d *policyv1.Procedure) {
		d.Gates[0].PredicateType, d.Gates[0].Bypassable = svrType, false
	})
	for seed := range uint64(60) {
		lied := false
		g := w.release(t, seed, func(g *generator) {
			g.stamped = true
			g.lie = func(e *releasev1.Event) {
				for _, v := range e.GetGatesConfirmed().GetVerdicts() {
					if now := strings.Replace(v.GetRule(), "1h0m0s", "1h0m0s by timeCreated", 1); now != v.GetRule() && v.GetGate() == "tests" {
						v.Rule, lied = now, true
					}
				}
			}
		})
		if !lied {
			continue
		}
		report := g.replay(t, w.kept.Get, g.messages)
		if report.Count(replay.Differs) > 0 {
			return
		}
	}
	t.Fatal("nobody saw that no statement had the time that the verdict names")
}
