package procedure

// Phase is where a release stands between two events.
type Phase uint8

// The phases, in the order in which a release normally passes them.
const (
	// PhaseNone is before the first event.
	PhaseNone Phase = iota
	// PhaseGates waits for step 1.
	PhaseGates
	// PhaseScope waits for step 2.
	PhaseScope
	// PhasePreview waits for the driver's preview, the first half of step 3.
	PhasePreview
	// PhaseRisk waits for the second half of step 3.
	PhaseRisk
	// PhaseHeld waits for a time, holding nothing.
	PhaseHeld
	// PhaseApprove waits for people's approvals.
	PhaseApprove
	// PhaseNotify waits for step 4.
	PhaseNotify
	// PhaseExecute waits for an executor to claim the next wave.
	PhaseExecute
	// PhaseExecuting waits for the executor that claimed the wave.
	PhaseExecuting
	// PhaseVerify waits for step 6.
	PhaseVerify
	// PhaseRemedy waits for an executor to claim the way back.
	PhaseRemedy
	// PhaseRollingBack waits for the executor that claimed the way back.
	PhaseRollingBack
	// PhaseVerifyRollback waits for step 6 after the way back.
	PhaseVerifyRollback
	// PhaseEscalated waits for a person's decision; the targets stay locked.
	PhaseEscalated
	// PhaseRelease waits for the targets to be let go.
	PhaseRelease
	// PhaseRecord waits for step 8.
	PhaseRecord
	// PhaseFollowUp has an outcome and still owes something: a notice, somebody
	// who takes an escalation on, a retrospective review.
	PhaseFollowUp
	// PhaseClosed is the end: nothing more happens, but that people say what is to be
	// done afterwards, and that it was.
	PhaseClosed
)

var phaseNames = [...]string{
	"none", "gates", "scope", "preview", "risk", "held", "approve", "notify", "execute", "executing",
	"verify", "remedy", "rolling_back", "verify_rollback", "escalated", "release", "record", "follow_up", "closed",
}

// String returns the phase's stable name, as it stands in records and metrics.
func (p Phase) String() string {
	if int(p) < len(phaseNames) {
		return phaseNames[p]
	}
	return "unknown"
}

// Phases returns every phase that a release can be in.
func Phases() []Phase {
	all := make([]Phase, 0, len(phaseNames)-1)
	for p := PhaseGates; p <= PhaseClosed; p++ {
		all = append(all, p)
	}
	return all
}
