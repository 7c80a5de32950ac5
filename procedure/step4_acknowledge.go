package procedure

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// HoldUnacknowledged is the rule of the hold of a start that people have to know of.
const HoldUnacknowledged = "notice.unacknowledged"

// Reasons for which the word of a person that they know of a notice is not taken.
var (
	// ErrNotTold says that nobody was told of this.
	ErrNotTold = errors.New("nobody was told of this")
	// ErrNotMeant says that the notice was not meant for the person.
	ErrNotMeant = errors.New("the notice was not meant for the person")
	// ErrKnownAlready says that the person has said so already.
	ErrKnownAlready = errors.New("the person has said so already")
)

// MayAcknowledge reports whether that person may say that they know of a notice; the
// error says why not. It is asked by the edge, to give a good answer, and by Evolve,
// which is what counts.
func MayAcknowledge(s State, n Notice, person string) error {
	i := slices.IndexFunc(s.Told, func(t Told) bool { return t.Notice == n })
	switch {
	case i < 0 || s.Phase == PhaseClosed:
		return ErrNotTold
	case !slices.ContainsFunc(s.Told[i].Audience, func(p *releasev1.Party) bool { return slices.Contains(p.GetPeople(), person) }):
		return fmt.Errorf("%w: %s", ErrNotMeant, person)
	case slices.Contains(s.Told[i].AcknowledgedBy, person):
		return ErrKnownAlready
	}
	return nil
}

// DecideNoticeAcknowledged records a person's word that they know of a notice (N-15).
func DecideNoticeAcknowledged(n Notice, comment string) *releasev1.Event {
	return &releasev1.Event{Data: &releasev1.Event_NoticeAcknowledged{NoticeAcknowledged: &releasev1.NoticeAcknowledged{
		Occasion: n.Occasion, Number: n.Number, Comment: comment,
	}}}
}

// Unacknowledged returns for whom the start still waits: the parties of which not enough
// have said that they know, each with the people who have not. Nothing makes an emergency
// wait (PD-4.2).
func Unacknowledged(s State) []*releasev1.Party {
	if s.Phase != PhaseNotify || s.Emergency() {
		return nil
	}
	i := slices.IndexFunc(s.Told, func(t Told) bool { return t.Occasion == releasev1.Occasion_OCCASION_START })
	if i < 0 || slices.Contains(s.Wanted, s.Told[i].Notice) {
		return nil
	}
	var missing []*releasev1.Party
	for _, p := range s.Told[i].Audience {
		if p.GetAcknowledgeBy() == nil {
			continue
		}
		left := slices.DeleteFunc(slices.Clone(p.GetPeople()), func(person string) bool { return slices.Contains(s.Told[i].AcknowledgedBy, person) })
		if p.GetEverybody() && len(left) > 0 || len(left) == len(p.GetPeople()) {
			missing = append(missing, &releasev1.Party{
				Audience: p.GetAudience(), Reason: p.GetReason(), People: left, AcknowledgeBy: p.GetAcknowledgeBy(), Everybody: p.GetEverybody(),
			})
		}
	}
	return missing
}

// await lets a start wait for those who have to know of it, as a hold that names them;
// where there are none, or no more, step 5 is open.
func (s *State) await(e Entry) {
	missing := Unacknowledged(*s)
	if len(missing) == 0 {
		s.Holds, s.NoticeOverdue = nil, false
		s.enter(PhaseExecute, e.Stored)
		return
	}
	s.Holds = nil
	for _, p := range missing {
		s.Holds = append(s.Holds, &releasev1.HoldReason{
			Rule: HoldUnacknowledged, Subject: p.GetAudience(), Message: awaits(p), Until: p.GetAcknowledgeBy(),
		})
	}
}

// awaits says whose word is missing.
func awaits(p *releasev1.Party) string {
	people := strings.Join(p.GetPeople(), " or ")
	switch {
	case people == "":
		people = "nobody is there who could say so"
	case p.GetEverybody():
		people = strings.Join(p.GetPeople(), " and ")
	}
	return people + " (" + p.GetReason() + ")"
}

// acknowledgeBy is when the first of those who have to know of a start is late; zero
// where the start waits for nobody, or people were called already.
func (s State) acknowledgeBy() time.Time {
	var first time.Time
	if s.NoticeOverdue {
		return first
	}
	for _, p := range Unacknowledged(s) {
		if by := p.GetAcknowledgeBy().AsTime(); first.IsZero() || by.Before(first) {
			first = by
		}
	}
	return first
}

// applyNoticeAcknowledged takes the word of a person whom the notice was meant for.
func (s *State) applyNoticeAcknowledged(e Entry, d *releasev1.NoticeAcknowledged) error {
	by, err := s.human(e)
	if err != nil {
		return err
	}
	n := Notice{Occasion: d.GetOccasion(), Number: d.GetNumber()}
	if err := MayAcknowledge(*s, n, by); err != nil {
		return s.invalid(e, err.Error())
	}
	waiting := len(Unacknowledged(*s)) > 0
	s.Told = slices.Clone(s.Told)
	t := &s.Told[slices.IndexFunc(s.Told, func(t Told) bool { return t.Notice == n })]
	t.AcknowledgedBy = append(slices.Clip(t.AcknowledgedBy), by)
	if waiting && n.Occasion == releasev1.Occasion_OCCASION_START {
		s.await(e)
		if s.Phase != PhaseNotify {
			s.settled(releasev1.Cause_CAUSE_NOTICE_UNACKNOWLEDGED, by)
		}
	}
	return nil
}
