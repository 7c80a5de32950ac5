package replay_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"

	"github.com/blackdice/shipwarden/cli/replay"
	"github.com/blackdice/shipwarden/internal/attest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/approval/approvaltest"
)

// olderResult is a test result in a statement of in-toto v0.1, fresh or old; mostly beside one
// in a v1, and the bundle of provenance.
func (g *generator) olderResult(request *releasev1.Request, at time.Time) [][]byte {
	age := []time.Duration{time.Minute, time.Minute, 10 * time.Hour}[g.rand.IntN(3)]
	payload := fmt.Appendf(nil, `{"_type":%q,"subject":[{"name":"shop","digest":{"sha256":%q}}],"predicateType":%q,"predicate":{"result":"PASSED","tests":20,"timestamp":%q,"authors":["anna"]}}`,
		attest.StatementTypeV01, request.GetArtifacts()[0].GetDigest()[7:], approvaltest.TestType, at.Add(-age).Format(time.RFC3339))
	signature := ed25519.Sign(approvaltest.Key("ci"), dsse.PAE(attest.PayloadType, payload))
	signed, err := json.Marshal(dsse.Envelope{
		PayloadType: attest.PayloadType, Payload: base64.StdEncoding.EncodeToString(payload),
		Signatures: []dsse.Signature{{KeyID: "ci", Sig: base64.StdEncoding.EncodeToString(signature)}},
	})
	if err != nil {
		g.t.Fatal(err)
	}
	out := [][]byte{signed, g.bundle}
	if g.rand.IntN(3) > 0 {
		plain, err := attest.Sign(attest.Statement{
			PredicateType: approvaltest.TestType, Subjects: []attest.Subject{{Name: "shop", Digest: request.GetArtifacts()[0].GetDigest()}},
			Predicate: map[string]any{"result": "PASSED", "tests": 20, "timestamp": at.Format(time.RFC3339)},
		}, "ci", approvaltest.Key("ci"))
		if err != nil {
			g.t.Fatal(err)
		}
		out = append(out, plain)
	}
	return out
}

const onlyV1Then = "statements of in-toto v0.1 counted for nothing"

// TestEvidenceInOlderStatementsReplays: as it is judged today, and as it was before such
// statements counted, which the verdicts tell and the report says; at the start as well.
func TestEvidenceInOlderStatementsReplays(t *testing.T) {
	w := newWorld(t)
	for name, then := range map[string]bool{"today": false, "then": true} {
		seen := map[string]int{}
		for seed := range uint64(60) {
			g := w.release(t, seed, func(g *generator) { g.older, g.onlyV1 = true, then })
			report := g.replay(t, w.kept.Get, g.messages)
			if !report.OK() {
				t.Fatalf("%s: seed %d: %+v", name, seed, report)
			}
			for _, d := range report.Decisions {
				said := slices.ContainsFunc(d.Taken, func(text string) bool { return strings.Contains(text, onlyV1Then) })
				if said && (!then || d.Result != replay.Partly) {
					t.Errorf("%s: seed %d: %+v", name, seed, d)
				}
				if said || !then || d.Type == "execution_claimed" {
					seen[d.Type]++
				}
			}
		}
		kinds := []string{"gates_confirmed", "gates_refused", "execution_claimed"}
		if then {
			kinds[1] = "gates_held"
		}
		for _, kind := range kinds {
			if seen[kind] == 0 {
				t.Errorf("%s: no %s among %v", name, kind, seen)
			}
		}
	}
}

// TestWhoSaysThatAnOlderStatementWasNotHeardIsReported where the verdict names it, and so is who
// leaves it out of a verdict that cannot be of then.
func TestWhoSaysThatAnOlderStatementWasNotHeardIsReported(t *testing.T) {
	w := newWorld(t)
	for name, lie := range map[string]func(v *releasev1.GateVerdict){
		"its author is left out":  func(v *releasev1.GateVerdict) { v.Authors = nil },
		"it is left out":          func(v *releasev1.GateVerdict) { v.Older = nil },
		"another one is named":    func(v *releasev1.GateVerdict) { v.Older[0] = "sha256:" + strings.Repeat("0", 64) },
		"one is named besides it": func(v *releasev1.GateVerdict) { v.Older = append(v.Older, v.GetEvidence()...) },
	} {
		lied := false
		for seed := uint64(0); seed < 60 && !lied; seed++ {
			g := w.release(t, seed, func(g *generator) {
				g.older = true
				g.lie = func(e *releasev1.Event) {
					for _, v := range e.GetGatesConfirmed().GetVerdicts() {
						if len(v.GetOlder()) > 0 {
							lied = true
							lie(v)
						}
					}
				}
			})
			if report := g.replay(t, w.kept.Get, g.messages); lied && report.Count(replay.Differs) == 0 {
				t.Errorf("%s: %+v", name, report)
			}
		}
		if !lied {
			t.Errorf("%s: no verdict names any", name)
		}
	}
}
