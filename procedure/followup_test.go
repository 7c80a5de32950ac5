package procedure_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// TestFollowUpGuards shows that follow-up actions count as they are, and do not with
// one thing wrong.
func TestFollowUpGuards(t *testing.T) {
	h := proceduretest.New(proceduretest.Request())
	h.To(t, procedure.PhaseClosed)
	h.Do(t, "anna", proceduretest.FollowUp(h.State()))
	anna := proceduretest.Person("anna")
	for name, c := range map[string]struct {
		event func() *releasev1.Event
		actor *releasev1.Actor
		want  string
	}{
		"added": {func() *releasev1.Event { return proceduretest.FollowUp(h.State()) }, anna, ""},
		"added by a machine": {
			func() *releasev1.Event { return proceduretest.FollowUp(h.State()) }, proceduretest.Service(procedure.ServiceApproval), "only a person",
		},
		"added for nobody": {func() *releasev1.Event {
			e := proceduretest.FollowUp(h.State())
			e.GetFollowUpAdded().GetFollowUp().Owner = ""
			return e
		}, anna, "owner"},
		"added without a date": {func() *releasev1.Event {
			e := proceduretest.FollowUp(h.State())
			e.GetFollowUpAdded().GetFollowUp().Due = nil
			return e
		}, anna, "due date"},
		"added, and nothing is to be done": {func() *releasev1.Event {
			e := proceduretest.FollowUp(h.State())
			e.GetFollowUpAdded().GetFollowUp().Action = ""
			return e
		}, anna, "action"},
		"added under a number that is taken": {func() *releasev1.Event {
			e := proceduretest.FollowUp(h.State())
			e.GetFollowUpAdded().Number = 1
			return e
		}, anna, "not the next one"},
		"done":              {func() *releasev1.Event { return proceduretest.FollowUpDone(1) }, anna, ""},
		"done by a machine": {func() *releasev1.Event { return proceduretest.FollowUpDone(1) }, nil, "only a person"},
		"done, of no such number": {
			func() *releasev1.Event { return proceduretest.FollowUpDone(2) }, anna, "no follow-up action of that number",
		},
		"done, and nothing is said": {func() *releasev1.Event {
			e := proceduretest.FollowUpDone(1)
			e.GetFollowUpClosed().Comment = ""
			return e
		}, anna, "what came of it"},
	} {
		t.Run(name, func(t *testing.T) {
			before := h.State()
			after, err := procedure.Evolve(before, h.Next(c.actor, c.event()))
			if c.want == "" {
				if err != nil || after.Phase != procedure.PhaseClosed {
					t.Errorf("phase %s, %v", after.Phase, err)
				}
				return
			}
			if !errors.Is(err, procedure.ErrInvalidTransition) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an invalid transition because of %q", err, c.want)
			}
			if diff := cmp.Diff(before, after, protocmpOptions); diff != "" {
				t.Errorf("the state changed:\n%s", diff)
			}
		})
	}
}

// TestFollowUpsHaveAnEnd fills the list, done or not.
func TestFollowUpsHaveAnEnd(t *testing.T) {
	h := proceduretest.New(proceduretest.Request())
	h.To(t, procedure.PhaseClosed)
	for n := range uint32(procedure.MaxFollowUps) {
		h.Do(t, "anna", proceduretest.FollowUp(h.State()))
		h.Do(t, "ada", proceduretest.FollowUpDone(n+1))
	}
	if err := h.Append("anna", proceduretest.FollowUp(h.State())); !errors.Is(err, procedure.ErrInvalidTransition) {
		t.Errorf("one more: %v", err)
	}
	if open := h.State().OpenFollowUps(); open != 0 || len(h.State().FollowUps) != procedure.MaxFollowUps {
		t.Errorf("%d of %d are open", open, len(h.State().FollowUps))
	}
}
