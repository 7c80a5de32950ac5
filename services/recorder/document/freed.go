package document

import (
	"fmt"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// freed are the waits for targets that ended because another release let them go, those of
// starts or those of step 3.
func (w *writer) freed(r *Record, ofStart bool) {
	start := false
	for _, e := range r.events {
		switch d := e.Entry.Event.GetData().(type) {
		case *releasev1.Event_Held:
			start = false
		case *releasev1.Event_StartHeld:
			start = true
		case *releasev1.Event_TargetFreed:
			if start == ofStart {
				w.paragraph(fmt.Sprintf("Looked at again at %s (event %d), because release %s let go of %s.",
					stamp(e.Entry.Stored), e.Entry.Sequence, escape(d.TargetFreed.GetRelease()), and(escaped(d.TargetFreed.GetTargets()))))
			}
		}
	}
}
