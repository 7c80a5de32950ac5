package procedure_test

import (
	"slices"
	"sync"
	"testing"

	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// TestEveryStateHasAnExit explores the whole machine (N-10): whatever happens in
// whatever order, a release that is not closed has a deadline, somebody who can do
// something, and a way to the end.
func TestEveryStateHasAnExit(t *testing.T) {
	var mu sync.Mutex
	accepted, reached, states := map[string]int{}, map[procedure.Phase]bool{}, 0
	t.Run("worlds", func(t *testing.T) {
		for _, w := range worlds() {
			t.Run(w.name, func(t *testing.T) {
				t.Parallel()
				w.explore(t, func(from, to *node, event string) {
					stepsAreWoken(t, from, to, event)
					nothingRunsUnapproved(t, from, to, event)
					nobodyInterferes(t, from, to, event)
					nothingGoesBackByItself(t, from, to, event)
				})
				for _, n := range w.nodes {
					hasAnExit(t, n)
				}
				for _, n := range stranded(w.nodes) {
					t.Errorf("no way to the end from %s", n.path())
				}
				mu.Lock()
				defer mu.Unlock()
				states += len(w.nodes)
				for _, n := range w.nodes {
					reached[n.state.Phase] = true
				}
				for event, n := range w.accepted {
					accepted[event] += n
				}
				w.nodes = nil
			})
		}
	})
	t.Logf("%d states", states)
	for _, p := range procedure.Phases() {
		if !reached[p] {
			t.Errorf("phase %s is never reached", p)
		}
	}
	for _, event := range eventTypes() {
		if accepted[event] == 0 && ofReleases(event) {
			t.Errorf("event %s is accepted nowhere", event)
		}
	}
}

// hasAnExit holds N-10 of one state.
func hasAnExit(t *testing.T, n *node) {
	t.Helper()
	s := n.state
	if s.Phase == procedure.PhaseClosed && (len(s.Wanted) > 0 || len(s.OpenEscalations())+len(procedure.Unclosed(s)) > 0 || s.ReviewOwed() || !s.Recorded) {
		t.Errorf("something is still owed in %s", n.path())
	}
	if s.Phase == procedure.PhaseNone || s.Phase == procedure.PhaseClosed {
		return
	}
	if d, ok := procedure.NextDeadline(s); !ok || d.At.IsZero() {
		t.Errorf("no deadline in %s", n.path())
		return
	}
	if len(procedure.Actions(s)) > 0 {
		return
	}
	if !machineDue(n) {
		t.Errorf("neither a step nor a person can do anything in %s", n.path())
	}
	// Where only the machine can go on, its failure calls people or lets it go on.
	at := n
	for range 4 {
		next, _ := at.wait()
		if next == nil {
			t.Errorf("the deadline is not accepted in %s", at.path())
			return
		}
		if len(procedure.Actions(next.state)) > 0 || next.state.Phase != s.Phase {
			return
		}
		at = next
	}
	t.Errorf("nobody hears of it if the machine stands still in %s", n.path())
}

// machineDue reports whether a step that carries the release on has something to do.
func machineDue(n *node) bool {
	return slices.ContainsFunc(procedure.Steps, func(step procedure.Step) bool {
		switch step.ID {
		case procedure.StepDeadline, procedure.StepClock, procedure.StepCatalog, procedure.StepAnswer, procedure.StepWake:
			return false // These carry nothing on.
		default:
			return procedure.Due(step.ID, n.state, n.now)
		}
	})
}

// stranded returns the states from which the end cannot be reached.
func stranded(nodes []*node) []*node {
	before := map[*node][]*node{}
	var queue []*node
	safe := map[*node]bool{}
	for _, n := range nodes {
		for _, to := range n.next {
			before[to] = append(before[to], n)
		}
		if n.state.Phase == procedure.PhaseClosed {
			safe[n] = true
			queue = append(queue, n)
		}
	}
	for len(queue) > 0 {
		n := queue[0]
		queue = queue[1:]
		for _, b := range before[n] {
			if !safe[b] {
				safe[b] = true
				queue = append(queue, b)
			}
		}
	}
	return slices.DeleteFunc(slices.Clone(nodes), func(n *node) bool { return safe[n] })
}

// stepsAreWoken holds the table of steps to the machine: an event that gives a step
// something to do is among those that wake it, and one of its service's steps may
// append it.
func stepsAreWoken(t *testing.T, from, to *node, event string) {
	t.Helper()
	appended := false
	for _, step := range procedure.Steps {
		appended = appended || step.Service == procedure.WriterOf(event) && slices.Contains(step.Appends, event)
		var woken bool
		switch step.ID {
		case procedure.StepRecord, procedure.StepClock, procedure.StepIntake:
			continue // These are woken by everything, a timer, a request.
		case procedure.StepNotify:
			woken = slices.ContainsFunc(to.state.Wanted, func(w procedure.Notice) bool { return !slices.Contains(from.state.Wanted, w) })
		case procedure.StepEscalate:
			woken = len(procedure.DueCalls(to.state)) > len(procedure.DueCalls(from.state))
		case procedure.StepDeadline:
			was, timed := procedure.NextDeadline(from.state)
			is, ok := procedure.NextDeadline(to.state)
			woken = ok && (!timed || is.At.Before(was.At))
		default:
			woken = procedure.Due(step.ID, to.state, to.now) && !procedure.Due(step.ID, from.state, to.now)
		}
		beside := []procedure.StepID{procedure.StepAuthorize, procedure.StepCatalog, procedure.StepAnswer, procedure.StepWake}
		if event == "deadline_passed" && !slices.Contains(beside, step.ID) {
			// Who was to be woken and was not, because the bus lost the message, is woken when
			// the wait is over. Authorize waits for people, the catalog for no phase, and no
			// phase for the answer; whom nobody wakes looks again by itself.
			woken = woken || step.ID != procedure.StepDeadline && procedure.Due(step.ID, to.state, to.now)
		}
		if woken && !slices.Contains(step.WakesOn, event) {
			t.Errorf("%s gives %s something to do and does not wake it: %s", event, step.ID, to.path())
		}
	}
	if !appended && !slices.Contains(foundByLooking, event) {
		t.Errorf("no step of %s appends %s", procedure.WriterOf(event), event)
	}
}

// nothingRunsUnapproved holds the invariants of the package comment on one move.
func nothingRunsUnapproved(t *testing.T, from, to *node, event string) {
	t.Helper()
	s := from.state
	if s.Outcome != releasev1.Outcome_OUTCOME_UNSPECIFIED && (effects[event] || to.state.Outcome != s.Outcome) {
		t.Errorf("%s is accepted after the end: %s", event, to.path())
	}
	if event == "execution_claimed" {
		if _, missing := procedure.Count(s, from.now); s.Authorized == nil || !s.Started() && len(missing) > 0 {
			t.Errorf("claimed without the approvals that are needed: %s", to.path())
		}
		if s.Paused() && s.Phase != procedure.PhaseExecuting {
			t.Errorf("claimed while it is paused: %s", to.path())
		}
		if s.AbortBy != "" && s.Phase != procedure.PhaseExecuting {
			t.Errorf("claimed after an abort: %s", to.path())
		}
	}
}

// nobodyInterferes holds what each class of drivers promises (PD-5.2): who may still be
// at work is not taken over, where targets do not turn it away themselves.
func nobodyInterferes(t *testing.T, from, to *node, event string) {
	t.Helper()
	s := from.state
	taken := event == "execution_claimed" && s.Phase == procedure.PhaseExecuting || event == "rollback_claimed" && s.Phase == procedure.PhaseRollingBack
	if !taken {
		return
	}
	switch class := s.Previews[0].GetClass(); {
	case class == releasev1.DriverClass_DRIVER_CLASS_OPAQUE:
		t.Errorf("an opaque target is taken over: %s", to.path())
	case class == releasev1.DriverClass_DRIVER_CLASS_PROBEABLE && to.now.Before(s.Claim.LeaseUntil):
		t.Errorf("a target is taken over under a lease: %s", to.path())
	}
}

// nothingGoesBackByItself says from the request alone when the machine has no way back
// that nobody ordered (PD-7.1).
func nothingGoesBackByItself(t *testing.T, from, to *node, event string) {
	t.Helper()
	r := from.state.Request
	if event != "rollback_claimed" || from.state.Phase == procedure.PhaseRollingBack || from.state.Forced {
		return
	}
	if r.GetRisk().GetData() == releasev1.Risk_DATA_IRREVERSIBLE || r.GetTrigger() == releasev1.Trigger_TRIGGER_ROLLBACK ||
		r.GetRollbackPlan().GetStrategy() == releasev1.RollbackPlan_STRATEGY_NONE {
		t.Errorf("it goes back by itself: %s", to.path())
	}
}

// effects are the events that stand for a touch of production.
var effects = map[string]bool{
	"execution_claimed": true, "execution_finished": true, "execution_failed": true,
	"execution_unknown": true, "rollback_claimed": true, "rolled_back": true, "rollback_failed": true,
}

// eventTypes returns every type of event that the contract has.
func eventTypes() []string {
	var all []string
	fields := (&releasev1.Event{}).ProtoReflect().Descriptor().Oneofs().ByName("data").Fields()
	for i := range fields.Len() {
		all = append(all, string(fields.Get(i).Name()))
	}
	return all
}

// ofReleases reports whether events of that type belong to the history of a release.
func ofReleases(event string) bool {
	switch event {
	case "target_locked", "target_unlocked", "service_changed", "request_refused", "procedure_activated",
		"artifact_quarantined", "clearance_proposed", "quarantine_cleared",
		"procedure_proposed", "procedure_approved", "procedure_approval_withdrawn", "procedure_proposal_closed",
		"procedure_reviewed",
		"delegations_changed", "procedure_begun":
		return false
	}
	return true
}
