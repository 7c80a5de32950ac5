package procedure

import (
	"fmt"
	"slices"
	"time"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// MaxFollowUps bounds what is to be done after one release, done or not: a history
// has an end.
const MaxFollowUps = 64

// FollowUp is something that is to be done after a release (PD-8.1).
type FollowUp struct {
	// Number is its place in the order of agreeing, from 1.
	Number uint32
	What   *releasev1.FollowUp
	// AddedBy is who agreed on it, and Added when.
	AddedBy string
	Added   time.Time
	// ClosedBy is who said that it is done; empty while it is open.
	ClosedBy string
	Closed   time.Time
	Comment  string
}

// OpenFollowUps counts what is still to be done. It holds nothing up: a release is
// closed whatever is to be done afterwards.
func (s State) OpenFollowUps() int {
	open := 0
	for _, f := range s.FollowUps {
		if f.ClosedBy == "" {
			open++
		}
	}
	return open
}

// agree notes what is to be done, under the next number.
func (s *State) agree(e Entry, by string, what ...*releasev1.FollowUp) {
	s.FollowUps = slices.Clone(s.FollowUps)
	for _, f := range what {
		s.FollowUps = append(s.FollowUps, FollowUp{
			Number: uint32(len(s.FollowUps)) + 1, What: f, AddedBy: by, Added: e.Stored, //nolint:gosec // Far below 2^32.
		})
	}
}

// applyFollowUpAdded takes what a person says is to be done. It is taken from the
// record on and without an end, also when nothing else can happen to the release any
// more: what has to be done is often found out later.
func (s *State) applyFollowUpAdded(e Entry, d *releasev1.FollowUpAdded) error {
	by, err := s.afterwards(e)
	if err != nil {
		return err
	}
	f := d.GetFollowUp()
	switch {
	case len(s.FollowUps) >= MaxFollowUps:
		return s.invalid(e, fmt.Sprintf("there are %d follow-up actions already", len(s.FollowUps)))
	case int(d.GetNumber()) != len(s.FollowUps)+1:
		return s.invalid(e, "its number is not the next one")
	case f.GetAction() == "" || f.GetOwner() == "" || f.GetDue() == nil:
		return s.invalid(e, "action, owner or due date is missing")
	}
	s.agree(e, by, f)
	return nil
}

// applyFollowUpClosed takes a person's word that something is done.
func (s *State) applyFollowUpClosed(e Entry, d *releasev1.FollowUpClosed) error {
	by, err := s.afterwards(e)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(s.FollowUps, func(f FollowUp) bool { return f.Number == d.GetNumber() })
	switch {
	case i < 0:
		return s.invalid(e, "there is no follow-up action of that number")
	case s.FollowUps[i].ClosedBy != "":
		return s.invalid(e, "it was closed already")
	case d.GetComment() == "":
		return s.invalid(e, "it does not say what came of it")
	}
	s.FollowUps = slices.Clone(s.FollowUps)
	f := &s.FollowUps[i]
	f.ClosedBy, f.Closed, f.Comment = by, e.Stored, d.GetComment()
	return nil
}

// afterwards demands a release that is on record, and a person.
func (s *State) afterwards(e Entry) (string, error) {
	if !s.Recorded {
		return "", s.invalid(e, "the release is not over")
	}
	return s.human(e)
}
