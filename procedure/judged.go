package procedure

import (
	"fmt"
	"slices"
	"strings"
)

// byEither are the decisions that people of the document in effect make as well as those of the
// release's own: what must not be left undone because everybody who could do it has left. No
// approval, sign-off or exception of a freeze is among them, and the start demands those of the
// release's own document: nobody is given a right to approve by another one than it was asked under.
var byEither = []string{
	"acknowledged", "incident_closed", "intervened", "aborted", "paused", "resumed",
	"review_completed", "follow_up_added", "follow_up_closed",
}

// ByEither reports whether a decision of that type is one for people of either document.
func ByEither(eventType string) bool { return slices.Contains(byEither, eventType) }

// judged holds what is demanded of the document that says who a person is. Events of before it was
// kept name none, and mean the release's own. Whether the document says so is not known here: who
// has it can look (N-01).
func (s State) judged(e Entry) error {
	by := e.Event.GetActor().GetProcedureDigest()
	if by == "" || by == s.ProcedureDigest || ByEither(TypeOf(e.Event)) && strings.HasPrefix(by, "sha256:") {
		return nil
	}
	return fmt.Errorf("%w: actor.procedure_digest: %q does not say who may do this", ErrProcedure, by)
}
