package document

import (
	"fmt"
	"strings"

	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/recorder/view"
)

// outcomeWords is the outcome as a title; what is not at an end has none.
func outcomeWords(o releasev1.Outcome) string {
	switch o { //nolint:exhaustive // The others are words already.
	case releasev1.Outcome_OUTCOME_UNSPECIFIED:
		return "not at an end"
	case releasev1.Outcome_OUTCOME_FAILED_UNRESOLVED:
		return "failed, unresolved"
	}
	return word(o, "OUTCOME_")
}

// summary says in words what it is about, who decided, how it went, how it ended
// and what is open, and below it where the record itself stands.
func (w *writer) summary(r *Record) {
	s := r.state
	w.paragraph(append([]string{
		"**" + capital(outcomeWords(s.Outcome)) + ".**", opening(r), emergency(r), decided(r), w.paused(r),
	}, append(w.story(r), w.ending(r), reviewed(r), openWords(r))...)...)
	o := r.Outcome
	if o == nil {
		o = &Outcome{}
	}
	recorded := none
	if o.RecordedAt != nil {
		recorded = stamp(*o.RecordedAt)
		if o.RecordedBy != "" {
			recorded += ", signed with " + code(o.RecordedBy)
		}
	}
	closed := none
	if o.ClosedAt != nil {
		closed = stamp(*o.ClosedAt)
	}
	record := none
	if o.RecordDigest != "" {
		record = fmt.Sprintf("%s, as of event %d", w.digest(o.RecordDigest, fmt.Sprintf("record in JSON, as of event %d", o.RecordAsOf)), o.RecordAsOf)
	}
	asOf := fmt.Sprintf("as of event %d", r.AsOfSequence)
	if !r.AsOf.IsZero() {
		asOf += ", stored " + stamp(r.AsOf)
	}
	procedure := "PROC-DEPLOY-001"
	if r.ProcedureVersion != "" {
		procedure += " version " + escape(r.ProcedureVersion)
	}
	w.facts([][2]string{
		{"Release", code(r.Release)},
		{"Outcome", outcomeWords(s.Outcome)},
		{"Reason", w.reason(r)},
		{"Ended by", escape(o.EndedBy)},
		{"Requested", stamp(r.RequestedAt)},
		{"Ended", stamp(o.EndedAt)},
		{"Recorded", recorded},
		{"Digest of the record", record},
		{"Closed", closed},
		{"This document", asOf + ", phase: " + phaseOf(r.Phase).words},
		{"Procedure", procedure + ", document " + w.digest(r.ProcedureDigest, "procedure document")},
	})
}

func opening(r *Record) string {
	q := r.state.Request
	what := fmt.Sprintf("Version %s of %s was", escape(r.Version), escape(r.Service))
	switch q.GetTrigger() {
	case releasev1.Trigger_TRIGGER_EMERGENCY:
		what += " an emergency release to "
	case releasev1.Trigger_TRIGGER_ROLLBACK:
		what += " to take release " + code(q.GetRollbackOf()) + " back from "
	case releasev1.Trigger_TRIGGER_PLANNED, releasev1.Trigger_TRIGGER_UNSPECIFIED:
		what += " a planned release to "
	}
	what += escape(r.Environment)
	if c := q.GetChangeRecord(); c.GetId() != "" {
		what += fmt.Sprintf(" for change record %s (%s)", escape(c.GetId()), escape(c.GetSystem()))
	}
	return sentence(fmt.Sprintf("%s, requested by %s and owned by %s", what, escape(q.GetRequester()), escape(q.GetOwner())))
}

func emergency(r *Record) string {
	if !r.state.Emergency() {
		return ""
	}
	e := r.state.Request.GetEmergency()
	out := sentence(fmt.Sprintf("It could not wait (incident %s): %s", escape(e.GetIncident()), escape(e.GetReason())))
	if len(r.Bypassed) > 0 {
		out += " Bypassed: " + sentence(and(escaped(r.Bypassed)))
	}
	return out
}

// decided says who approved, or who said no.
func decided(r *Record) string {
	for _, e := range from[*releasev1.Event_Rejected](r) {
		return sentence(who(e.Entry.Event) + " rejected it")
	}
	var by []string
	for _, a := range r.Approvals {
		switch {
		case a.CountedFor != "":
			by = append(by, fmt.Sprintf("%s (%s)", escape(a.Person), escape(a.CountedFor)))
		case r.Authorization == nil && a.WithdrawnAt == nil:
			by = append(by, escape(a.Person))
		}
	}
	switch {
	case len(by) == 0 && r.state.Outcome == releasev1.Outcome_OUTCOME_UNSPECIFIED:
		return "Nobody has approved it yet."
	case len(by) == 0:
		return "Nobody approved it."
	case r.Authorization == nil:
		return sentence("It was approved by " + and(by) + ", which did not suffice yet")
	}
	return sentence("It was approved by " + and(by))
}

// ending says how and why it ended, or what it waits for.
func (w *writer) ending(r *Record) string {
	s := r.state
	if s.Outcome == releasev1.Outcome_OUTCOME_UNSPECIFIED {
		switch s.Phase { //nolint:exhaustive // The others hold no times.
		case procedure.PhaseHeld:
			return w.andPaused(view.Waits(s, stamp), s)
		case procedure.PhaseApprove:
			return w.andPaused("It waits for approvals until "+stamp(s.ApproveBy), s)
		}
		return w.said(view.Summary(s), "named in the summary")
	}
	out := "It ended " + millis(r.Timings.Total) + " after the request"
	if s.EndedBy != "" {
		out += " by decision of " + escape(s.EndedBy)
	}
	if s.Started() {
		return sentence(out) // The reason has been told.
	}
	return sentence(because(out, w.reason(r)))
}

// andPaused says what a release waits for, and who keeps it from what comes then.
func (w *writer) andPaused(waits string, s procedure.State) string {
	var all []string
	if waits != "" {
		all = append(all, sentence(waits))
	}
	if paused := view.Paused(s); paused != "" {
		all = append(all, w.said(paused, "named in the summary"))
	}
	return strings.Join(all, " ")
}

func (w *writer) reason(r *Record) string {
	return w.said(strings.TrimRight(r.state.EndReason, ". "), "named in the reason")
}

// open is what is still owed, as Markdown.
func open(r *Record) []string {
	s := r.state
	var all []string
	if s.ReviewOwed() {
		what := "the retrospective review, due " + stamp(s.ReviewDue)
		if s.ReviewOverdue {
			what += " and overdue"
		}
		all = append(all, what)
	}
	for _, c := range s.OpenEscalations() {
		all = append(all, fmt.Sprintf("the escalation for %s, which nobody has taken on", causeWords(c)))
	}
	for _, c := range procedure.Unclosed(s) {
		all = append(all, fmt.Sprintf("the incident of %s, which nobody has closed", causeWords(c)))
	}
	for _, n := range s.Wanted {
		all = append(all, fmt.Sprintf("the notice of the %s", word(n.Occasion, "OCCASION_")))
	}
	for _, d := range s.Deferred {
		all = append(all, fmt.Sprintf("the notice of the %s to %s, which waits until %s", word(d.Occasion, "OCCASION_"), escape(d.Channel), stamp(d.Until)))
	}
	if s.Outcome != releasev1.Outcome_OUTCOME_UNSPECIFIED && !s.Recorded {
		all = append(all, "closing the record")
	}
	return all
}

func openWords(r *Record) string {
	actions := r.state.OpenFollowUps()
	switch all := open(r); {
	case len(all) > 0 && actions > 0:
		return fmt.Sprintf("Open: %s; besides, %s still to be done (step 8).", strings.Join(all, "; "), are(actions))
	case len(all) > 0:
		return "Open: " + sentence(strings.Join(all, "; "))
	case r.state.Outcome == releasev1.Outcome_OUTCOME_UNSPECIFIED:
		return ""
	case actions > 0:
		return fmt.Sprintf("Nothing is open here; %s still to be done (step 8).", are(actions))
	}
	return "Nothing is open."
}

func are(actions int) string {
	if actions == 1 {
		return "1 follow-up action is"
	}
	return count(actions, "follow-up action") + " are"
}

// reviewed says what the retrospective review found.
func reviewed(r *Record) string {
	var out string
	for _, e := range from[*releasev1.Event_ReviewCompleted](r) {
		out = sentence(fmt.Sprintf("%s reviewed it afterwards: %s", who(e.Entry.Event), word(e.data.ReviewCompleted.GetResult(), "RESULT_")))
	}
	return out
}

func causeWords(c releasev1.Cause) string { return word(c, "CAUSE_") }
