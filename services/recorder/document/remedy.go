package document

import (
	"fmt"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// prescribed are the rows on what the procedure document says of the failures of a release: by
// which of its rows, and what becomes of it.
func prescribed(r *Record) (rows [][]string) {
	for _, e := range r.events {
		var remedy *releasev1.Remedy
		switch d := e.Entry.Event.GetData().(type) {
		case *releasev1.Event_ExecutionFailed:
			remedy = d.ExecutionFailed.GetRemedy()
		case *releasev1.Event_VerificationFailed:
			remedy = d.VerificationFailed.GetRemedy()
		case *releasev1.Event_VerificationInconclusive:
			remedy = d.VerificationInconclusive.GetRemedy()
		}
		if remedy == nil {
			continue
		}
		who, within, otherwise := none, none, none
		if remedy.GetAction() == releasev1.Remedy_ACTION_ASK {
			who, within = word(remedy.GetAsked(), "ASKED_"), span(remedy.GetWithin().AsDuration())
			otherwise = word(remedy.GetOtherwise(), "ACTION_")
		}
		rows = append(rows, []string{
			fmt.Sprint(e.Entry.Sequence), stamp(e.Entry.Stored), escape(remedy.GetRow()), word(remedy.GetAction(), "ACTION_"), who, within, otherwise,
		})
	}
	return rows
}

// untouched writes what was seen on targets that the release has not touched.
func (w *writer) untouched(v checked) {
	if v.GetBeside() == nil {
		return
	}
	w.paragraph("What failed was looked for on targets that the release has not touched. All samples: " +
		w.evidence(v.GetBeside().GetSamples(), fmt.Sprintf("samples beside it, event %d", v.sequence)) + ".")
	w.table([]string{"Target", "Check", "Verdict", "Samples", "Passed", "Failed", "Not taken", "Why"}, w.checks(v.GetBeside().GetResults()))
}

// checks are rows of results.
func (w *writer) checks(results []*releasev1.CheckResult) (rows [][]string) {
	for _, c := range results {
		rows = append(rows, []string{
			escape(c.GetTarget()), escape(c.GetCheck()), word(c.GetVerdict(), "VERDICT_"), fmt.Sprint(c.GetSamples()), fmt.Sprint(c.GetPassed()),
			fmt.Sprint(c.GetFailed()), fmt.Sprint(c.GetErrors()), w.said(c.GetReason(), "named in check "+c.GetCheck()),
		})
	}
	return rows
}
