package document

import (
	"fmt"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// records are what the system that keeps change records said at the start of each wave: at
// step 1 it is a verdict among the gates'.
func (w *writer) records(r *Record) {
	var rows [][]string
	for _, e := range from[*releasev1.Event_ExecutionClaimed](r) {
		for _, c := range e.data.ExecutionClaimed.GetChangeRecords() {
			window := none
			if c.GetWindowStart() != nil || c.GetWindowEnd() != nil {
				window = at(c.GetWindowStart()) + " to " + at(c.GetWindowEnd())
			}
			rows = append(rows, []string{
				fmt.Sprint(e.Entry.Sequence), code(c.GetRule()), code(c.GetId()), escape(c.GetState()), window,
				w.digest(c.GetDigest(), "answer about a change record"),
			})
		}
	}
	if len(rows) > 0 {
		w.paragraph("The change record was looked up again before these claims:")
		w.table([]string{"Event", "Rule", "Record", "State", "Window", "Answer"}, rows)
	}
}
