package replay_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/blackdice/shipwarden/cli/replay"
	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// TestAGateThatWasGoneAroundUnreadIsTaken: the executor could not read the evidence of an
// emergency, and its claim says so. With the evidence back replay does not say that it counted;
// without it the claim is no difference. A claim that says of evidence that it counted no more
// is told where it did.
func TestAGateThatWasGoneAroundUnreadIsTaken(t *testing.T) {
	w, seen := newWorld(t), 0
	for seed := range uint64(60) {
		for _, rule := range []string{"evidence.unknown", "evidence.outdated"} {
			var piece string
			g := w.release(t, seed, func(g *generator) {
				g.lie = func(e *releasev1.Event) {
					x, s := e.GetExecutionClaimed(), g.State()
					passed := slices.ContainsFunc(s.Gates, func(v *releasev1.GateVerdict) bool {
						return v.GetGate() == "tests" && v.GetStatus() == releasev1.GateVerdict_STATUS_PASSED && len(v.GetEvidence()) > 0
					})
					if x.GetTrustedBy() == "" || piece != "" || !s.Emergency() || !passed || slices.Contains(x.GetBypassed(), "gate tests") {
						return
					}
					piece = s.Evidence()[0].GetDigest()
					x.Bypassed = append(x.GetBypassed(), procedure.GateBypass("tests"))
					x.Findings = append(x.GetFindings(), &releasev1.Finding{Rule: rule, Severity: releasev1.Finding_SEVERITY_WARNING, Subject: "tests"})
				}
			})
			if piece == "" {
				continue
			}
			seen++
			claim := func(blobs replay.Blobs) replay.Decision {
				decisions := g.replay(t, blobs, g.messages).Decisions
				return decisions[slices.IndexFunc(decisions, func(d replay.Decision) bool { return d.Type == "execution_claimed" })]
			}
			d := claim(w.kept.Get)
			if rule == "evidence.outdated" {
				if d.Result != replay.Differs || !strings.Contains(d.Detail, "the evidence of gate tests still counted") {
					t.Errorf("seed %d: %+v", seed, d)
				}
				continue
			}
			const taken = "that evidence could not be read then, for which it went around gate tests"
			if d.Result == replay.Differs || strings.Contains(d.Detail, "still counted") || !slices.Contains(d.Taken, taken) {
				t.Errorf("seed %d: %+v", seed, d)
			}
			d = claim(func(ctx context.Context, digest string) ([]byte, error) {
				if digest == piece {
					return nil, replay.ErrMissing
				}
				return w.kept.Get(ctx, digest)
			})
			if d.Result == replay.Differs || !slices.Contains(d.Taken, taken) || !strings.Contains(strings.Join(d.Taken, ""), "some of which is not there") {
				t.Errorf("seed %d, without it: %+v", seed, d)
			}
		}
	}
	if seen < 4 {
		t.Errorf("%d claims", seen)
	}
}
