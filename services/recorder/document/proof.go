package document

import (
	"fmt"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// sources are where a way back takes from what it places again.
var sources = map[releasev1.RollbackProof_Source]string{
	releasev1.RollbackProof_SOURCE_TARGET: "kept on the target",
	releasev1.RollbackProof_SOURCE_ORIGIN: "from where the release took it that placed it",
	releasev1.RollbackProof_SOURCE_NONE:   "nothing is placed",
}

// tried says what was tried to show that a target can go back (PD-3.5).
func (w *writer) tried(p *releasev1.RollbackProof, in string) string {
	out := "dry run: " + answer(p.GetPossible()) + "; obtainable: " + answer(p.GetObtainable())
	if from := sources[p.GetSource()]; from != "" {
		out += ", " + from
	}
	if p.GetFound() != "" {
		out += ", " + w.said(p.GetFound(), "named in the "+in)
	}
	if !p.GetDemanded() {
		out += " (the procedure document does not demand it)"
	}
	return out
}

// triedAgain lists what was tried of the way back at the starts of waves.
func (w *writer) triedAgain(r *Record) {
	var rows [][]string
	for _, e := range from[*releasev1.Event_ExecutionClaimed](r) {
		for _, p := range e.data.ExecutionClaimed.GetRollbackProofs() {
			rows = append(rows, []string{
				fmt.Sprint(e.Entry.Sequence), escape(p.GetTarget()), w.digest(p.GetDigest(), "what "+p.GetTarget()+" would go back to"),
				w.tried(p, "way back of "+p.GetTarget()),
			})
		}
	}
	if len(rows) > 0 {
		w.paragraph("The way back was tried again before these claims:")
		w.table([]string{"Event", "Target", "To", "Found"}, rows)
	}
}
