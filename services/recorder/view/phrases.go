package view

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

func joined(what, why string) string {
	if why == "" {
		return what
	}
	return what + ": " + why
}

func gates(verdicts []*releasev1.GateVerdict) string {
	counts := map[releasev1.GateVerdict_Status]int{}
	var failed []string
	for _, v := range verdicts {
		counts[v.GetStatus()]++
		if v.GetStatus() != releasev1.GateVerdict_STATUS_PASSED {
			failed = append(failed, joined(v.GetGate()+" "+Word(v.GetStatus(), "STATUS_"), v.GetReason()))
		}
	}
	out := fmt.Sprintf("%d of %d gates passed", counts[releasev1.GateVerdict_STATUS_PASSED], len(verdicts))
	return joined(out, strings.Join(failed, "; "))
}

func findings(all []*releasev1.Finding) string {
	var out []string
	for _, f := range all {
		if f.GetSeverity() == releasev1.Finding_SEVERITY_BLOCKING {
			out = append(out, joined(f.GetRule(), f.GetMessage()))
		}
	}
	return joined("refused", strings.Join(out, "; "))
}

func holds(reasons []*releasev1.HoldReason) string {
	var out []string
	for _, r := range reasons {
		out = append(out, joined(strings.TrimSpace(r.GetRule()+" "+r.GetSubject()), r.GetMessage()))
	}
	return joined("held", strings.Join(out, "; "))
}

func authorized(d *releasev1.Authorized) string {
	var by []string
	for _, a := range d.GetApprovals() {
		by = append(by, fmt.Sprintf("%s (%s)", a.GetPerson(), a.GetGroup()))
	}
	out := "authorized by " + strings.Join(by, ", ")
	if d.GetEmergency() {
		out = "emergency " + out
	}
	return joined(out, strings.Join(prefixed("bypassed ", d.GetBypassed()), "; "))
}

func prefixed(prefix string, all []string) []string {
	out := make([]string, 0, len(all))
	for _, s := range all {
		out = append(out, prefix+s)
	}
	return out
}

func notified(d *releasev1.Notified) string {
	delivered := 0
	for _, r := range d.GetReceipts() {
		if r.GetDelivered() {
			delivered++
		}
	}
	what := fmt.Sprintf("%s: %d of %d channels told", Word(d.GetOccasion(), "OCCASION_"), delivered, len(d.GetReceipts()))
	if d.GetDeferredBy() != 0 {
		what += ", as was deferred"
	}
	for _, x := range d.GetDeferred() {
		what += fmt.Sprintf("; %s is told at %s (%s)", x.GetChannel(), x.GetUntil().AsTime().Format(time.RFC3339), Word(x.GetReason(), "REASON_"))
	}
	return what
}

func verified(verdict string, v *releasev1.Verification) string {
	what := fmt.Sprintf("wave %d %s", v.GetWave()+1, verdict)
	if v.GetRollback() {
		what = "way back " + verdict
	}
	return joined(what, v.GetReason())
}

// laterLook is a look at a release after it was verified.
func laterLook(verdict string, l *releasev1.LaterLook) string {
	return joined(fmt.Sprintf("look %d afterwards, %s", l.GetNumber(), verdict), l.GetReason())
}

// Summary says in a sentence where a release stands.
func Summary(s procedure.State) string {
	if s.Outcome != releasev1.Outcome_OUTCOME_UNSPECIFIED {
		return ending(s)
	}
	return strings.TrimSpace(stands(s) + " " + Paused(s))
}

// Paused says who keeps the release from what is still to begin, and why; "" where nobody does.
func Paused(s procedure.State) string {
	for _, h := range procedure.Holding(s) {
		if h.GetRule() == procedure.HoldPaused {
			return joined(fmt.Sprintf("It is paused by %s, and begins nothing new until it is resumed", h.GetSetBy()), strings.TrimRight(h.GetMessage(), ". ")) + "."
		}
	}
	return ""
}

// Waits says until when a release is held, or, where nobody knows that, when it is looked at again;
// "" where it waits for nothing but to be resumed. A time is written as stamp does.
func Waits(s procedure.State, stamp func(time.Time) string) string {
	held := besidesPause(s)
	if len(held) == 0 && len(s.Holds) > 0 {
		return ""
	}
	for _, h := range held {
		if h.GetUntil() == nil {
			return "It waits, and is looked at again at " + stamp(s.HeldUntil)
		}
	}
	return "It waits until " + stamp(s.HeldUntil)
}

// besidesPause are the reasons for which a release is held, but for a pause.
func besidesPause(s procedure.State) []*releasev1.HoldReason {
	return slices.DeleteFunc(slices.Clone(s.Holds), func(h *releasev1.HoldReason) bool { return h.GetRule() == procedure.HoldPaused })
}

// stands is where a release stands that is not over.
func stands(s procedure.State) string {
	switch s.Phase {
	case procedure.PhaseGates:
		return "The gates are being looked at."
	case procedure.PhaseScope:
		return "Artifacts and targets are being looked at."
	case procedure.PhasePreview:
		return "The driver is asked what it would change."
	case procedure.PhaseRisk:
		return "Risks and freezes are being looked at."
	case procedure.PhaseHeld:
		waits := Waits(s, func(t time.Time) string { return t.UTC().Format(time.RFC3339) })
		if waits == "" {
			return ""
		}
		return joined(waits, strings.TrimPrefix(holds(besidesPause(s)), "held: ")) + "."
	case procedure.PhaseApprove:
		return fmt.Sprintf("It waits for approvals until %s.", s.ApproveBy.UTC().Format(time.RFC3339))
	case procedure.PhaseNotify:
		if len(procedure.Unacknowledged(s)) > 0 {
			return fmt.Sprintf("It starts when these have said that they know: %s.", strings.TrimPrefix(holds(s.Holds), "held: "))
		}
		return "Stakeholders are being told before it starts."
	case procedure.PhaseExecute:
		return fmt.Sprintf("Wave %d of %d is about to start.", s.Wave+1, len(s.Request.GetPlan().GetWaves()))
	case procedure.PhaseExecuting:
		return fmt.Sprintf("Wave %d of %d is being deployed.", s.Wave+1, len(s.Request.GetPlan().GetWaves()))
	case procedure.PhaseVerify:
		return fmt.Sprintf("Wave %d of %d is being verified", s.Wave+1, len(s.Request.GetPlan().GetWaves())) + awaited(s) + "."
	case procedure.PhaseRemedy, procedure.PhaseRollingBack:
		return joined("It is being rolled back", s.EndReason) + "."
	case procedure.PhaseVerifyRollback:
		return "The way back is being verified" + awaited(s) + "."
	case procedure.PhaseEscalated:
		return joined("A person has to decide", strings.ReplaceAll(CauseWord(s.EscalatedFor), "_", " ")) + "."
	case procedure.PhaseNone, procedure.PhaseRelease, procedure.PhaseRecord, procedure.PhaseFollowUp, procedure.PhaseClosed:
	}
	return ""
}

// awaited says which checks a verification waits for people to answer, as of the event that asked.
func awaited(s procedure.State) string { return unanswered(signOffs(s), time.Time{}) }

func ending(s procedure.State) string {
	out := "It " + strings.ReplaceAll(OutcomeWord(s.Outcome), "_", " ")
	switch s.Outcome { //nolint:exhaustive // The others are verbs already.
	case releasev1.Outcome_OUTCOME_ROLLED_BACK, releasev1.Outcome_OUTCOME_ROLLED_FORWARD, releasev1.Outcome_OUTCOME_REJECTED,
		releasev1.Outcome_OUTCOME_WITHDRAWN, releasev1.Outcome_OUTCOME_SUPERSEDED:
		out = "It was " + strings.ReplaceAll(OutcomeWord(s.Outcome), "_", " ")
	case releasev1.Outcome_OUTCOME_FAILED_UNRESOLVED:
		out = "It failed and is unresolved"
	}
	if by, ok := strings.CutPrefix(s.EndReason, "superseded "); ok && s.Outcome == releasev1.Outcome_OUTCOME_SUPERSEDED {
		out += " " + by + "."
	} else {
		out = strings.TrimSuffix(joined(out, s.EndReason), ".") + "."
	}
	if revoked := s.Later.Revoked; revoked != nil {
		out += " It is verified no more: " + strings.TrimRight(revoked.GetReason(), ". ") + "."
	}
	switch {
	case s.ReviewOwed():
		out += " A retrospective review is owed."
	case len(s.OpenEscalations()) > 0:
		out += " An escalation is open."
	case procedure.MayClose(s):
		out += " Its incident is open until somebody closes it."
	}
	return out
}
