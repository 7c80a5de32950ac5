package procedure_test

import (
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

var byHand = []string{"Deployment web: spec.template.spec.containers[0].image by kubectl"}

// changed is what the executor puts on record; nil where nothing is new.
func changed(h *proceduretest.History, target, found string, differences ...string) *releasev1.Event {
	return procedure.DecideUnrecordedChange(h.State(), target, found, differences)
}

// TestAChangeByHandCallsPeopleOfAReleaseThatWasClosed follows one from when it is found until
// the target is as it was again (N-08).
func TestAChangeByHandCallsPeopleOfAReleaseThatWasClosed(t *testing.T) {
	h := proceduretest.New(proceduretest.Request())
	h.To(t, procedure.PhaseClosed)
	left, ok := procedure.LeftOn(h.State(), "eu1")
	if !ok || changed(h, "eu1", left) != nil {
		t.Fatalf("left %q, %t; or something is changed where nothing is", left, ok)
	}

	found := changed(h, "eu1", left, byHand...)
	h.Do(t, "", found)
	s := h.State()
	if x, open := procedure.OpenIncident(s, nil, false); !open || x.Cause != releasev1.Cause_CAUSE_UNRECORDED_CHANGE {
		t.Errorf("no incident: %+v", x)
	}
	if s.Phase != procedure.PhaseFollowUp || len(procedure.DueCalls(s)) != 1 || len(s.Drifts) != 1 {
		t.Errorf("phase %s, calls %v, changes %v", s.Phase, procedure.DueCalls(s), s.Drifts)
	}
	if changed(h, "eu1", left, byHand...) != nil {
		t.Error("the same change is told twice")
	}
	if err := h.Store(h.Next(nil, found)); err == nil {
		t.Error("the same change counts twice")
	}

	h.Do(t, "", proceduretest.Escalate(h.State(), h.Now))
	h.Do(t, "eve", proceduretest.Acknowledge(releasev1.Cause_CAUSE_UNRECORDED_CHANGE))
	h.To(t, procedure.PhaseClosed)
	if changed(h, "eu1", left, byHand...) != nil {
		t.Error("what somebody took on is told again")
	}
	other := changed(h, "eu1", proceduretest.Digest('e'))
	h.Do(t, "", other)
	if calls := procedure.DueCalls(h.State()); len(calls) != 1 || h.State().Phase != procedure.PhaseFollowUp {
		t.Errorf("another change calls nobody: %v in %s", calls, h.State().Phase)
	}

	again := changed(h, "eu1", left)
	if !again.GetUnrecordedChange().GetGone() {
		t.Fatalf("it is as it was again: %v", again)
	}
	h.Do(t, "", again)
	if len(h.State().Drifts) != 0 || len(h.State().OpenEscalations()) != 1 || changed(h, "eu1", left) != nil {
		t.Error("what was undone is still there, is told again, or needs nobody who takes it on")
	}
	if err := h.Store(h.Next(nil, again)); err == nil {
		t.Error("it is undone twice")
	}
}

// TestWhatAReleaseDidNotLeaveIsNoChangeOfIt whether it is not over, was taken back, or never
// went there.
func TestWhatAReleaseDidNotLeaveIsNoChangeOfIt(t *testing.T) {
	h := proceduretest.New(proceduretest.Request())
	h.To(t, procedure.PhaseRecord)
	if changed(h, "eu1", "") != nil {
		t.Error("of a release that is not recorded")
	}
	h.To(t, procedure.PhaseClosed)
	good := changed(h, "eu1", "")
	if good == nil {
		t.Fatal("a target that carries nothing any more is none")
	}
	for why, change := range map[string]func(*releasev1.UnrecordedChange){
		"another target":     func(u *releasev1.UnrecordedChange) { u.Target = "eu9" },
		"another digest":     func(u *releasev1.UnrecordedChange) { u.Expected = proceduretest.Digest('e') },
		"no name":            func(u *releasev1.UnrecordedChange) { u.Change = "" },
		"nothing different":  func(u *releasev1.UnrecordedChange) { u.Found = u.GetExpected() },
		"nothing to be gone": func(u *releasev1.UnrecordedChange) { u.Gone = true },
	} {
		bad := proto.CloneOf(good)
		change(bad.GetUnrecordedChange())
		if err := h.Clone().Store(h.Next(nil, bad)); err == nil {
			t.Errorf("%s: it counts", why)
		}
	}

	back := proceduretest.New(proceduretest.Request())
	back.To(t, procedure.PhaseVerifyRollback)
	back.To(t, procedure.PhaseFollowUp)
	if changed(back, "eu1", "") != nil {
		t.Error("of a release that was taken back")
	}
}

// TestChangesByHandHaveABound in how much one says, and in how many are told.
func TestChangesByHandHaveABound(t *testing.T) {
	h := proceduretest.New(proceduretest.Request())
	h.To(t, procedure.PhaseClosed)
	long := make([]string, 40)
	for i := range long {
		long[i] = fmt.Sprint(i, strings.Repeat("ä", 200))
	}
	u := changed(h, "eu1", "", long...).GetUnrecordedChange()
	if len(u.GetDifferences()) != 32 || u.GetMore() != 8 || len(u.GetDifferences()[0]) > 256 || !strings.HasSuffix(u.GetDifferences()[0], "ä") {
		t.Errorf("%d lines, %d more, the first %q", len(u.GetDifferences()), u.GetMore(), u.GetDifferences()[0])
	}
	if long[39] = "another"; changed(h, "eu1", "", long...).GetUnrecordedChange().GetChange() == u.GetChange() {
		t.Error("what is not told makes no difference")
	}
	last := changed(h, "eu1", "")
	for i := range procedure.MaxDrifts {
		h.Do(t, "", changed(h, "eu1", "", fmt.Sprint(i)))
	}
	if changed(h, "eu1", "") != nil {
		t.Error("one more is told")
	}
	if err := h.Store(h.Next(nil, last)); err == nil {
		t.Error("one more counts")
	}
}
