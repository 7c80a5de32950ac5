package notify_test

import (
	"slices"
	"testing"

	"github.com/blackdice/shipwarden/internal/eventstore/eventstoretest"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// TestPeopleAreCalledThoughNothingCanBeKept: a planned release is escalated while the store
// of evidence is full. Everybody hears of it, once, and the event says of each notice that it
// is not kept.
func TestPeopleAreCalledThoughNothingCanBeKept(t *testing.T) {
	r := newRig(t)
	release := r.Reach(t, procedure.PhaseVerify)
	r.Do(t, release, "", proceduretest.Verified(r.State(t, release), releasev1.CheckResult_VERDICT_FAIL, false))
	r.Do(t, release, "", proceduretest.Escalate(r.State(t, release), r.now))
	eventstoretest.Full(t, r)
	before := len(r.State(t, release).Unkept)
	s, err := r.Act(t, r.step(), release, r.now)
	if err != nil || len(s.Wanted) != 0 {
		t.Fatalf("not told of %v: %v", s.Wanted, err)
	}
	entries := r.Task(t, release, r.now).History.Entries
	notices := 0
	for _, e := range entries {
		n := e.Event.GetNotified()
		if n == nil || n.GetOccasion() != releasev1.Occasion_OCCASION_ESCALATION && n.GetOccasion() != releasev1.Occasion_OCCASION_ROLLBACK {
			continue
		}
		notices++
		for _, x := range n.GetReceipts() {
			i := slices.IndexFunc(e.Event.GetUnkept(), func(u *releasev1.UnkeptEvidence) bool { return u.GetDigest() == x.GetBodyDigest() })
			if !x.GetDelivered() || i < 0 || e.Event.GetUnkept()[i].GetReason() != "the evidence store is full" {
				t.Errorf("%s: receipt %v, not kept is %v", n.GetOccasion(), x, e.Event.GetUnkept())
			}
		}
	}
	heard := r.ops.heard()
	if notices == 0 || len(heard) < notices || len(slices.Compact(slices.Sorted(slices.Values(heard)))) != len(heard) || len(s.Unkept) == before {
		t.Errorf("%d notices, heard %v, not kept %v", notices, heard, s.Unkept)
	}
	// With room again the same notices are kept as ever.
	eventstoretest.Room(t, r)
	other := r.Reach(t, procedure.PhaseNotify, proceduretest.Key("later"))
	if s, err := r.Act(t, r.step(), other, r.now); err != nil || s.Phase != procedure.PhaseExecute || len(s.Unkept) != 0 {
		t.Errorf("with room: phase %s, %v, %v", s.Phase, s.Unkept, err)
	}
}
