package replay_test

import (
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/blackdice/shipwarden/cli/replay"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// TestALaterLookIsJudgedAgain by its samples, whatever it says: one that says another verdict, or
// that is on another schedule than the document's, is told.
func TestALaterLookIsJudgedAgain(t *testing.T) {
	w := newWorld(t, func(d *policyv1.Procedure) {
		d.Reverify = &policyv1.Reverify{Every: durationpb.New(time.Hour), During: durationpb.New(4 * time.Hour)}
	})
	results := func(lie func(*releasev1.Event)) map[string]map[replay.Result]int {
		out := map[string]map[replay.Result]int{}
		for seed := range uint64(30) {
			g := w.release(t, seed, func(g *generator) { g.lie = lie })
			for _, d := range g.replay(t, w.kept.Get, g.messages).Decisions {
				if out[d.Type] == nil {
					out[d.Type] = map[replay.Result]int{}
				}
				out[d.Type][d.Result]++
			}
		}
		return out
	}
	honest := results(nil)
	for _, of := range []string{"reverified", "verification_revoked"} {
		if honest[of][replay.Partly] == 0 || honest[of][replay.Differs] > 0 {
			t.Errorf("%s: %v", of, honest[of])
		}
	}
	for name, lie := range map[string]func(*releasev1.Event){
		"reverified": func(e *releasev1.Event) {
			if l := e.GetVerificationRevoked().GetLook(); l != nil {
				l.Results, l.More = nil, 0
				e.Data = &releasev1.Event_Reverified{Reverified: &releasev1.Reverified{Look: l}}
			}
		},
		"requested": func(e *releasev1.Event) {
			if r := e.GetRequested().GetReverification(); r != nil {
				r.Every = durationpb.New(2 * time.Hour)
			}
		},
	} {
		if got := results(lie)[name]; got[replay.Differs] == 0 {
			t.Errorf("a lie in %s is not told: %v", name, got)
		}
	}
}
