package replay_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/blackdice/shipwarden/cli/replay"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// TestWhatCouldNotBeKeptIsTakenAndNoDifference has emergencies that were judged by answers
// which the store of evidence did not take. What their events say of it is no difference;
// that something else is missing is one, and so it is where the event says nothing.
func TestWhatCouldNotBeKeptIsTakenAndNoDifference(t *testing.T) {
	w := newWorld(t, outside(t)).tracked(t)
	for seed := range uint64(200) {
		lost := map[string]bool{}
		says := true
		lose := func(g *generator) {
			g.lie = func(e *releasev1.Event) {
				for _, a := range e.GetRiskCleared().GetAlerts() {
					if digest := a.GetAnswer().GetDigest(); digest != "" && g.State().Emergency() {
						lost[digest] = true
						if says {
							e.Unkept = append(e.Unkept, &releasev1.UnkeptEvidence{Digest: digest, Name: "alerts", Reason: "the evidence store is full"})
						}
					}
				}
			}
		}
		g := w.release(t, seed, lose)
		if len(lost) == 0 {
			continue
		}
		without := func(ctx context.Context, digest string) ([]byte, error) {
			if lost[digest] {
				return nil, replay.ErrMissing
			}
			return w.kept.Get(ctx, digest)
		}
		report := g.replay(t, without, g.messages)
		taken := 0
		for _, d := range report.Decisions {
			if d.Type == "risk_cleared" && d.Result == replay.Taken && strings.Contains(strings.Join(d.Taken, ""), "could not be kept as evidence when this was decided (the evidence store is full)") {
				taken++
			}
		}
		if !report.OK() || taken != 1 {
			t.Errorf("%+v", report)
		}
		// It is there all the same: then it is derived.
		if report := g.replay(t, w.kept.Get, g.messages); !report.OK() || report.Count(replay.Differs) > 0 {
			t.Errorf("with everything: %+v", report)
		}
		// Nothing else may be missing.
		if report := g.replay(t, func(ctx context.Context, digest string) ([]byte, error) {
			if digest == g.State().Evidence()[0].GetDigest() {
				return nil, replay.ErrMissing
			}
			return without(ctx, digest)
		}, g.messages); report.OK() {
			t.Errorf("something else is missing: %+v", report)
		}
		says = false
		if g := w.release(t, seed, lose); g.replay(t, without, g.messages).OK() {
			t.Error("the event says nothing, and its evidence is missing")
		}
		return
	}
	t.Error("there was no emergency")
}

// unreadable is a store that gives nothing of what came with a request, nor the trusted root.
type unreadable struct {
	kept
}

func (u unreadable) Get(context.Context, string) ([]byte, error) {
	return nil, context.DeadlineExceeded
}

// TestWhatCouldNotBeReadWhenItWasJudged is there when it is replayed, and is left out again:
// the verdicts follow from what was read. A verdict that does not say so is told.
func TestWhatCouldNotBeReadWhenItWasJudged(t *testing.T) {
	w := newWorld(t)
	judged, lied := 0, 0
	for seed := range uint64(40) {
		g := w.release(t, seed, func(g *generator) { g.blind = true })
		if len(g.State().Unkept) == 0 {
			continue
		}
		judged++
		if report := g.replay(t, w.kept.Get, g.messages); !report.OK() || report.Count(replay.Differs) > 0 {
			t.Errorf("seed %d: %+v", seed, report)
		}
		if !slices.ContainsFunc(g.State().Gates, func(v *releasev1.GateVerdict) bool { return strings.Contains(v.GetReason(), "could not be read") }) {
			continue // No verdict rests on it.
		}
		lied++
		lies := w.release(t, seed, func(g *generator) {
			g.blind = true
			g.lie = func(e *releasev1.Event) {
				if e.GetGatesConfirmed() != nil || e.GetGatesRefused() != nil {
					e.Unkept = nil
				}
			}
		})
		if lies.replay(t, w.kept.Get, lies.messages).OK() {
			t.Errorf("seed %d: a verdict that hides what it was judged without is taken", seed)
		}
	}
	if judged == 0 || lied == 0 {
		t.Errorf("of %d emergencies %d had a verdict without it", judged, lied)
	}
}
