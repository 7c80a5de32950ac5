package document

import (
	"fmt"
	"time"

	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// story tells execution, validation and the way back in sentences, one for each
// turn that it took. Waves that went well from the start are told together.
func (w *writer) story(r *Record) []string {
	waves := len(r.state.Request.GetPlan().GetWaves())
	good, events := wellFromTheStart(r)
	var all []string
	switch {
	case good == 0:
	case waves == 1:
		all = append(all, "It was deployed and passed validation.")
	case good == waves && waves == 2:
		all = append(all, "Both waves were deployed and passed validation.")
	case good == waves:
		all = append(all, fmt.Sprintf("All %d waves were deployed and passed validation.", waves))
	default:
		all = append(all, fmt.Sprintf("%d of %d waves were deployed and passed validation.", good, waves))
	}
	for _, e := range events {
		if s := w.turn(e); s != "" {
			all = append(all, s)
		}
	}
	if !r.state.Started() && r.state.Outcome != releasev1.Outcome_OUTCOME_UNSPECIFIED {
		all = append(all, "No target was touched.")
	}
	return all
}

// wellFromTheStart counts the waves that were deployed and passed before anything
// else happened, and returns the events after them.
func wellFromTheStart(r *Record) (good int, rest []*releasev1.Event) {
	var turns []*releasev1.Event
	for _, e := range r.events {
		switch procedure.TypeOf(e.Entry.Event) {
		case "execution_finished", "execution_failed", "execution_unknown", "execution_refused", "verification_passed",
			"verification_failed", "verification_inconclusive", "rolled_back", "rollback_failed", "rollback_unavailable",
			"intervened", "aborted", "execution_overrun", "verification_revoked":
			turns = append(turns, e.Entry.Event)
		}
	}
	for len(turns) >= 2 && turns[0].GetExecutionFinished() != nil && turns[1].GetVerificationPassed() != nil {
		good, turns = good+1, turns[2:]
	}
	return good, turns
}

// paused says how long people kept it from going on; nothing of a pause that goes on.
func (w *writer) paused(r *Record) string {
	var last told[*releasev1.Event_Paused]
	var all time.Duration
	pauses, resumed := from[*releasev1.Event_Paused](r), from[*releasev1.Event_Resumed](r)
	for i, e := range resumed { // Each ends the one pause before it.
		last = pauses[i]
		all += e.Entry.Stored.Sub(last.Entry.Stored)
	}
	switch len(resumed) {
	case 0:
		return ""
	case 1:
		return sentence(because(fmt.Sprintf("%s paused it for %s", who(last.Entry.Event), span(all)), escape(last.data.Paused.GetReason())))
	}
	return fmt.Sprintf("It was paused %d times, for %s in all.", len(resumed), span(all))
}

// turn is one event of the story.
func (w *writer) turn(e *releasev1.Event) string {
	by := who(e)
	said := func(text string) string { return w.said(text, "named in the summary") }
	switch d := e.GetData().(type) {
	case *releasev1.Event_ExecutionFinished:
		return fmt.Sprintf("Wave %d was deployed.", d.ExecutionFinished.GetWave()+1)
	case *releasev1.Event_ExecutionFailed:
		return sentence(because(fmt.Sprintf("Deploying wave %d failed", d.ExecutionFailed.GetWave()+1), said(d.ExecutionFailed.GetReason())))
	case *releasev1.Event_ExecutionUnknown:
		what := fmt.Sprintf("Nobody can tell how deploying wave %d ended", d.ExecutionUnknown.GetWave()+1)
		if d.ExecutionUnknown.GetRollback() {
			what = "Nobody can tell how the way back ended"
		}
		return sentence(because(what, said(d.ExecutionUnknown.GetReason())))
	case *releasev1.Event_ExecutionRefused:
		return "The executor refused to start."
	case *releasev1.Event_VerificationPassed:
		return validated(d.VerificationPassed.GetVerification(), "passed") + "."
	case *releasev1.Event_VerificationFailed:
		v := d.VerificationFailed.GetVerification()
		return sentence(because(validated(v, "failed"), said(v.GetReason())))
	case *releasev1.Event_VerificationInconclusive:
		v := d.VerificationInconclusive.GetVerification()
		return sentence(because(validated(v, "gave no verdict"), said(v.GetReason())))
	case *releasev1.Event_VerificationRevoked:
		l := d.VerificationRevoked.GetLook()
		return sentence(because(fmt.Sprintf("Look %d afterwards took back that it is verified", l.GetNumber()), said(l.GetReason())))
	case *releasev1.Event_RolledBack:
		return "It was rolled back."
	case *releasev1.Event_RollbackFailed:
		return sentence(because("Rolling back failed", said(d.RollbackFailed.GetReason())))
	case *releasev1.Event_RollbackUnavailable:
		return sentence(because("There was no way back", said(d.RollbackUnavailable.GetReason())))
	case *releasev1.Event_Intervened:
		return sentence(because(fmt.Sprintf("%s decided to %s", by, word(d.Intervened.GetAction(), "ACTION_")), escape(d.Intervened.GetReason())))
	case *releasev1.Event_ExecutionOverrun:
		var names []string
		for _, h := range d.ExecutionOverrun.GetReasons() {
			names = append(names, escape(h.GetSubject()))
		}
		return sentence("It could not go on and was taken back, because of the freeze " + and(names))
	case *releasev1.Event_Aborted:
		return sentence(because(by+" stopped it", escape(d.Aborted.GetReason())))
	}
	return ""
}

// validated says what was validated and how that went.
func validated(v *releasev1.Verification, how string) string {
	if v.GetRollback() {
		return "Validation of the way back " + how
	}
	return fmt.Sprintf("Validation of wave %d %s", v.GetWave()+1, how)
}
