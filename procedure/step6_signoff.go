package procedure

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// SignOff is a check of the verification under way that a person answers (PD-6.1).
type SignOff struct {
	// Check is its name, Question what is asked, Groups whose members may answer, and Until when
	// it is too late.
	Check    string
	Question string
	Groups   []string
	Until    time.Time
	// Answer is what was said; nil while nobody answered.
	Answer *Answer
}

// Answer is a person's answer to a check.
type Answer struct {
	Person  string
	Passed  bool
	Comment string
	// At is when it was stored, and Sequence the event's.
	At       time.Time
	Sequence uint64
}

// Unanswered are the checks of the verification under way that people are asked and nobody has
// answered; it may be too late for it (Answerable).
func Unanswered(s State) (all []SignOff) {
	for _, o := range s.SignOffs {
		if o.Answer == nil {
			all = append(all, o)
		}
	}
	return all
}

// Answerable are those of them that can still be answered at that time.
func Answerable(s State, at time.Time) []SignOff {
	return slices.DeleteFunc(Unanswered(s), func(o SignOff) bool { return !at.Before(o.Until) })
}

// DecideSignOffWanted asks people for the answers to those of the checks of the verification under way
// that ask them, for as long as the bake; nil where there are none, or where they were asked and it is
// not too late to answer. The validator says it before it looks, so that everybody who folds the history
// knows who may answer what until when. It says it once: that people are asked again is derived for
// histories of validators that did, where nobody had answered in time.
func DecideSignOffWanted(s State, checks []*releasev1.Check, bake time.Duration, now time.Time) *releasev1.Event {
	d := &releasev1.SignOffWanted{Wave: s.Wave, Rollback: s.Phase == PhaseVerifyRollback, Number: s.Verifications + 1}
	for _, c := range checks {
		p := c.GetSignOff()
		if p == nil {
			continue
		}
		within := bake
		if p.GetWithin() != nil {
			within = min(bake, p.GetWithin().AsDuration())
		}
		d.Checks = append(d.Checks, &releasev1.AskedSignOff{
			Check: c.GetName(), Question: p.GetQuestion(), Groups: p.GetGroups(), Until: timestamppb.New(now.Add(within)),
		})
	}
	if len(d.GetChecks()) == 0 || len(s.SignOffs) > 0 && (len(Unanswered(s)) == 0 || now.Before(s.answerBy())) {
		return nil
	}
	return &releasev1.Event{Data: &releasev1.Event_SignOffWanted{SignOffWanted: d}}
}

// answerBy is when it is too late for the last answer.
func (s State) answerBy() (last time.Time) {
	for _, o := range s.SignOffs {
		if o.Until.After(last) {
			last = o.Until
		}
	}
	return last
}

// forgetSignOffs ends what people were asked: it was about the phase that is over.
func (s *State) forgetSignOffs() {
	s.SignOffs, s.SignOffsAsked = nil, time.Time{}
	s.Wanted = slices.DeleteFunc(slices.Clone(s.Wanted), func(n Notice) bool { return n.Occasion == releasev1.Occasion_OCCASION_SIGN_OFF_WANTED })
}

// applySignOffWanted begins the time in which answers count. Where it is said again, because nobody
// answered in time and the validator looks anew, answers that were given stay.
func (s *State) applySignOffWanted(e Entry, d *releasev1.SignOffWanted) error {
	if err := s.expect(e, PhaseVerify, PhaseVerifyRollback); err != nil {
		return err
	}
	switch {
	case d.GetRollback() != (s.Phase == PhaseVerifyRollback) || d.GetWave() != s.Wave || d.GetNumber() != s.Verifications+1:
		return s.invalid(e, "it is of another wave")
	case len(d.GetChecks()) == 0:
		return s.invalid(e, "nothing is asked")
	case len(s.SignOffs) > 0 && e.Stored.Before(s.answerBy()) && e.Event.GetDecided().AsTime().Before(s.answerBy()):
		// Until when was said by the validator's clock, and so is that it is over: where that clock is
		// ahead, it would be said in vain until the time has come by the others', each time on record.
		return s.invalid(e, "people are asked already")
	}
	var asked []SignOff
	for _, c := range d.GetChecks() {
		if c.GetCheck() == "" || len(c.GetGroups()) == 0 || !c.GetUntil().IsValid() {
			return s.invalid(e, "it does not say who is asked what, until when")
		}
		if slices.ContainsFunc(asked, func(o SignOff) bool { return o.Check == c.GetCheck() }) {
			return s.invalid(e, "check "+c.GetCheck()+" is asked twice")
		}
		one := SignOff{Check: c.GetCheck(), Question: c.GetQuestion(), Groups: c.GetGroups(), Until: c.GetUntil().AsTime()}
		if before := s.signOff(c.GetCheck()); before != nil {
			one.Answer = before.Answer
		}
		asked = append(asked, one)
	}
	s.SignOffs, s.SignOffsAsked = asked, e.Stored
	s.want(releasev1.Occasion_OCCASION_SIGN_OFF_WANTED, d.GetNumber())
	return nil
}

// signOff is what is asked of a check; nil where nothing is.
func (s State) signOff(check string) *SignOff {
	if i := slices.IndexFunc(s.SignOffs, func(o SignOff) bool { return o.Check == check }); i >= 0 {
		return &s.SignOffs[i]
	}
	return nil
}

// applySignedOff takes an answer in.
func (s *State) applySignedOff(e Entry, d *releasev1.SignedOff) error {
	by, err := s.human(e)
	if err != nil {
		return err
	}
	if why := s.refusesAnswer(e.Event.GetActor(), d, e.Stored); why != "" {
		return s.invalid(e, why)
	}
	s.SignOffs = slices.Clone(s.SignOffs)
	s.signOff(d.GetCheck()).Answer = &Answer{Person: by, Passed: d.GetPassed(), Comment: d.GetComment(), At: e.Stored, Sequence: e.Sequence}
	return nil
}

// MaySignOff says why somebody may not answer a check of the verification under way at that time; "" where
// they may.
func MaySignOff(s State, actor *releasev1.Actor, check string, at time.Time) string {
	return s.refusesAnswer(actor, &releasev1.SignedOff{Check: check, Number: s.Verifications + 1, Passed: true, Comment: "asked"}, at)
}

// refusesAnswer says why an answer at that time does not count; "" where it does.
func (s State) refusesAnswer(actor *releasev1.Actor, d *releasev1.SignedOff, at time.Time) string {
	switch {
	case s.Phase != PhaseVerify && s.Phase != PhaseVerifyRollback:
		return "no verification is under way that could be answered"
	case len(s.SignOffs) == 0:
		return "nobody is asked to sign anything off, or not yet"
	case d.GetNumber() != s.Verifications+1:
		return fmt.Sprintf("it answers verification %d, and number %d is under way", d.GetNumber(), s.Verifications+1)
	}
	o := s.signOff(d.GetCheck())
	if o == nil {
		var asked []string
		for _, other := range s.SignOffs {
			asked = append(asked, other.Check)
		}
		return fmt.Sprintf("check %q asks nobody; people are asked %s", d.GetCheck(), strings.Join(asked, ", "))
	}
	role := s.ownRole(actor.GetId())
	switch {
	case !slices.ContainsFunc(o.Groups, func(g string) bool { return slices.Contains(actor.GetGroups(), g) }):
		return fmt.Sprintf("%s is in none of the groups that may sign it off: %s", actor.GetId(), strings.Join(o.Groups, ", "))
	case role != "" && !s.Emergency():
		return fmt.Sprintf("nobody signs off their own change: %s is %s", actor.GetId(), role)
	case strings.TrimSpace(d.GetComment()) == "":
		return "it does not say what was seen"
	case !at.Before(o.Until):
		return "it was too late to answer at " + o.Until.UTC().Format(time.RFC3339)
	case o.Answer != nil && (!o.Answer.Passed || d.GetPassed()):
		return "it is answered already, by " + o.Answer.Person
	}
	return ""
}

// unsigned says which check nobody has answered with a pass, of those that people were asked and of
// the request's; "" where there is none. No verification passes without (PD-6.3).
func (s State) unsigned(checks []*releasev1.Check) string {
	for _, c := range checks {
		if c.GetSignOff() != nil && s.signOff(c.GetName()) == nil {
			return "nobody was asked to sign off check " + c.GetName()
		}
	}
	for _, o := range s.SignOffs {
		switch {
		case o.Answer == nil:
			return "nobody signed off check " + o.Check
		case !o.Answer.Passed:
			return "check " + o.Check + " was failed by " + o.Answer.Person
		}
	}
	return ""
}

// Awaited says in words whose answers a verification waits for at that time, one phrase for each check,
// and which came too late to be waited for.
func Awaited(s State, at time.Time) (all []string) {
	for _, o := range Unanswered(s) {
		phrase := "somebody of %s to sign off %s until %s: %s"
		if !at.Before(o.Until) {
			phrase = "the end of the bake, for nobody of %s signed off %s until %s: %s"
		}
		all = append(all, fmt.Sprintf(phrase, strings.Join(o.Groups, " or "), o.Check, o.Until.UTC().Format(time.RFC3339), o.Question))
	}
	return all
}
