package view

import (
	"fmt"
	"strings"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// Tell is Describe for reading, in words throughout. Describe itself stays as it
// is: what it says stands in records of which the digest is on the stream.
func Tell(e *releasev1.Event) string {
	by := e.GetActor().GetId()
	switch d := e.GetData().(type) {
	case *releasev1.Event_ScopeValidated:
		return counted(len(d.ScopeValidated.GetArtifacts()), "artifact") + " pinned, " + counted(len(d.ScopeValidated.GetTargets()), "target")
	case *releasev1.Event_ChangePreviewed:
		return counted(len(d.ChangePreviewed.GetPreviews()), "target") + " previewed"
	case *releasev1.Event_TargetsReleased:
		return counted(len(d.TargetsReleased.GetResults()), "target") + " let go"
	case *releasev1.Event_RolledBack:
		return counted(len(d.RolledBack.GetResults()), "target") + " rolled back"
	case *releasev1.Event_Escalated:
		return fmt.Sprintf("%s: rung %d called, %s", words(CauseWord(d.Escalated.GetCause())), d.Escalated.GetRung(),
			strings.Join(d.Escalated.GetTo(), ", "))
	case *releasev1.Event_Acknowledged:
		return joined(words(CauseWord(d.Acknowledged.GetCause()))+" taken on by "+by, d.Acknowledged.GetComment())
	case *releasev1.Event_IncidentClosed:
		return joined("incident of "+words(closedOf(d.IncidentClosed))+" closed by "+by, d.IncidentClosed.GetReason())
	case *releasev1.Event_Intervened:
		return joined(words(Word(d.Intervened.GetAction(), "ACTION_"))+" ordered by "+by, d.Intervened.GetReason())
	case *releasev1.Event_ReviewCompleted:
		return fmt.Sprintf("reviewed by %s: %s", by, words(Word(d.ReviewCompleted.GetResult(), "RESULT_")))
	case *releasev1.Event_Recorded:
		return "recorded: " + words(OutcomeWord(d.Recorded.GetOutcome()))
	case *releasev1.Event_DeadlinePassed:
		if d.DeadlinePassed.GetDeadline() == releasev1.Deadline_DEADLINE_HOLD {
			return "the wait is over"
		}
	}
	return Describe(e)
}

func words(word string) string { return strings.ReplaceAll(word, "_", " ") }

func counted(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
