package procedure

import (
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// DecideRecorded closes the record of a release that has an outcome (PD-8.1).
func DecideRecorded(s State, recordDigest string) *releasev1.Event {
	return &releasev1.Event{Data: &releasev1.Event_Recorded{Recorded: &releasev1.Recorded{
		Outcome: s.Outcome, RecordDigest: recordDigest, AsOfSequence: s.Head.Sequence,
	}}}
}

func (s *State) applyRecorded(e Entry, d *releasev1.Recorded) error {
	if err := s.expect(e, PhaseRecord); err != nil {
		return err
	}
	if d.GetOutcome() != s.Outcome || d.GetAsOfSequence() != s.Head.Sequence || d.GetRecordDigest() == "" {
		return s.invalid(e, "it is of another outcome or head")
	}
	s.Recorded = true
	s.want(releasev1.Occasion_OCCASION_END, 1)
	s.enter(PhaseFollowUp, e.Stored)
	return nil
}
