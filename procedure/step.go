package procedure

import (
	"time"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// StepID names a step's consumer. It is the durable's name on the stream, and so
// contract: a step that is renamed reads everything again.
type StepID string

// The consumers, one for each step's half that has a service of its own.
const (
	StepIntake    StepID = "approval-intake"
	StepGates     StepID = "approval-gates"
	StepScope     StepID = "validator-scope"
	StepPreview   StepID = "executor-preview"
	StepRisk      StepID = "approval-risk"
	StepAuthorize StepID = "approval-authorize"
	StepNotify    StepID = "approval-notify"
	StepExecute   StepID = "executor-execute"
	StepVerify    StepID = "validator-verify"
	StepRollback  StepID = "executor-rollback"
	StepRelease   StepID = "executor-release"
	StepWake      StepID = "executor-wake"
	StepEscalate  StepID = "approval-escalate"
	StepDeadline  StepID = "approval-deadline"
	StepClock     StepID = "approval-clock"
	StepCatalog   StepID = "approval-catalog"
	StepAnswer    StepID = "approval-answer"
	StepRecord    StepID = "recorder-record"
)

// Step is one row of the table that the procedure is made of.
type Step struct {
	ID StepID
	// Number is that of PROC-DEPLOY-001: "1" to "8", "A" for authorization, "0" for
	// the trigger, "-" for what serves all of them.
	Number string
	// Title is for people, Clause the sentence of PROC-DEPLOY-001.
	Title  string
	Clause string
	// Service and Package say where the shell lives.
	Service string
	Package string
	// WakesOn are the types of events that wake it, Appends those that it writes.
	WakesOn []string
	Appends []string
}

//go:generate go run ./procdoc ../docs/procedure.md

// Steps is the procedure as a table, in its order. Documentation, consumers and
// permissions are made from it.
var Steps = []Step{
	{
		ID: StepIntake, Number: "0", Title: "Take a request in", Service: ServiceApproval, Package: "services/approval/intake",
		Clause:  "Use this procedure when a production deployment is planned, a production hotfix or emergency release is required, a deployment rollback or recovery action is needed.",
		Appends: []string{"requested", "superseded", "request_refused", "service_changed", "evidence_added"},
	},
	{
		ID: StepGates, Number: "1", Title: "Confirm the gates", Service: ServiceApproval, Package: "services/approval/gates",
		Clause:  "Confirm that the change has passed the required review, approval, and testing gates.",
		WakesOn: []string{"requested", "deadline_passed", "evidence_added"},
		Appends: []string{"gates_confirmed", "gates_refused", "gates_held", "evidence_added"},
	},
	{
		ID: StepScope, Number: "2", Title: "Validate the scope", Service: ServiceValidator, Package: "services/validator/scope",
		Clause:  "Validate the release scope, artefact version, deployment target, and deployment owner.",
		WakesOn: []string{"gates_confirmed", "deadline_passed", "freeze_overridden", "target_freed"},
		Appends: []string{"scope_validated", "scope_refused"},
	},
	{
		ID: StepPreview, Number: "3", Title: "Preview the change", Service: ServiceExecutor, Package: "services/executor/preview",
		Clause:  "Check for […] rollback readiness.",
		WakesOn: []string{"scope_validated", "deadline_passed"},
		Appends: []string{"change_previewed", "preview_refused"},
	},
	{
		ID: StepRisk, Number: "3", Title: "Check risks and freezes", Service: ServiceApproval, Package: "services/approval/risk",
		Clause:  "Check for known operational risks, dependencies, freeze periods, customer constraints, and rollback readiness.",
		WakesOn: []string{"change_previewed", "deadline_passed", "freeze_overridden"},
		Appends: []string{"risk_cleared", "held", "risk_refused"},
	},
	{
		ID: StepAuthorize, Number: "A", Title: "Authorize", Service: ServiceApproval, Package: "services/approval/authorize",
		Clause:  "Reviewers and approvers must confirm the deployment is authorised.",
		WakesOn: []string{"risk_cleared", "approval_given"},
		Appends: []string{"approval_given", "approval_withdrawn", "rejected", "authorized", "withdrawn", "freeze_overridden", "delegations_changed", "request_refused", "authorization_refused"},
	},
	{
		ID: StepNotify, Number: "4", Title: "Notify stakeholders", Service: ServiceApproval, Package: "services/approval/notify",
		Clause: "Notify relevant stakeholders where communication is required.",
		WakesOn: []string{
			"risk_cleared", "authorized", "execution_failed", "execution_finished", "verification_failed", "verification_inconclusive",
			"intervened", "aborted", "escalated", "recorded", "deadline_passed", "execution_overrun",
			// What was told of a start is no longer so, or somebody has taken a call on.
			"start_held", "execution_claimed", "execution_refused", "approval_withdrawn", "rejected", "withdrawn", "superseded", "expired",
			"acknowledged", "incident_closed", "notice_acknowledged", "review_completed", "authorization_refused", "freeze_overridden",
			"sign_off_wanted",
		},
		Appends: []string{"notified", "notice_acknowledged"},
	},
	{
		ID: StepExecute, Number: "5", Title: "Execute", Service: ServiceExecutor, Package: "services/executor/execute",
		Clause:  "Execute the deployment using the approved and traceable deployment path.",
		WakesOn: []string{"notified", "notice_acknowledged", "verification_passed", "deadline_passed", "intervened", "freeze_overridden", "target_freed", "resumed"},
		Appends: []string{
			"execution_claimed", "execution_finished", "execution_failed", "execution_unknown",
			"execution_refused", "start_held", "target_locked", "execution_overrun",
		},
	},
	{
		ID: StepVerify, Number: "6", Title: "Verify", Service: ServiceValidator, Package: "services/validator/verify",
		Clause:  "Monitor the deployment and perform post-deployment validation checks, including service health and any security-relevant control checks.",
		WakesOn: []string{"execution_finished", "rolled_back", "intervened", "deadline_passed"},
		Appends: []string{"sign_off_wanted", "verification_passed", "verification_failed", "verification_inconclusive"},
	},
	{
		ID: StepRollback, Number: "7", Title: "Roll back", Service: ServiceExecutor, Package: "services/executor/rollback",
		Clause: "Roll back […] if the deployment introduces unacceptable risk, instability, or failed controls.",
		WakesOn: []string{
			"execution_failed", "execution_finished", "verification_failed", "verification_inconclusive", "intervened", "aborted", "deadline_passed",
			"execution_overrun",
		},
		Appends: []string{"rollback_claimed", "rolled_back", "rollback_failed", "rollback_unavailable", "execution_unknown", "target_locked", "artifact_quarantined"},
	},
	{
		ID: StepEscalate, Number: "7", Title: "Escalate", Service: ServiceApproval, Package: "services/approval/escalate",
		Clause: "Escalate where deployment validation fails, unexpected customer or production impact occurs, rollback fails or is not available, emergency deployment bypasses normal control steps.",
		WakesOn: []string{
			"authorized", "execution_failed", "execution_unknown", "execution_refused", "verification_failed",
			"verification_inconclusive", "rollback_failed", "rollback_unavailable", "deadline_passed", "impact_reported",
			"unrecorded_change", "verification_revoked", "reverified",
		},
		Appends: []string{"escalated", "acknowledged", "incident_closed", "intervened", "aborted", "paused", "resumed", "signed_off", "impact_reported"},
	},
	{
		ID: StepRelease, Number: "7", Title: "Let the targets go", Service: ServiceExecutor, Package: "services/executor/release",
		Clause:  "Execute the deployment using the approved and traceable deployment path.",
		WakesOn: []string{"verification_passed", "intervened", "deadline_passed"},
		Appends: []string{"targets_released", "target_unlocked", "artifact_quarantined"},
	},
	{
		ID: StepWake, Number: "7", Title: "Wake who waits for the targets", Service: ServiceExecutor, Package: "services/executor/wake",
		Clause: "Execute the deployment using the approved and traceable deployment path.",
		WakesOn: []string{
			"targets_released",
			// What it waits for may have been let go meanwhile.
			"held", "start_held",
			// Who was woken does not take the targets: the next one is.
			"execution_refused", "rejected", "withdrawn", "superseded", "expired",
		},
		Appends: []string{"target_freed"},
	},
	{
		ID: StepRecord, Number: "8", Title: "Record", Service: ServiceRecorder, Package: "services/recorder/record",
		Clause:  "Record the deployment outcome, timing, issues, and follow-up actions.",
		Appends: []string{"recorded"},
	},
	{
		ID: StepCatalog, Number: "-", Title: "Keep the service's open releases, review debts and incidents", Service: ServiceApproval, Package: "services/approval/catalog",
		Clause:  "Emergency or exceptional deployments must be reviewed retrospectively and recorded.",
		WakesOn: []string{"authorized", "recorded", "review_completed", "acknowledged", "incident_closed", "impact_reported", "unrecorded_change", "verification_revoked"},
		Appends: []string{"service_changed", "review_completed", "follow_up_added", "follow_up_closed", "clearance_proposed", "quarantine_cleared"},
	},
	{
		ID: StepAnswer, Number: "-", Title: "Tell the requester of the change", Service: ServiceApproval, Package: "services/approval/intake",
		Clause: "Notify relevant stakeholders where communication is required.",
		WakesOn: []string{
			"risk_cleared", "gates_refused", "scope_refused", "preview_refused", "risk_refused", "withdrawn", "superseded", "expired",
		},
	},
	{
		ID: StepDeadline, Number: "-", Title: "Set the timers", Service: ServiceApproval, Package: "services/approval/deadline",
		Clause: "Every wait has an end.",
		WakesOn: []string{
			"requested", "evidence_added", "gates_held", "risk_cleared", "held", "start_held", "approval_withdrawn", "rejected", "authorized", "withdrawn",
			"superseded", "notified", "notice_acknowledged", "execution_claimed", "execution_finished", "execution_failed", "execution_unknown",
			"execution_refused", "aborted", "verification_passed", "verification_failed", "verification_inconclusive",
			"rollback_claimed", "rolled_back", "rollback_failed", "rollback_unavailable", "escalated", "acknowledged", "incident_closed",
			"intervened", "recorded", "freeze_overridden", "execution_overrun", "target_freed", "unrecorded_change",
			"verification_revoked", "reverified", "resumed",
		},
	},
	{
		ID: StepClock, Number: "-", Title: "Watch the clock", Service: ServiceApproval, Package: "services/approval/deadline",
		Clause:  "Every wait has an end.",
		Appends: []string{"deadline_passed", "expired"},
	},
}

// Subjects returns the subjects that wake the step, on whichever stream they are.
func (s Step) Subjects() []string {
	switch s.ID { //nolint:exhaustive // The two that are not woken by events of releases.
	case StepIntake:
		return []string{"request.>"}
	case StepClock:
		return []string{"timer.fired.>"}
	}
	var out []string
	for _, t := range s.WakesOn {
		out = append(out, "rel.*."+WriterOf(t)+"."+t)
	}
	return out
}

// StepByID returns a row of the table; false for an unknown id.
func StepByID(id StepID) (Step, bool) {
	for _, s := range Steps {
		if s.ID == id {
			return s, true
		}
	}
	return Step{}, false
}

// Due reports whether the step has something to do for a release in that state. A
// step that is woken and not due acknowledges and forgets: that is what makes
// duplicates, late deliveries and restarts harmless.
func Due(step StepID, s State, now time.Time) bool {
	switch step {
	case StepGates:
		return s.Phase == PhaseGates
	case StepScope:
		return s.Phase == PhaseScope
	case StepPreview:
		return s.Phase == PhasePreview
	case StepRisk:
		return s.Phase == PhaseRisk
	case StepAuthorize:
		if s.Phase != PhaseApprove {
			return false
		}
		_, missing := Count(s, now)
		return len(missing) == 0
	case StepNotify:
		return len(s.Wanted)+len(DueNotice(s)) > 0
	case StepExecute:
		return s.Phase == PhaseExecute || s.Phase == PhaseExecuting
	case StepVerify:
		return s.Phase == PhaseVerify || s.Phase == PhaseVerifyRollback
	case StepRollback:
		return s.Phase == PhaseRemedy || s.Phase == PhaseRollingBack
	case StepRelease:
		return s.Phase == PhaseRelease
	case StepWake:
		return len(EndsToTellOf(s)) > 0
	case StepEscalate:
		return len(DueCalls(s)) > 0
	case StepCatalog:
		return s.Recorded || s.Authorized.GetEmergency()
	case StepAnswer:
		return s.ChangeDigest != "" || s.Outcome != releasev1.Outcome_OUTCOME_UNSPECIFIED
	case StepDeadline:
		_, ok := NextDeadline(s)
		return ok
	case StepClock:
		d, ok := NextDeadline(s)
		return ok && !now.Before(d.At)
	case StepRecord:
		return s.Phase == PhaseRecord
	case StepIntake:
		return s.Phase == PhaseNone
	}
	return false
}

// Actions returns what a person can do for the release now, as the CLI's verbs; "sign-off" also where it
// is too late for it, of which Answerable knows.
// Every phase but the end and the last formalities has one.
func Actions(s State) []string {
	var out []string
	if s.Phase == PhaseApprove {
		out = append(out, "approve")
	}
	if s.Phase >= PhaseGates && s.Phase <= PhaseExecute && !s.Started() {
		if s.ChangeDigest != "" {
			out = append(out, "reject")
		}
		out = append(out, "withdraw")
	}
	if s.Started() && s.AbortBy == "" {
		switch s.Phase { //nolint:exhaustive // The phases in which a release can be aborted.
		case PhaseHeld, PhaseExecute, PhaseExecuting, PhaseVerify:
			out = append(out, "abort")
		}
	}
	switch {
	case s.Paused():
		out = append(out, "resume")
	case MayPause(s):
		out = append(out, "pause")
	}
	if len(Unanswered(s)) > 0 {
		out = append(out, "sign-off")
	}
	for _, a := range Interventions(s) {
		out = append(out, interventionVerbs[a])
	}
	if len(Unacknowledged(s)) > 0 {
		out = append(out, "acknowledge-notice")
	}
	if s.Phase == PhaseHeld && len(s.FrozenBy()) > 0 {
		out = append(out, "override")
	}
	if len(s.OpenEscalations()) > 0 {
		out = append(out, "acknowledge")
	}
	if MayClose(s) {
		out = append(out, "close-incident")
	}
	if s.ReviewOwed() && s.Recorded {
		out = append(out, "review")
	}
	return out
}

var interventionVerbs = map[releasev1.Intervened_Action]string{
	releasev1.Intervened_ACTION_RETRY:        "retry",
	releasev1.Intervened_ACTION_ROLL_BACK:    "rollback",
	releasev1.Intervened_ACTION_ACCEPT:       "accept",
	releasev1.Intervened_ACTION_CONFIRM_DONE: "confirm",
}
