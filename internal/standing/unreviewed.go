package standing

import (
	"fmt"
	"time"

	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// Unreviewed are the reasons for which normal releases wait at that time, because documents
// of the procedure took effect around the change control and nobody has reviewed them: which,
// who forced it, and what is to be done (PD-9.4).
func (p Procedure) Unreviewed(at time.Time) []*releasev1.HoldReason {
	_, blocking := procedure.DebtsOverdue(p.Document.Standing, at)
	var out []*releasev1.HoldReason
	for _, d := range blocking {
		by := d.GetClaimedBy()
		if by == "" {
			by = "somebody who did not say who they are"
		}
		out = append(out, &releasev1.HoldReason{
			Rule: procedure.HoldDocumentUnreviewed, Subject: d.GetDigest(),
			Message: fmt.Sprintf("procedure document %.64s took effect around the change control on %s, by %.128s (unchecked), and its review was due %s: "+
				"a member of %.64s, by the document before it, has to review it (shipwarden procedure review %d)",
				d.GetVersion(), stamp(d.GetActivated().AsTime()), by, stamp(d.GetDue().AsTime()), d.GetGroup(), d.GetNumber()),
		})
	}
	return out
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
