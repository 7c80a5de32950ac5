package document

import (
	"fmt"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// alarms are what sources of alerts said at the start of each wave, and where it was held by
// what they said: of step 3 the findings and holds say it.
func (w *writer) alarms(r *Record) {
	var rows [][]string
	say := func(sequence uint64, what string, all []*releasev1.AlertAnswer) {
		for _, a := range all {
			answer := escape(a.GetError())
			if a.GetError() == "" {
				answer = fmt.Sprintf("%d active; those that decide: %s", a.GetActive(), w.digest(a.GetAnswer().GetDigest(), "alerts of "+a.GetSource()))
			}
			if a.GetBegan() != nil {
				answer += "; what began since " + at(a.GetBegan()) + " does not hold the way back"
			}
			rows = append(rows, []string{fmt.Sprint(sequence), what, code(a.GetSource()), answer})
		}
	}
	for _, e := range r.events {
		switch d := e.Entry.Event.GetData().(type) {
		case *releasev1.Event_StartHeld:
			say(e.Entry.Sequence, "a start that waits", d.StartHeld.GetAlerts())
		case *releasev1.Event_ExecutionClaimed:
			say(e.Entry.Sequence, "a claim", d.ExecutionClaimed.GetAlerts())
		}
	}
	if len(rows) > 0 {
		w.paragraph("Sources of alerts were asked again before these starts:")
		w.table([]string{"Event", "Of", "Source", "Answer"}, rows)
	}
}
