package replay_test

import (
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/cli/replay"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// TestAnOverrideOverAHandOverReplays: by the rota it is another shift when the approval is
// stored than it was when it was decided, and the one who takes over is the same. What was
// frozen is derived as of when it was decided, and a byte of it that is another is reported.
func TestAnOverrideOverAHandOverReplays(t *testing.T) {
	// The same release with nobody on call says when its first approval is decided.
	var decided time.Time
	seed, plain := uint64(0), newWorld(t)
	for ; decided.IsZero() && seed < 100; seed++ {
		plain.release(t, seed, func(g *generator) {
			g.lie = func(e *releasev1.Event) {
				if e.GetApprovalGiven() != nil && e.GetActor().GetId() == "anna" && len(g.State().Approvals) == 0 {
					decided = e.GetDecided().AsTime()
				}
			}
		})
	}
	seed--
	handover := decided.Truncate(time.Minute)
	w := newWorld(t, func(d *policyv1.Procedure) {
		d.Groups[0].OnCall = &policyv1.OnCall{
			Rotas: []*policyv1.Rota{{
				Name: "hourly", People: []string{"ben", "alan"}, Begin: handover.Add(-3 * time.Hour).UTC().Format("2006-01-02T15:04"), Shift: durationpb.New(time.Hour), TimeZone: "UTC",
			}},
			Overrides: []*policyv1.OnCallOverride{{
				Person: "finn", From: timestamppb.New(handover.Add(-5 * time.Minute)), Until: timestamppb.New(handover.Add(90 * time.Minute)), Reason: "a swap",
			}},
		}
	})
	for name, c := range map[string]struct {
		lie     func(e *releasev1.Event)
		differs bool
	}{
		"as it is":       {func(*releasev1.Event) {}, false},
		"the next shift": {func(e *releasev1.Event) { e.GetActor().GetOnCall()[0].Number++ }, true},
		"another rota":   {func(e *releasev1.Event) { e.GetActor().GetOnCall()[0].Rota = "daily" }, true},
		"another reason": {func(e *releasev1.Event) { e.GetActor().GetOnCall()[0].Override = "" }, true},
		"a later end":    {func(e *releasev1.Event) { e.GetActor().GetOnCall()[0].Until.Nanos++ }, true},
		"no shift":       {func(e *releasev1.Event) { e.GetActor().OnCall = nil }, true},
		"before anybody took over": {func(e *releasev1.Event) {
			e.GetActor().OnCall, e.Decided = nil, timestamppb.New(handover.Add(-6*time.Minute))
		}, true},
	} {
		done := false
		g := w.release(t, seed, func(g *generator) {
			g.lie = func(e *releasev1.Event) {
				x := e.GetApprovalGiven()
				if x == nil || done {
					return
				}
				done = true
				before := handover.Add(-time.Nanosecond)
				x.Expires = timestamppb.New(x.GetExpires().AsTime().Add(before.Sub(e.GetDecided().AsTime())))
				person, shift := g.index.OnCall("release-managers", before)
				e.Decided = timestamppb.New(before)
				e.Actor.Id, e.Actor.Groups, e.Actor.OnCall = person, []string{"release-managers"}, []*releasev1.Shift{shift}
				c.lie(e)
			}
		})
		if !done || g.State().Approvals[0].Person != "finn" {
			t.Fatalf("%s: finn's approval does not count: %+v", name, g.State().Approvals)
		}
		report := g.replay(t, w.kept.Get, g.messages)
		if (report.Count(replay.Differs) > 0) != c.differs {
			t.Errorf("%s: %+v", name, report)
		}
	}
}
