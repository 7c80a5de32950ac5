package procedure

import (
	"slices"
	"strings"
	"time"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// What people know of a start that is not as they were told first. Of a hold it is what
// it waits for.
const (
	coming    = ""
	notComing = "not coming"
	late      = "late"

	waitingFor = "waiting: "
)

// waiting is what a hold waits for, whatever it says of how long.
func waiting(reasons []*releasev1.HoldReason) string {
	var all []string
	for _, r := range reasons {
		all = append(all, r.GetRule()+" "+r.GetSubject())
	}
	slices.Sort(all)
	return waitingFor + strings.Join(all, ", ")
}

// waits is what a hold waits for, each with until when, where that is known.
func waits(reasons []*releasev1.HoldReason) []string {
	var all []string
	for _, r := range reasons {
		wait := r.GetRule() + " " + r.GetSubject()
		if r.GetUntil() != nil {
			wait += " until " + r.GetUntil().AsTime().Format(time.RFC3339Nano)
		}
		all = append(all, wait)
	}
	return all
}

// followsTimes says that whoever was told of the start is told of its times as well. Those
// who were told before that was done are told what they were then.
func (s *State) followsTimes() bool {
	return slices.ContainsFunc(s.Told, func(t Told) bool { return t.Occasion == releasev1.Occasion_OCCASION_START && t.Timed })
}

// correctWait has those told again who know of other waits than these, or of these for
// another time: a freeze that grew, or a change record whose window was moved. Less than
// they know is no news, because what is over was known to end.
func (s *State) correctWait(reasons []*releasev1.HoldReason) {
	now := waits(reasons)
	if !s.followsTimes() {
		s.correct(waiting(reasons))
		return
	}
	news := slices.ContainsFunc(now, func(w string) bool { return !slices.Contains(s.KnownWaits, w) })
	if !news && strings.HasPrefix(s.Corrected, waitingFor) {
		return
	}
	s.KnownWaits = now
	slices.Sort(now)
	s.correct(waitingFor + strings.Join(now, ", "))
}

// correct has those told again who were told of a start that does not come as they were
// told; once for each thing that they did not know. A release that looks again and again
// whether a target is free is no news. When it has begun, other notices tell of it; and
// when it does not come, the one that is announced next is another start.
func (s *State) correct(known string) {
	i := slices.IndexFunc(s.Told, func(t Told) bool { return t.Occasion == releasev1.Occasion_OCCASION_START && t.Followed })
	if i < 0 || s.Started() || s.Corrected == known {
		return
	}
	s.Corrected = known
	s.Corrections++
	s.want(releasev1.Occasion_OCCASION_CORRECTION, s.Corrections)
	if known == notComing {
		s.Told, s.Corrected = slices.Delete(slices.Clone(s.Told), i, i+1), coming
	}
}

// takenOn tells those whom a call went to that somebody has taken it on.
func (s *State) takenOn(x Escalation) { s.endOfCall(x, 0) }

// endOfCall tells those whom a call went to what became of it. What is added to the number makes
// another notice of it. One of an earlier rung may have been told, and the newest be under way still:
// when the release is over, nobody else closes an alarm that they raise. In releases of before closing
// was demanded it has to be on record that the newest one was told.
func (s *State) endOfCall(x Escalation, more uint32) {
	number := uint32(x.Cause)*1000 + x.Rung //nolint:gosec // Causes are small and positive.
	of := func(n Notice) bool {
		return n.Occasion == releasev1.Occasion_OCCASION_ESCALATION &&
			(n.Number == number || s.Requested.GetClosingDemanded() && n.Number/1000 == number/1000)
	}
	if slices.ContainsFunc(s.Told, func(t Told) bool { return of(t.Notice) && t.Followed }) ||
		s.Requested.GetClosingDemanded() && s.Outcome != releasev1.Outcome_OUTCOME_UNSPECIFIED && slices.ContainsFunc(s.Wanted, of) {
		s.want(releasev1.Occasion_OCCASION_TAKEN_ON, number+more)
	}
}
