package procedure

import (
	"fmt"
	"regexp"
	"slices"
	"time"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// Rollback is a way back of a release as a change of its own: it has an id, an execution, a
// verification and an outcome, and a record of its own (PD-7.1). It is executed within the
// history of the release, under its locks and its approval, so it is a view of that history,
// which everybody derives alike.
type Rollback struct {
	// Number is which way back of the release it is, from 1. A machine goes one by itself at
	// most; those after it were ordered by people.
	Number uint32
	// Ordered is the event that made it necessary, OrderedAt when that was stored, and
	// OrderedBy the person who ordered it; empty where the procedure did.
	Ordered   uint64
	OrderedAt time.Time
	OrderedBy string
	// Targets are what it takes back, in that order.
	Targets []string
	// Attempts is how many executors claimed it, one after the other, and Begun when the first
	// one did; Executed is when all targets were back, and its verification began. Zero before.
	Attempts        uint32
	Begun, Executed time.Time
	// Outcome is how it ended, by the event Ended, which was stored at EndedAt; unset and zero
	// while it is under way. One whose outcome nobody could tell goes on when a person says
	// that it did happen.
	Outcome releasev1.Outcome
	Ended   uint64
	EndedAt time.Time
	// RecordDigest is that of its record, as the event Recorded says, which closes it; empty
	// and zero before, and in releases that were recorded before ways back had records.
	RecordDigest string
	Recorded     uint64
}

var rollbackPattern = regexp.MustCompile(`^([a-z][a-z0-9-]*)-rb([1-9][0-9]{0,3})$`)

// RollbackID names a way back of a release. It is the release's id and a number, so that
// whoever reads it knows both. No release has such an id: theirs end otherwise (ReleaseID).
func RollbackID(release string, number uint32) string { return fmt.Sprintf("%s-rb%d", release, number) }

// RollbackOf returns the release that an id names a way back of, and which of them it is; false
// where it names none.
func RollbackOf(id string) (release string, number uint32, ok bool) {
	m := rollbackPattern.FindStringSubmatch(id)
	if m == nil {
		return "", 0, false
	}
	for _, digit := range m[2] {
		number = 10*number + uint32(digit-'0') //nolint:gosec // At most four digits.
	}
	return m[1], number, true
}

// rollback is the id of the way back that the next event is of: of the one that is under way.
func (s State) rollback() string {
	if len(s.Rollbacks) == 0 {
		return ""
	}
	return RollbackID(s.Release, s.Rollbacks[len(s.Rollbacks)-1].Number)
}

// ofThis refuses an event that names another way back than the one that is under way. Events
// of before it had a name have none.
func (s *State) ofThis(e Entry, rollback string) error {
	if rollback != "" && rollback != s.rollback() {
		return s.invalid(e, "it is of the way back "+rollback+", not "+s.rollback())
	}
	return nil
}

// goingBack reports whether a way back is under way.
func goingBack(p Phase) bool {
	return p == PhaseRemedy || p == PhaseRollingBack || p == PhaseVerifyRollback
}

// followRollback follows the way back as a change of its own, from what the event did to the
// release. It decides nothing.
func (s *State) followRollback(before Phase, e Entry) {
	if s.Phase == PhaseRemedy && before != PhaseRemedy {
		r := Rollback{
			Number:  uint32(len(s.Rollbacks)) + 1, //nolint:gosec // Far below 2^32.
			Ordered: e.Sequence, OrderedAt: e.Stored, Targets: RollbackTargets(*s),
		}
		if a := e.Event.GetActor(); a.GetKind() == releasev1.Actor_KIND_HUMAN {
			r.OrderedBy = a.GetId()
		} else {
			r.OrderedBy = s.AbortBy // Who stops a release that is executed orders its way back.
		}
		s.Rollbacks = append(slices.Clip(s.Rollbacks), r)
		return
	}
	if len(s.Rollbacks) == 0 {
		return
	}
	s.Rollbacks = slices.Clone(s.Rollbacks)
	r := &s.Rollbacks[len(s.Rollbacks)-1]
	if e.Event.GetRollbackClaimed() != nil {
		if r.Attempts++; r.Attempts == 1 {
			r.Begun = e.Stored
		}
	}
	if s.Phase == PhaseVerifyRollback && before != PhaseVerifyRollback {
		r.Executed = e.Stored
	}
	switch {
	case goingBack(before) && !goingBack(s.Phase):
		r.Outcome, r.Ended, r.EndedAt = s.rollbackOutcome(), e.Sequence, e.Stored
	case s.Phase == PhaseVerifyRollback && r.Outcome == releasev1.Outcome_OUTCOME_ROLLBACK_UNKNOWN:
		// A person has looked: it goes on.
		r.Outcome, r.Ended, r.EndedAt = releasev1.Outcome_OUTCOME_UNSPECIFIED, 0, time.Time{}
	}
}

// rollbackOutcome is how the way back ended that ended now.
func (s State) rollbackOutcome() releasev1.Outcome {
	if s.Phase != PhaseEscalated {
		return s.Outcome
	}
	switch s.EscalatedFor { //nolint:exhaustive // Nothing else ends a way back.
	case releasev1.Cause_CAUSE_ROLLBACK_UNAVAILABLE:
		return releasev1.Outcome_OUTCOME_ROLLBACK_UNAVAILABLE
	case releasev1.Cause_CAUSE_OUTCOME_UNKNOWN:
		return releasev1.Outcome_OUTCOME_ROLLBACK_UNKNOWN
	}
	return releasev1.Outcome_OUTCOME_ROLLBACK_FAILED
}

// closeRollbacks takes over which records the event closes. It names all ways back. Only in
// releases that were asked for before ways back had records it may name none: reasons are
// demanded since the same version.
func (s *State) closeRollbacks(e Entry, closed []*releasev1.RecordedRollback) error {
	if len(closed) == 0 && !s.Requested.GetReasonsDemanded() {
		return nil
	}
	if len(closed) != len(s.Rollbacks) {
		return s.invalid(e, fmt.Sprintf("it closes %d ways back of %d", len(closed), len(s.Rollbacks)))
	}
	s.Rollbacks = slices.Clone(s.Rollbacks)
	for i, c := range closed {
		r := &s.Rollbacks[i]
		if c.GetRollback() != RollbackID(s.Release, r.Number) || c.GetOutcome() != r.Outcome || c.GetAsOfSequence() != r.Ended || c.GetRecordDigest() == "" {
			return s.invalid(e, "it is of another way back, outcome or head: "+c.GetRollback())
		}
		r.RecordDigest, r.Recorded = c.GetRecordDigest(), e.Sequence
	}
	return nil
}
