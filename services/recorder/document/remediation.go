package document

import (
	"fmt"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/recorder/view"
)

// remediation is step 7: the way back, who was called, and what people decided.
func (w *writer) remediation(r *Record) {
	claims, results, calls, decisions, deadlines := w.remedies(r)
	checks, says := verifications(r, true), prescribed(r)
	if len(says)+len(claims)+len(results)+len(calls)+len(decisions)+len(deadlines)+len(checks) == 0 && r.Quarantined() == "" {
		return
	}
	w.section("Step 7: remediation and escalation")
	if len(says) > 0 {
		w.part("What the procedure says of it")
		w.table([]string{"Event", "When", "Row", "What", "Who is asked", "For", "Otherwise"}, says)
	}
	if len(claims)+len(results) > 0 {
		w.part("Way back")
		w.waysBack(r)
		w.table([]string{"Event", "When", "Attempt", "What", "Targets", "Executor", "To be done by"}, claims)
		w.table(resultHead, results)
	}
	w.validations(checks)
	w.quarantine(r)
	if len(calls) > 0 {
		w.part("Escalations")
		w.table([]string{"Event", "When", "Cause", "What", "Rung", "Who", "Incident", "To be taken on by", "Said"}, calls)
	}
	if len(decisions) > 0 {
		w.part("Decisions")
		w.table([]string{"Event", "When", "Who", "Decision", "Why"}, decisions)
	}
	if len(deadlines) > 0 {
		w.part("Deadlines that passed")
		w.table([]string{"Event", "When", "Deadline", "Was due", "Of the escalation for"}, deadlines)
	}
}

// waysBack names the ways back as changes of their own, each of which has its record.
func (w *writer) waysBack(r *Record) {
	var rows [][]string
	for _, b := range view.Rollbacks(r.state) {
		by, outcome, record := "the procedure", "under way", none
		if b.GetOrderedBy() != "" {
			by = escape(b.GetOrderedBy())
		}
		if b.GetOutcome() != releasev1.Outcome_OUTCOME_UNSPECIFIED {
			outcome = outcomeWords(b.GetOutcome())
		}
		if b.GetRecordDigest() != "" {
			record = w.digest(b.GetRecordDigest(), "record of way back "+b.GetRollback()+" in JSON")
		}
		rows = append(rows, []string{code(b.GetRollback()), at(b.GetOrdered()), by, outcome, at(b.GetEnded()), record})
	}
	w.table([]string{"Way back", "Ordered", "By", "Outcome", "Ended", "Digest of its record"}, rows)
}

// remedies are the rows of step 7.
func (w *writer) remedies(r *Record) (claims, results, calls, decisions, deadlines [][]string) {
	for _, e := range r.events {
		number, when, by := fmt.Sprint(e.Entry.Sequence), stamp(e.Entry.Stored), who(e.Entry.Event)
		switch d := e.Entry.Event.GetData().(type) {
		case *releasev1.Event_RollbackClaimed:
			c := d.RollbackClaimed
			claims = append(claims, []string{number, when, fmt.Sprint(c.GetAttempt()), "begun", series(c.GetTargets()), code(c.GetClaimer()), at(c.GetDeadline())})
		case *releasev1.Event_RolledBack:
			claims = append(claims, []string{number, when, fmt.Sprint(d.RolledBack.GetAttempt()), "rolled back", none, none, none})
			results = append(results, w.results(r, number, none, d.RolledBack.GetResults())...)
		case *releasev1.Event_RollbackFailed:
			f := d.RollbackFailed
			claims = append(claims, []string{number, when, fmt.Sprint(f.GetAttempt()), because("failed", w.said(f.GetReason(), "named at the way back")), none, none, none})
			results = append(results, w.results(r, number, none, f.GetResults())...)
		case *releasev1.Event_RollbackUnavailable:
			claims = append(claims, []string{number, when, none, because("not available", w.said(d.RollbackUnavailable.GetReason(), "named at the way back")), none, none, none})
		case *releasev1.Event_ExecutionUnknown:
			if u := d.ExecutionUnknown; u.GetRollback() {
				claims = append(claims, []string{number, when, fmt.Sprint(u.GetAttempt()), because("outcome unknown", w.said(u.GetReason(), "named at the way back")), none, none, none})
				results = append(results, w.results(r, number, none, u.GetResults())...)
			}
		case *releasev1.Event_Escalated:
			c := d.Escalated
			calls = append(calls, []string{
				number, when, causeWords(c.GetCause()), "called", fmt.Sprint(c.GetRung()), series(c.GetTo()), escape(c.GetIncident()),
				at(c.GetAcknowledgeBy()), w.said(c.GetSummary(), "named in an escalation"),
			})
		case *releasev1.Event_UnrecordedChange:
			calls = append(calls, []string{
				number, when, causeWords(releasev1.Cause_CAUSE_UNRECORDED_CHANGE), "found", none, none, none, none, w.said(view.Tell(e.Entry.Event), "named in an unrecorded change"),
			})
		case *releasev1.Event_VerificationRevoked:
			calls = append(calls, []string{
				number, when, causeWords(releasev1.Cause_CAUSE_VERIFICATION_REVOKED), "found", none, none, none, none, w.said(view.Tell(e.Entry.Event), "named in a verdict"),
			})
		case *releasev1.Event_Acknowledged:
			calls = append(calls, []string{
				number, when, causeWords(d.Acknowledged.GetCause()), "taken on", none, by, none, none, escape(d.Acknowledged.GetComment()),
			})
		case *releasev1.Event_IncidentClosed:
			decisions = append(decisions, []string{number, when, by, "close the incident", escape(d.IncidentClosed.GetReason())})
		case *releasev1.Event_Intervened:
			decisions = append(decisions, []string{number, when, by, word(d.Intervened.GetAction(), "ACTION_"), escape(d.Intervened.GetReason())})
		case *releasev1.Event_Aborted:
			decisions = append(decisions, []string{number, when, by, "stop", escape(d.Aborted.GetReason())})
		case *releasev1.Event_SignedOff:
			answer := map[bool]string{true: "pass", false: "fail"}[d.SignedOff.GetPassed()]
			decisions = append(decisions, []string{number, when, by, answer + " " + escape(d.SignedOff.GetCheck()), escape(d.SignedOff.GetComment())})
		case *releasev1.Event_Paused:
			decisions = append(decisions, []string{number, when, by, "pause", escape(d.Paused.GetReason())})
		case *releasev1.Event_Resumed:
			decisions = append(decisions, []string{number, when, by, "resume", escape(d.Resumed.GetReason())})
		case *releasev1.Event_DeadlinePassed:
			if p := d.DeadlinePassed; p.GetDeadline() != releasev1.Deadline_DEADLINE_HOLD {
				deadlines = append(deadlines, []string{number, when, word(p.GetDeadline(), "DEADLINE_"), at(p.GetDue()), causeWords(p.GetCause())})
			}
		}
	}
	return claims, results, calls, decisions, deadlines
}
