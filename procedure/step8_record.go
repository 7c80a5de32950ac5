package procedure

import (
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// DecideRecorded closes the record of a release that has an outcome, and those of its ways
// back, whose digests are in their order (PD-8.1).
func DecideRecorded(s State, recordDigest string, rollbackDigests ...string) *releasev1.Event {
	d := &releasev1.Recorded{Outcome: s.Outcome, RecordDigest: recordDigest, AsOfSequence: s.Head.Sequence}
	for i, digest := range rollbackDigests {
		r := s.Rollbacks[i]
		d.Rollbacks = append(d.Rollbacks, &releasev1.RecordedRollback{
			Rollback: RollbackID(s.Release, r.Number), Outcome: r.Outcome, RecordDigest: digest, AsOfSequence: r.Ended,
		})
	}
	return &releasev1.Event{Data: &releasev1.Event_Recorded{Recorded: d}}
}

func (s *State) applyRecorded(e Entry, d *releasev1.Recorded) error {
	if err := s.expect(e, PhaseRecord); err != nil {
		return err
	}
	if d.GetOutcome() != s.Outcome || d.GetAsOfSequence() != s.Head.Sequence || d.GetRecordDigest() == "" {
		return s.invalid(e, "it is of another outcome or head")
	}
	if err := s.closeRollbacks(e, d.GetRollbacks()); err != nil {
		return err
	}
	s.Recorded, s.RecordedAt = true, e.Stored
	s.want(releasev1.Occasion_OCCASION_END, 1)
	s.enter(PhaseFollowUp, e.Stored)
	return nil
}
