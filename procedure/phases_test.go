package procedure_test

import (
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// beforeExecution are the phases in which a release can still be taken back.
var beforeExecution = []procedure.Phase{
	procedure.PhaseGates, procedure.PhaseScope, procedure.PhasePreview, procedure.PhaseRisk, procedure.PhaseHeld,
	procedure.PhaseApprove, procedure.PhaseNotify, procedure.PhaseExecute,
}

// phasesOf says of every event that belongs to certain phases to which. The others are
// judged by more than the phase: what is to be told, called for, reviewed, or is due.
var phasesOf = map[string][]procedure.Phase{
	"gates_confirmed": {procedure.PhaseGates}, "gates_refused": {procedure.PhaseGates}, "gates_held": {procedure.PhaseGates},
	"evidence_added":  {procedure.PhaseGates, procedure.PhaseHeld},
	"scope_validated": {procedure.PhaseScope}, "scope_refused": {procedure.PhaseScope},
	"change_previewed": {procedure.PhasePreview}, "preview_refused": {procedure.PhasePreview},
	"risk_cleared": {procedure.PhaseRisk}, "held": {procedure.PhaseRisk}, "risk_refused": {procedure.PhaseRisk},
	"authorized": {procedure.PhaseApprove}, "authorization_refused": {procedure.PhaseApprove},
	"start_held": {procedure.PhaseExecute}, "target_freed": {procedure.PhaseHeld},
	"execution_claimed": {procedure.PhaseExecute, procedure.PhaseExecuting},
	"execution_refused": {procedure.PhaseExecute}, "execution_finished": {procedure.PhaseExecuting},
	"execution_failed": {procedure.PhaseExecuting}, "execution_unknown": {procedure.PhaseExecuting},
	"verification_passed":       {procedure.PhaseVerify, procedure.PhaseVerifyRollback},
	"verification_failed":       {procedure.PhaseVerify, procedure.PhaseVerifyRollback},
	"verification_inconclusive": {procedure.PhaseVerify, procedure.PhaseVerifyRollback},
	"rollback_claimed":          {procedure.PhaseRemedy, procedure.PhaseRollingBack},
	"rollback_unavailable":      {procedure.PhaseRemedy},
	"rolled_back":               {procedure.PhaseRollingBack}, "rollback_failed": {procedure.PhaseRollingBack},
	"targets_released": {procedure.PhaseRelease}, "recorded": {procedure.PhaseRecord},
	"aborted":         {procedure.PhaseHeld, procedure.PhaseExecute, procedure.PhaseExecuting, procedure.PhaseVerify},
	"paused":          append([]procedure.Phase{procedure.PhaseExecuting, procedure.PhaseVerify, procedure.PhaseEscalated}, beforeExecution...),
	"sign_off_wanted": {procedure.PhaseVerify, procedure.PhaseVerifyRollback},
	"withdrawn":       beforeExecution, "superseded": beforeExecution, "rejected": beforeExecution,
	"approval_withdrawn": beforeExecution, "expired": beforeExecution,
	"freeze_overridden": append([]procedure.Phase{procedure.PhaseExecuting, procedure.PhaseVerify}, beforeExecution...),
	"execution_overrun": {procedure.PhaseExecute},
}

// TestEveryEventHasItsPhases tries every event in every phase. It says nothing, so that
// where it belongs it is refused for that, if at all, and elsewhere for the phase.
func TestEveryEventHasItsPhases(t *testing.T) {
	const elsewhere = "does not belong here"
	for _, phase := range procedure.Phases() {
		h := proceduretest.New(proceduretest.Request())
		h.To(t, phase)
		for name, phases := range phasesOf {
			e := &releasev1.Event{}
			field := e.ProtoReflect().Descriptor().Fields().ByName(protoreflect.Name(name))
			e.ProtoReflect().Set(field, e.ProtoReflect().NewField(field))
			_, err := procedure.Evolve(h.State(), h.Next(proceduretest.Person("dan"), e))
			refused := err != nil && strings.Contains(err.Error(), elsewhere)
			if belongs := slices.Contains(phases, phase); refused == belongs {
				t.Errorf("%s in phase %s: %v", name, phase, err)
			}
		}
	}
}

// TestEveryEventIsJudged keeps the table complete.
func TestEveryEventIsJudged(t *testing.T) {
	otherwise := []string{
		"requested", "approval_given", "notified", "escalated", "acknowledged", "intervened", "deadline_passed", "review_completed",
		"follow_up_added", "follow_up_closed", "notice_acknowledged", "impact_reported", "unrecorded_change",
		"verification_revoked", "reverified", "resumed", "incident_closed", "signed_off",
	}
	for _, name := range eventTypes() {
		if _, ok := phasesOf[name]; ofReleases(name) && ok == slices.Contains(otherwise, name) {
			t.Errorf("%s is in neither list, or in both", name)
		}
	}
}
