package procedure

import (
	"slices"
	"strings"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// Damages reports whether a call for that cause says that something is wrong with what the
// release did. What ended before anything began has damaged nothing, whether it was skipped,
// refused, or has no way back: otherwise a wave that is not begun because of one incident would
// be the next one.
func (s State) Damages(cause releasev1.Cause) bool {
	return slices.Contains(Damage, cause) && (len(s.Begun) > 0 || !slices.Contains(harmless, cause))
}

// Unclosed are the causes for which the release has an open incident, in the order in which people
// were called for them; none in releases of before closing was demanded. To take a call on says
// who looks after it, and ends nothing: an incident ends by a person who closes it when the release
// is over, or whose decision ends the release (PD-7.2).
func Unclosed(s State) (all []releasev1.Cause) {
	for _, x := range s.Escalations {
		if s.unclosed(x) {
			all = append(all, x.Cause)
		}
	}
	return all
}

func (s State) unclosed(x Escalation) bool {
	return s.Requested.GetClosingDemanded() && x.ClosedBy == "" && s.Damages(x.Cause)
}

// ClosingDecides reports whether the incident of the release is one that has to be closed, or had to
// be: where nothing was damaged, it ends when somebody has taken on what people were called for.
func ClosingDecides(s State) bool {
	return s.Requested.GetClosingDemanded() && slices.ContainsFunc(s.Escalations, func(x Escalation) bool { return s.Damages(x.Cause) })
}

// MayClose reports whether a person can close the incident of the release: it has one, and is over.
func MayClose(s State) bool {
	return s.Outcome != releasev1.Outcome_OUTCOME_UNSPECIFIED && len(Unclosed(s)) > 0
}

// DecideIncidentClosed ends the incident as it is now. What people are called for afterwards is
// another one.
func DecideIncidentClosed(s State, reason string) *releasev1.Event {
	return &releasev1.Event{Data: &releasev1.Event_IncidentClosed{IncidentClosed: &releasev1.IncidentClosed{
		Reason: reason, Causes: Unclosed(s),
	}}}
}

// applyIncidentClosed ends the incident of a release that is over. It names everything that it
// ends: what its writer had not seen is not ended by it.
func (s *State) applyIncidentClosed(e Entry, d *releasev1.IncidentClosed) error {
	by, err := s.human(e)
	switch {
	case err != nil:
		return err
	case len(Unclosed(*s)) == 0:
		return s.invalid(e, "no incident of it is open that somebody has to close")
	case s.Outcome == releasev1.Outcome_OUTCOME_UNSPECIFIED:
		return s.invalid(e, "the release is not over")
	case strings.TrimSpace(d.GetReason()) == "":
		return s.invalid(e, "it names no reason")
	case !slices.Equal(d.GetCauses(), Unclosed(*s)):
		return s.invalid(e, "it does not end what people were called for")
	}
	s.Escalations = slices.Clone(s.Escalations)
	for i := range s.Escalations {
		x := &s.Escalations[i]
		ends := s.unclosed(*x)
		if x.AcknowledgedBy == "" {
			x.AcknowledgedBy, x.CallNext = by, false
		} else if !ends {
			continue
		}
		if ends {
			x.ClosedBy = by
		}
		s.endOfCall(*x, closings)
	}
	return nil
}

// closings is added to the numbers of notices that tell of a closed incident: whoever took the
// call on before may still have to be told of that.
const closings = 500

// settledBy notes that a person's decision settles what the release was escalated for: all of it
// where it ends the release, and otherwise what has damaged nothing, which is not to become an
// incident when something begins afterwards.
func (s *State) settledBy(by string, ends bool) {
	for i := range s.Escalations {
		if x := &s.Escalations[i]; slices.Contains(Damage, x.Cause) && x.ClosedBy == "" && (ends || !s.Damages(x.Cause)) {
			x.ClosedBy = by
		}
	}
}
