package procedure

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// MaxLaterLooks bounds how often one release is looked at after it was verified: every look
// is on record, and a history has an end.
const MaxLaterLooks = 64

// maxLookedAt bounds how many results one event holds of a later look, and maxLookReason its
// reason, in bytes.
const (
	maxLookedAt   = 32
	maxLookReason = 1024
)

// LaterLooks is what became of a release since it was verified (PD-6.1).
type LaterLooks struct {
	// Looks counts those that are on record; Number is the newest one's, and Ended when it was
	// over.
	Looks  uint32
	Number uint32
	Ended  time.Time
	// Unseen is how many of the newest had no verdict, one after the other.
	Unseen uint32
	// Revoked is the look by which the release is verified no more, nil while it is, and
	// RevokedAt when that was stored. Nothing gives it back but another release.
	Revoked   *releasev1.LaterLook
	RevokedAt time.Time
}

// LookDue is which look at a release is due at a time, and since when; false where none is. A
// look that nobody took in its time is not taken later: the next one is. So there is one for
// each interval, however often a validator is started, and by a clock that was set back there
// is none.
func LookDue(s State, now time.Time) (number uint32, due time.Time, is bool) {
	p := s.Requested.GetReverification()
	every, during := p.GetEvery().AsDuration(), p.GetDuring().AsDuration()
	if s.Verified.IsZero() || !s.Recorded || s.Later.Revoked != nil || every <= 0 || now.Before(s.Verified.Add(every)) {
		return 0, time.Time{}, false
	}
	n := int64(now.Sub(s.Verified) / every)
	since := time.Duration(n) * every
	if n > MaxLaterLooks || since > during || n <= int64(s.Later.Number) {
		return 0, time.Time{}, false
	}
	return uint32(n), s.Verified.Add(since), true //nolint:gosec // Between 1 and MaxLaterLooks.
}

// LooksMissed reports whether nobody has looked at a release for two intervals, as far as what was
// seen would be on record by then: the look that was due was not told, and neither is the next one
// in its time. It ends when one is told, and two intervals after the last look that there could have
// been, when nobody can mend it any more (PD-6.1).
//
// Since is when the targets of the release came to be as they are: what became due before, while
// another release had one, is rightly not taken, and so is what became due before the record.
func LooksMissed(s State, since, now time.Time) bool {
	p := s.Requested.GetReverification()
	every, during := p.GetEvery().AsDuration(), p.GetDuring().AsDuration()
	if s.Verified.IsZero() || !s.Recorded || s.Later.Revoked != nil || every <= 0 {
		return false
	}
	next, last := int64(s.Later.Number)+1, min(int64(during/every), MaxLaterLooks)
	for _, free := range []time.Time{since, s.RecordedAt} {
		if after := free.Sub(s.Verified); after > 0 {
			next = max(next, int64((after+every-1)/every))
		}
	}
	from := s.Verified.Add(time.Duration(next+1)*every + LookLasts(s))
	return next <= last && !now.Before(from) && now.Before(s.Verified.Add(time.Duration(last+3)*every))
}

// LooksEnd is from when on nothing of a release is looked at, nor missed, whatever happens to it by
// then; the zero time where nothing is any more. It is false while that is not known.
func LooksEnd(s State) (end time.Time, known bool) {
	p := s.Requested.GetReverification()
	switch {
	case p == nil, s.Later.Revoked != nil, s.Recorded && s.Verified.IsZero():
		return time.Time{}, true
	case s.Recorded:
		return s.Verified.Add(p.GetDuring().AsDuration() + 3*p.GetEvery().AsDuration()), true
	}
	return time.Time{}, false
}

// LookLasts is how long a later look at a release lasts, at most half of the interval where the
// procedure document does not say it.
func LookLasts(s State) time.Duration {
	p := s.Requested.GetReverification()
	if p.GetLook() != nil {
		return p.GetLook().AsDuration()
	}
	return min(s.Request.GetValidation().GetBake().AsDuration(), p.GetEvery().AsDuration()/2)
}

// DecideLaterLook is what a later look at these targets comes to: one failure takes back that
// the release is verified, and what has no verdict leaves it so and is told. Look has its number,
// its times and where the samples are. Of the results those that are no pass are kept.
func DecideLaterLook(look *releasev1.LaterLook, v *releasev1.Verification) *releasev1.Event {
	look.Looked, look.Reason = uint32(len(v.GetResults())), shortened(v.GetReason(), maxLookReason) //nolint:gosec // A bake has few results.
	var failed, open []*releasev1.CheckResult
	for _, r := range v.GetResults() {
		switch r.GetVerdict() {
		case releasev1.CheckResult_VERDICT_PASS:
		case releasev1.CheckResult_VERDICT_FAIL:
			failed = append(failed, r)
		default:
			open = append(open, r)
		}
	}
	told := slices.Concat(failed, open)
	look.Results = told[:min(len(told), maxLookedAt)]
	look.More = uint32(len(told) - len(look.GetResults())) //nolint:gosec // Never negative.
	if len(failed) > 0 {
		return &releasev1.Event{Data: &releasev1.Event_VerificationRevoked{VerificationRevoked: &releasev1.VerificationRevoked{Look: look}}}
	}
	return &releasev1.Event{Data: &releasev1.Event_Reverified{Reverified: &releasev1.Reverified{
		Look: look, Inconclusive: len(open) > 0 || len(v.GetResults()) == 0,
	}}}
}

func shortened(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "")
}

// FailedLater are the checks that failed at the look by which a release is verified no more, each
// once, in order.
func FailedLater(look *releasev1.LaterLook) (all []string) {
	for _, r := range look.GetResults() {
		if r.GetVerdict() == releasev1.CheckResult_VERDICT_FAIL && !slices.Contains(all, r.GetCheck()) {
			all = append(all, r.GetCheck())
		}
	}
	slices.Sort(all)
	return all
}

// ofLook refuses a look that is not one of the release's, or that is on record.
func (s *State) ofLook(e Entry, l *releasev1.LaterLook) error {
	p := s.Requested.GetReverification()
	every := p.GetEvery().AsDuration()
	due := s.Verified.Add(time.Duration(l.GetNumber()) * every)
	switch {
	case s.Verified.IsZero() || !s.Recorded:
		return s.invalid(e, "the release was not verified, or is not over")
	case p == nil || l.GetNumber() < 1 || l.GetNumber() > MaxLaterLooks || due.After(s.Verified.Add(p.GetDuring().AsDuration())):
		return s.invalid(e, "it is not to be looked at then")
	case s.Later.Revoked != nil:
		return s.invalid(e, "it is verified no more already")
	case l.GetNumber() <= s.Later.Number:
		return s.invalid(e, fmt.Sprintf("look %d is on record, and nothing before it counts", s.Later.Number))
	case !l.GetDue().AsTime().Equal(due) || e.Stored.Before(due):
		return s.invalid(e, "it was not due yet")
	case len(l.GetTargets()) == 0 || slices.ContainsFunc(l.GetTargets(), func(t string) bool { return !slices.Contains(s.Touched, t) }):
		return s.invalid(e, "it is of targets that the release has not touched")
	case uint64(l.GetLooked()) < uint64(len(l.GetResults()))+uint64(l.GetMore()):
		return s.invalid(e, "it has more results than it looked at")
	}
	return nil
}

// noted takes a look into the state.
func (s *State) noted(l *releasev1.LaterLook) {
	s.Later.Looks++
	s.Later.Number, s.Later.Ended = l.GetNumber(), l.GetEnded().AsTime()
}

// applyVerificationRevoked calls people because what was verified fails its checks now. Nothing is
// rolled back by itself: what has changed since may be anything.
func (s *State) applyVerificationRevoked(e Entry, d *releasev1.VerificationRevoked) error {
	l := d.GetLook()
	if err := s.ofLook(e, l); err != nil {
		return err
	}
	if len(FailedLater(l)) == 0 {
		return s.invalid(e, "no check failed")
	}
	s.noted(l)
	s.Later.Unseen, s.Later.Revoked, s.Later.RevokedAt = 0, l, e.Stored
	s.owe(releasev1.Cause_CAUSE_VERIFICATION_REVOKED, e.Stored)
	return nil
}

// applyReverified notes a look at which nothing failed. That nobody could see anything is no
// failure, and people are told when it goes on.
func (s *State) applyReverified(e Entry, d *releasev1.Reverified) error {
	l := d.GetLook()
	if err := s.ofLook(e, l); err != nil {
		return err
	}
	switch passed := len(l.GetResults()) == 0 && l.GetMore() == 0 && l.GetLooked() > 0; {
	case len(FailedLater(l)) > 0:
		return s.invalid(e, "a check failed")
	case passed == d.GetInconclusive():
		return s.invalid(e, "it says another verdict than its results")
	}
	s.noted(l)
	if !d.GetInconclusive() {
		s.Later.Unseen = 0
		return nil
	}
	s.Later.Unseen++
	if s.Later.Unseen == s.Requested.GetReverification().GetUnseen() {
		s.owe(releasev1.Cause_CAUSE_REVERIFICATION_UNSEEN, e.Stored)
	}
	return nil
}

// owe calls people of a release that is over: it owes again that somebody takes that on.
func (s *State) owe(cause releasev1.Cause, at time.Time) {
	s.raise(cause, at)
	if s.Phase == PhaseClosed {
		s.enter(PhaseFollowUp, at)
	}
}

// NewLook is a look with that number at these targets.
func NewLook(number uint32, due time.Time, targets []string) *releasev1.LaterLook {
	return &releasev1.LaterLook{Number: number, Due: timestamppb.New(due), Targets: targets}
}
