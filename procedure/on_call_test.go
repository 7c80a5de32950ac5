package procedure_test

import (
	"errors"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// TestADecisionOnCallCountsWithinItsShift: by the time of storing, from the beginning of the
// shift up to but not including its end, whatever the service's clock said (U2).
func TestADecisionOnCallCountsWithinItsShift(t *testing.T) {
	h := proceduretest.New(proceduretest.Request())
	h.To(t, procedure.PhaseApprove)
	now := h.Now.Add(time.Second)
	shift := func(from, until time.Duration) *releasev1.Shift {
		return &releasev1.Shift{Group: "release-managers", Rota: "weekly", Number: 3, From: timestamppb.New(now.Add(from)), Until: timestamppb.New(now.Add(until))}
	}
	by := func(shifts ...*releasev1.Shift) *releasev1.Actor {
		return &releasev1.Actor{Id: "finn", Kind: releasev1.Actor_KIND_HUMAN, Groups: []string{"release-managers"}, OnCall: shifts}
	}
	other := shift(-time.Hour, time.Hour)
	other.Group = "security"
	machine := by(shift(-time.Hour, time.Hour))
	machine.Kind = releasev1.Actor_KIND_SERVICE
	machine.Id = procedure.ServiceApproval
	for name, c := range map[string]struct {
		actor *releasev1.Actor
		event *releasev1.Event
		want  error
	}{
		"in it":                                   {by(shift(-time.Hour, time.Hour)), nil, nil},
		"at its first nanosecond":                 {by(shift(0, time.Hour)), nil, nil},
		"a nanosecond before it":                  {by(shift(1, time.Hour)), nil, procedure.ErrOffDuty},
		"at its last nanosecond":                  {by(shift(-time.Hour, 1)), nil, nil},
		"at its end":                              {by(shift(-time.Hour, 0)), nil, procedure.ErrOffDuty},
		"after it":                                {by(shift(-2*time.Hour, -time.Hour)), nil, procedure.ErrOffDuty},
		"in one of two":                           {by(shift(-time.Hour, time.Hour), shift(-2*time.Hour, -time.Hour)), nil, procedure.ErrOffDuty},
		"in one that has no end":                  {by(&releasev1.Shift{Group: "release-managers", From: timestamppb.New(now)}), nil, procedure.ErrOffDuty},
		"in one that has no beginning":            {by(&releasev1.Shift{Group: "release-managers", Until: timestamppb.New(now.Add(time.Hour))}), nil, procedure.ErrOffDuty},
		"for a group that the decision has not":   {by(other), nil, procedure.ErrOffDuty},
		"a no, after it":                          {by(shift(-2*time.Hour, -time.Hour)), proceduretest.Reject(), procedure.ErrOffDuty},
		"a machine":                               {machine, proceduretest.Authorize(authorizable(t, h), now), procedure.ErrOffDuty},
		"a member, who needs none":                {by(), nil, nil},
		"in place of somebody on call":            {by(), inPlace(h, shift(-time.Hour, time.Hour)), nil},
		"in place of somebody whose is over":      {by(), inPlace(h, shift(-time.Hour, 0)), procedure.ErrOffDuty},
		"in place, for a group that is not there": {by(), inPlace(h, other), procedure.ErrOffDuty},
	} {
		event := c.event
		if event == nil {
			event = proceduretest.Approval(h.State(), now.Add(time.Hour))
		}
		_, err := procedure.Evolve(h.State(), proceduretest.Entry(h.State(), h.Last+1, now, c.actor, event))
		if c.want == nil && err != nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

// authorizable is the state in which the approvals suffice.
func authorizable(t *testing.T, h *proceduretest.History) procedure.State {
	t.Helper()
	c := h.Clone()
	c.Do(t, "anna", proceduretest.Approval(c.State(), c.Now.Add(time.Hour)))
	c.Do(t, "ben", proceduretest.Approval(c.State(), c.Now.Add(time.Hour)))
	return c.State()
}

// inPlace is an approval by Finn in place of Anna, who is on call.
func inPlace(h *proceduretest.History, shifts ...*releasev1.Shift) *releasev1.Event {
	e := proceduretest.Approval(h.State(), h.Now.Add(time.Hour))
	e.GetApprovalGiven().StandIn = &releasev1.StandIn{
		Person: "anna", Groups: []string{"release-managers"}, OnCall: shifts,
		Delegations: []*releasev1.Delegation{{Number: 1, Person: "anna", StandIn: "finn"}},
	}
	return e
}

// TestAShiftThatEndsTakesNoApprovalBack: what was given in its time counts until it expires.
func TestAShiftThatEndsTakesNoApprovalBack(t *testing.T) {
	h := proceduretest.New(proceduretest.Request())
	h.To(t, procedure.PhaseApprove)
	finn := &releasev1.Actor{Id: "finn", Kind: releasev1.Actor_KIND_HUMAN, Groups: []string{"release-managers"}, OnCall: []*releasev1.Shift{{
		Group: "release-managers", Rota: "weekly", Number: 1, From: timestamppb.New(h.Now.Add(-time.Hour)), Until: timestamppb.New(h.Now.Add(time.Minute)),
	}}}
	if err := h.Store(h.Next(finn, proceduretest.Approval(h.State(), h.Now.Add(10*time.Hour)))); err != nil {
		t.Fatal(err)
	}
	h.Advance(2 * time.Hour)
	h.Do(t, "ben", proceduretest.Approval(h.State(), h.Now.Add(10*time.Hour)))
	if counted, missing := procedure.Count(h.State(), h.Now); len(counted) != 2 || len(missing) != 0 {
		t.Errorf("%v are counted, and %v are missing", counted, missing)
	}
	h.To(t, procedure.PhaseExecute)
}
