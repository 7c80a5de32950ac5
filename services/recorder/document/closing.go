package document

import (
	"fmt"
	"strings"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/recorder/view"
)

// closing is step 8: issues, deviations and follow-ups, each with an explicit none,
// the retrospective review where one was owed, and how the record was closed.
func (w *writer) closing(r *Record) {
	w.section("Step 8: record")
	w.part("Issues")
	issues, deviations := w.troubles(r)
	w.list(issues)
	w.part("Deviations and bypassed controls")
	w.list(deviations)
	w.part("Follow-up actions")
	w.followUps(r)
	w.review(r)
	w.ways(r)
	w.part("Open")
	still := open(r)
	if r.Outcome == nil {
		still = append([]string{"the release itself"}, still...)
	}
	w.list(still)
	for _, e := range from[*releasev1.Event_Recorded](r) {
		d := e.data.Recorded
		w.part("Closing")
		w.paragraph(fmt.Sprintf("The record was closed at %s with the outcome %s (event %d). Its digest %s is the SHA-256 of the record in JSON as of event %d.",
			stamp(e.Entry.Stored), outcomeWords(d.GetOutcome()), e.Entry.Sequence,
			w.digest(d.GetRecordDigest(), fmt.Sprintf("record in JSON, as of event %d", d.GetAsOfSequence())), d.GetAsOfSequence()))
	}
	if c := r.closer(); c != nil {
		by := "the service " + escape(c.Service)
		if c.By != "" {
			by = escape(c.By)
		}
		w.paragraph(fmt.Sprintf("Nothing was owed any more from %s on, closed by %s (event %d).", stamp(c.Time), by, c.Sequence))
	}
}

// troubles are what went wrong, and what went otherwise than by the plain procedure.
func (w *writer) troubles(r *Record) (issues, deviations []string) {
	known := map[string]bool{}
	for _, e := range r.events {
		switch d := e.Entry.Event.GetData().(type) {
		case *releasev1.Event_GatesRefused, *releasev1.Event_ScopeRefused, *releasev1.Event_PreviewRefused,
			*releasev1.Event_RiskRefused, *releasev1.Event_Expired,
			*releasev1.Event_ExecutionFailed, *releasev1.Event_ExecutionUnknown, *releasev1.Event_ExecutionRefused,
			*releasev1.Event_VerificationFailed, *releasev1.Event_VerificationInconclusive, *releasev1.Event_VerificationRevoked,
			*releasev1.Event_RollbackFailed, *releasev1.Event_RollbackUnavailable, *releasev1.Event_DeadlinePassed:
			known[view.Describe(e.Entry.Event)] = true
			if p, ok := d.(*releasev1.Event_DeadlinePassed); ok && p.DeadlinePassed.GetDeadline() == releasev1.Deadline_DEADLINE_HOLD {
				continue // The end of a wait is what was waited for.
			}
			issues = append(issues, fmt.Sprintf("%s (event %d)", w.said(view.Tell(e.Entry.Event), "named in an issue"), e.Entry.Sequence))
		}
	}
	for _, b := range r.Bypassed {
		deviations = append(deviations, "bypassed: "+escape(b))
	}
	for _, d := range r.Deviations {
		if !known[d] && !strings.HasPrefix(d, owed) {
			deviations = append(deviations, w.said(strings.Replace(d, " : ", ": ", 1), "named in a deviation"))
		}
	}
	return issues, deviations
}

// followUps is what is to be done afterwards, with an explicit none.
func (w *writer) followUps(r *Record) {
	var rows [][]string
	for _, f := range r.state.FollowUps {
		closed := "open"
		if f.ClosedBy != "" {
			closed = because(fmt.Sprintf("%s by %s", stamp(f.Closed), escape(f.ClosedBy)), escape(f.Comment))
		}
		rows = append(rows, []string{
			fmt.Sprint(f.Number), escape(f.What.GetAction()), escape(f.What.GetOwner()), at(f.What.GetDue()), escape(f.AddedBy), closed,
		})
	}
	if len(rows) == 0 {
		w.list(nil)
	}
	w.table([]string{"Number", "Action", "Owner", "Due", "Agreed by", "Closed"}, rows)
}

func (w *writer) review(r *Record) {
	if r.state.ReviewDue.IsZero() {
		return
	}
	w.part("Retrospective review")
	facts := [][2]string{{"Due", stamp(r.state.ReviewDue)}}
	for _, e := range from[*releasev1.Event_ReviewCompleted](r) {
		facts = append(facts, [][2]string{
			{"Done", fmt.Sprintf("%s by %s (event %d)", stamp(e.Entry.Stored), who(e.Entry.Event), e.Entry.Sequence)},
			{"Result", word(e.data.ReviewCompleted.GetResult(), "RESULT_")},
			{"Risk that remains", escape(e.data.ReviewCompleted.GetResidualRisk())},
		}...)
	}
	w.facts(facts)
}
