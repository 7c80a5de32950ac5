package view

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// Word turns an enum's value into a word for people: its name without the enum's
// own, in lower case.
func Word(value fmt.Stringer, prefix string) string {
	return strings.ToLower(strings.TrimPrefix(value.String(), prefix))
}

// OutcomeWord is the word for an outcome, such as "rolled_back"; empty for none.
func OutcomeWord(o releasev1.Outcome) string {
	if o == releasev1.Outcome_OUTCOME_UNSPECIFIED {
		return ""
	}
	return Word(o, "OUTCOME_")
}

// CauseWord is the word for a cause, such as "validation_failed".
func CauseWord(c releasev1.Cause) string { return Word(c, "CAUSE_") }

// bad reports whether an event is the end of a step that did not go well.
func bad(e *releasev1.Event) bool {
	switch e.GetData().(type) {
	case *releasev1.Event_GatesRefused, *releasev1.Event_ScopeRefused, *releasev1.Event_PreviewRefused,
		*releasev1.Event_RiskRefused, *releasev1.Event_Rejected, *releasev1.Event_Expired,
		*releasev1.Event_ExecutionFailed, *releasev1.Event_ExecutionUnknown, *releasev1.Event_ExecutionRefused,
		*releasev1.Event_Aborted, *releasev1.Event_VerificationFailed, *releasev1.Event_VerificationInconclusive,
		*releasev1.Event_RollbackFailed, *releasev1.Event_RollbackUnavailable, *releasev1.Event_ExecutionOverrun:
		return true
	}
	return false
}

// Describe says in a line what an event tells. It may hold text that people or
// other systems wrote; whoever shows it escapes it.
func Describe(e *releasev1.Event) string {
	if s := describeDecision(e); s != "" {
		return s
	}
	if s := describeWork(e); s != "" {
		return s
	}
	return strings.ReplaceAll(procedure.TypeOf(e), "_", " ")
}

// describeDecision covers the steps up to authorization, and people's decisions.
func describeDecision(e *releasev1.Event) string {
	by := e.GetActor().GetId()
	switch d := e.GetData().(type) {
	case *releasev1.Event_Requested:
		r := d.Requested.GetRequest()
		return fmt.Sprintf("%s %s to %s requested by %s", r.GetService(), r.GetVersion(), r.GetEnvironment(), r.GetRequester())
	case *releasev1.Event_GatesConfirmed:
		return gates(d.GatesConfirmed.GetVerdicts())
	case *releasev1.Event_GatesRefused:
		return gates(d.GatesRefused.GetVerdicts())
	case *releasev1.Event_ScopeValidated:
		return fmt.Sprintf("%d artifacts pinned, %d targets", len(d.ScopeValidated.GetArtifacts()), len(d.ScopeValidated.GetTargets()))
	case *releasev1.Event_ScopeRefused:
		return findings(d.ScopeRefused.GetFindings())
	case *releasev1.Event_ChangePreviewed:
		return fmt.Sprintf("%d targets previewed", len(d.ChangePreviewed.GetPreviews()))
	case *releasev1.Event_PreviewRefused:
		return findings(d.PreviewRefused.GetFindings())
	case *releasev1.Event_RiskCleared:
		return "nothing speaks against it" + chosen(d.RiskCleared.GetChosen()) + "; change digest " + d.RiskCleared.GetChangeDigest()
	case *releasev1.Event_Held:
		return holds(d.Held.GetReasons())
	case *releasev1.Event_GatesHeld:
		return holds(d.GatesHeld.GetReasons())
	case *releasev1.Event_EvidenceAdded:
		return fmt.Sprintf("%d pieces of evidence came", len(d.EvidenceAdded.GetEvidence()))
	case *releasev1.Event_StartHeld:
		return holds(d.StartHeld.GetReasons())
	case *releasev1.Event_RiskRefused:
		return findings(d.RiskRefused.GetFindings())
	case *releasev1.Event_ApprovalGiven:
		if s := d.ApprovalGiven.GetSignature(); s.GetBundle() != "" {
			by += ", signed as " + s.GetIdentity().GetSubject() + " of " + s.GetIdentity().GetIssuer()
		}
		if on := e.GetActor().GetOnCall(); len(on) > 0 {
			by += ", on call for " + on[0].GetGroup()
		}
		if of := d.ApprovalGiven.GetStandIn().GetPerson(); of != "" {
			return "approved by " + by + " in place of " + of
		}
		return "approved by " + by
	case *releasev1.Event_ApprovalWithdrawn:
		return joined("approval taken back by "+by, d.ApprovalWithdrawn.GetReason())
	case *releasev1.Event_Rejected:
		return joined("rejected by "+by, d.Rejected.GetReason())
	case *releasev1.Event_Authorized:
		return authorized(d.Authorized)
	case *releasev1.Event_Withdrawn:
		return joined("withdrawn by "+by, d.Withdrawn.GetReason())
	case *releasev1.Event_Superseded:
		return "superseded by " + d.Superseded.GetByRelease()
	case *releasev1.Event_Expired:
		return "expired: deadline " + Word(d.Expired.GetDeadline(), "DEADLINE_")
	case *releasev1.Event_Aborted:
		return joined("aborted by "+by, d.Aborted.GetReason())
	case *releasev1.Event_Paused:
		return joined("paused by "+by, d.Paused.GetReason())
	case *releasev1.Event_Resumed:
		return joined("resumed by "+by, d.Resumed.GetReason())
	case *releasev1.Event_SignedOff:
		if d.SignedOff.GetPassed() {
			return joined("check "+d.SignedOff.GetCheck()+" passed by "+by, d.SignedOff.GetComment())
		}
		return joined("check "+d.SignedOff.GetCheck()+" failed by "+by, d.SignedOff.GetComment())
	case *releasev1.Event_ImpactReported:
		return joined("impact reported by "+by, d.ImpactReported.GetDescription())
	case *releasev1.Event_UnrecordedChange:
		return unrecorded(d.UnrecordedChange)
	case *releasev1.Event_AuthorizationRefused:
		return joined(by+" tried to authorize it and may not", d.AuthorizationRefused.GetReason())
	case *releasev1.Event_NoticeAcknowledged:
		return joined(by+" knows of the "+Word(d.NoticeAcknowledged.GetOccasion(), "OCCASION_"), d.NoticeAcknowledged.GetComment())
	case *releasev1.Event_Acknowledged:
		return joined(CauseWord(d.Acknowledged.GetCause())+" taken on by "+by, d.Acknowledged.GetComment())
	case *releasev1.Event_IncidentClosed:
		return joined("incident of "+closedOf(d.IncidentClosed)+" closed by "+by, d.IncidentClosed.GetReason())
	case *releasev1.Event_Intervened:
		anew := map[bool]string{true: " of the start, nothing had begun"}[d.Intervened.GetAnew()]
		return joined(Word(d.Intervened.GetAction(), "ACTION_")+anew+" ordered by "+by, d.Intervened.GetReason())
	case *releasev1.Event_ReviewCompleted:
		return fmt.Sprintf("reviewed by %s: %s", by, Word(d.ReviewCompleted.GetResult(), "RESULT_"))
	case *releasev1.Event_FollowUpAdded:
		f := d.FollowUpAdded.GetFollowUp()
		return fmt.Sprintf("follow-up action %d for %s, agreed by %s: %s", d.FollowUpAdded.GetNumber(), f.GetOwner(), by, f.GetAction())
	case *releasev1.Event_FreezeOverridden:
		o := d.FreezeOverridden
		return joined(fmt.Sprintf("exception of freeze %s by %s, %s", o.GetFreeze(), by, o.GetTicket()), o.GetReason())
	case *releasev1.Event_FollowUpClosed:
		return joined(fmt.Sprintf("follow-up action %d closed by %s", d.FollowUpClosed.GetNumber(), by), d.FollowUpClosed.GetComment())
	}
	return ""
}

// closedOf is what a closed incident was of.
func closedOf(d *releasev1.IncidentClosed) string {
	var all []string
	for _, c := range d.GetCauses() {
		all = append(all, CauseWord(c))
	}
	return strings.Join(all, ", ")
}

// describeWork covers what the machine does, and its clock.
func describeWork(e *releasev1.Event) string {
	switch d := e.GetData().(type) {
	case *releasev1.Event_Notified:
		return notified(d.Notified)
	case *releasev1.Event_ExecutionClaimed:
		return fmt.Sprintf("wave %d, attempt %d: %s", d.ExecutionClaimed.GetWave()+1, d.ExecutionClaimed.GetAttempt(),
			strings.Join(d.ExecutionClaimed.GetTargets(), ", "))
	case *releasev1.Event_ExecutionFinished:
		return fmt.Sprintf("wave %d deployed", d.ExecutionFinished.GetWave()+1)
	case *releasev1.Event_ExecutionFailed:
		return joined(fmt.Sprintf("wave %d failed", d.ExecutionFailed.GetWave()+1), d.ExecutionFailed.GetReason())
	case *releasev1.Event_ExecutionUnknown:
		return joined("outcome unknown", d.ExecutionUnknown.GetReason())
	case *releasev1.Event_ExecutionRefused:
		return findings(d.ExecutionRefused.GetFindings())
	case *releasev1.Event_TargetFreed:
		return fmt.Sprintf("release %s let go of %s, for which it waited: it is looked at again", d.TargetFreed.GetRelease(), strings.Join(d.TargetFreed.GetTargets(), ", "))
	case *releasev1.Event_TargetsReleased:
		return fmt.Sprintf("%d targets let go", len(d.TargetsReleased.GetResults()))
	case *releasev1.Event_VerificationPassed:
		return verified("passed", d.VerificationPassed.GetVerification())
	case *releasev1.Event_VerificationFailed:
		return verified("failed", d.VerificationFailed.GetVerification())
	case *releasev1.Event_VerificationInconclusive:
		return verified("no verdict", d.VerificationInconclusive.GetVerification())
	case *releasev1.Event_SignOffWanted:
		return wantedAnswers(d.SignOffWanted)
	case *releasev1.Event_VerificationRevoked:
		return laterLook("verified no more", d.VerificationRevoked.GetLook())
	case *releasev1.Event_Reverified:
		return laterLook(map[bool]string{false: "still verified", true: "no verdict"}[d.Reverified.GetInconclusive()], d.Reverified.GetLook())
	case *releasev1.Event_RollbackClaimed:
		return fmt.Sprintf("way back, attempt %d: %s", d.RollbackClaimed.GetAttempt(), strings.Join(d.RollbackClaimed.GetTargets(), ", "))
	case *releasev1.Event_RolledBack:
		return fmt.Sprintf("%d targets rolled back", len(d.RolledBack.GetResults()))
	case *releasev1.Event_RollbackFailed:
		return joined("rollback failed", d.RollbackFailed.GetReason())
	case *releasev1.Event_RollbackUnavailable:
		return joined("no way back", d.RollbackUnavailable.GetReason())
	case *releasev1.Event_Escalated:
		return fmt.Sprintf("%s: rung %d called, %s", CauseWord(d.Escalated.GetCause()), d.Escalated.GetRung(),
			strings.Join(d.Escalated.GetTo(), ", "))
	case *releasev1.Event_ExecutionOverrun:
		return "taken back before wave " + fmt.Sprint(d.ExecutionOverrun.GetWave()+1) + ", " + holds(d.ExecutionOverrun.GetReasons())
	case *releasev1.Event_DeadlinePassed:
		return "deadline passed: " + Word(d.DeadlinePassed.GetDeadline(), "DEADLINE_")
	case *releasev1.Event_Recorded:
		return "recorded: " + OutcomeWord(d.Recorded.GetOutcome())
	}
	return ""
}

// unrecorded is what was changed on a target without a release.
func unrecorded(u *releasev1.UnrecordedChange) string {
	if u.GetGone() {
		return "target " + u.GetTarget() + " carries again what the release left there"
	}
	text := "target " + u.GetTarget() + " was changed and no release did it"
	if found := u.GetFound(); found != u.GetExpected() {
		text = joined(text, "it carries "+cmp.Or(found, "nothing"))
	}
	changes := strings.Join(u.GetDifferences(), "; ")
	if more := u.GetMore(); more > 0 {
		changes += fmt.Sprintf("; and %d more", more)
	}
	return joined(text, changes)
}

// chosen is what the procedure chose. Without it the text of the event is as it was before there
// was any.
func chosen(c *releasev1.Chosen) string {
	if c == nil {
		return ""
	}
	return "; chosen: " + procedure.ChosenWords(c)
}

// wantedAnswers says whom a verification asks what.
func wantedAnswers(d *releasev1.SignOffWanted) string {
	var all []string
	for _, c := range d.GetChecks() {
		all = append(all, c.GetCheck()+" by "+strings.Join(c.GetGroups(), " or ")+": "+c.GetQuestion())
	}
	return "to be signed off: " + strings.Join(all, "; ")
}
