package notify

import (
	"fmt"
	"slices"
	"strings"

	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// meantAs is the occasion whose audience a notice has: a correction is for whom the start
// was for, that somebody took a call on, for whom the call was for, and that approvals are
// wanted no more, for whom it was that they are.
func meantAs(o releasev1.Occasion) releasev1.Occasion {
	switch o {
	case releasev1.Occasion_OCCASION_CORRECTION:
		return releasev1.Occasion_OCCASION_START
	case releasev1.Occasion_OCCASION_TAKEN_ON:
		return releasev1.Occasion_OCCASION_ESCALATION
	case releasev1.Occasion_OCCASION_APPROVAL_SETTLED:
		return releasev1.Occasion_OCCASION_APPROVAL_WANTED
	default:
		return o
	}
}

// follows returns the channels that were told of what a notice follows: of the newest
// start, of the calls for the same cause, and, where they keep alarms, of whatever has
// ended with the release.
func follows(x raised, h eventstore.History, keepsAlarms func(channel string) bool) []string {
	var out []string
	for _, n := range toldBefore(x, h) {
		switch x.notice.Occasion { //nolint:exhaustive // The others follow nothing.
		case releasev1.Occasion_OCCASION_CORRECTION:
			if n.GetOccasion() == releasev1.Occasion_OCCASION_START && n.GetDeferredBy() == 0 {
				out = channelsOf(n) // of the newest one alone
				for _, d := range n.GetDeferred() {
					out = append(out, d.GetChannel())
				}
			}
		case releasev1.Occasion_OCCASION_TAKEN_ON:
			if sameCause(n, x) {
				out = append(out, channelsOf(n)...)
			}
		case releasev1.Occasion_OCCASION_APPROVAL_SETTLED:
			if sameWait(n, x) {
				out = append(out, channelsOf(n)...)
			}
		case releasev1.Occasion_OCCASION_END:
			if raises(n.GetOccasion()) && !goesOn(n, x) {
				out = append(out, slices.DeleteFunc(channelsOf(n), func(c string) bool { return !keepsAlarms(c) })...)
			}
		}
	}
	return out
}

// settle says which alarms of a channel are taken on or settled by a notice, by the
// receipts under whose keys they were raised.
func (m *Message) settle(x raised, h eventstore.History, channel string) {
	for _, n := range toldBefore(x, h) {
		of := x.notice.Occasion == releasev1.Occasion_OCCASION_END && raises(n.GetOccasion()) && !goesOn(n, x) ||
			x.notice.Occasion == releasev1.Occasion_OCCASION_TAKEN_ON && sameCause(n, x) ||
			x.notice.Occasion == releasev1.Occasion_OCCASION_APPROVAL_SETTLED && sameWait(n, x)
		for _, r := range n.GetReceipts() {
			if of && r.GetChannel() == channel {
				m.Alarms = append(m.Alarms, Alarm{Key: r.GetKey(), Occasion: strings.ToLower(strings.TrimPrefix(n.GetOccasion().String(), "OCCASION_"))})
			}
		}
	}
	switch {
	case x.notice.Occasion == releasev1.Occasion_OCCASION_TAKEN_ON && (x.state.Outcome == releasev1.Outcome_OUTCOME_UNSPECIFIED || open(x, x.notice.Number)):
		m.Action = TakeOn
	case x.notice.Occasion == releasev1.Occasion_OCCASION_APPROVAL_SETTLED, x.notice.Occasion == releasev1.Occasion_OCCASION_TAKEN_ON, len(m.Alarms) > 0:
		m.Action = Settle // The wait, the release or the incident is over, so that nothing else would.
	}
}

// open reports whether the incident of the cause in a number is open: it outlasts that somebody has
// taken the call on, and the release, until a person closes it.
func open(x raised, number uint32) bool {
	return slices.Contains(procedure.Unclosed(x.state), releasev1.Cause(number/1000)) //nolint:gosec // The number was made from a cause.
}

// goesOn reports whether a notice was a call whose incident outlasts the release.
func goesOn(n *releasev1.Notified, x raised) bool {
	return n.GetOccasion() == releasev1.Occasion_OCCASION_ESCALATION && open(x, n.GetNumber())
}

// raises reports whether a notice of that occasion raised an alarm.
func raises(o releasev1.Occasion) bool {
	return o != releasev1.Occasion_OCCASION_TAKEN_ON && o != releasev1.Occasion_OCCASION_APPROVAL_SETTLED && o != releasev1.Occasion_OCCASION_END
}

// toldBefore is what was told before a notice was raised, in its order: what a notice says
// must not depend on when it is said. A call that was under way then is among it: it is told first,
// and its alarm has nobody else who closes it.
func toldBefore(x raised, h eventstore.History) []*releasev1.Notified {
	var out []*releasev1.Notified
	called := map[uint32]uint64{}
	for _, e := range h.Entries {
		if c := e.Event.GetEscalated(); c != nil {
			number := uint32(c.GetCause())*1000 + c.GetRung() //nolint:gosec // Causes are small and positive.
			if _, under := called[number]; !under {
				called[number] = e.Sequence
			}
		}
		n := e.Event.GetNotified()
		if n == nil {
			continue
		}
		raised := e.Sequence
		if at, under := called[n.GetNumber()]; under && n.GetOccasion() == releasev1.Occasion_OCCASION_ESCALATION {
			raised = at
			delete(called, n.GetNumber())
		}
		if raised < x.entry.Sequence {
			out = append(out, n)
		}
	}
	return out
}

func channelsOf(n *releasev1.Notified) []string {
	var out []string
	for _, r := range n.GetReceipts() {
		out = append(out, r.GetChannel())
	}
	return out
}

// sameCause reports whether a notice was a call for the cause that somebody took on.
func sameCause(n *releasev1.Notified, x raised) bool {
	return n.GetOccasion() == releasev1.Occasion_OCCASION_ESCALATION && n.GetNumber()/1000 == x.notice.Number/1000
}

// correct says what is no longer as people were told of a start, by the event that made
// it so.
func (m *Message) correct(x raised, what string) {
	s, by := x.state, x.entry.Event.GetActor().GetId()
	switch d := x.entry.Event.GetData().(type) {
	case *releasev1.Event_StartHeld:
		m.Subject = "Release waits before its start: " + what
		var why []string
		for _, h := range d.StartHeld.GetReasons() {
			one := strings.TrimSpace(h.GetRule()+" "+h.GetSubject()) + ": " + h.GetMessage()
			if h.GetUntil() != nil {
				one += " (until " + stamp(h.GetUntil().AsTime()) + ")"
			}
			why = append(why, one)
		}
		m.Text = "It was announced, and waits for this: " + strings.Join(why, "; ")
		if slices.ContainsFunc(d.StartHeld.GetReasons(), func(h *releasev1.HoldReason) bool { return h.GetRule() == procedure.HoldPaused }) {
			m.Text += "\nIt goes on when somebody resumes it"
			break
		}
		m.Text += "\nIt is looked at again at " + stamp(d.StartHeld.GetUntil().AsTime())
		m.Fields["looked_at_again"] = stamp(d.StartHeld.GetUntil().AsTime())
	case *releasev1.Event_ExecutionClaimed:
		m.Subject = "Release starts now: " + what
		m.Text = "It was late, or waited, and starts now."
	case *releasev1.Event_DeadlinePassed:
		m.Subject = "Release is late: " + what
		m.Text = "It was announced, and has not started yet. People are called for it."
	case *releasev1.Event_ApprovalWithdrawn:
		m.Subject = "Release does not start for now: " + what
		m.Text = fmt.Sprintf("It was announced, and %s took an approval back: %s\nIt is announced again when it is authorized again.", by, d.ApprovalWithdrawn.GetReason())
	default:
		m.Subject = "Release does not start: " + what
		m.Text = "It was announced, and ended before it started: " + word(s.Outcome.String(), "OUTCOME_") + "; " + s.EndReason
		m.Fields["outcome"] = word(s.Outcome.String(), "OUTCOME_")
	}
}

// takenOn says who has taken a call on, or closed the incident that it was for.
func (m *Message) takenOn(x raised, what string) {
	cause := word(releasev1.Cause(x.notice.Number/1000).String(), "CAUSE_") //nolint:gosec // The number was made from a cause.
	by := x.entry.Event.GetActor().GetId()
	if closed := x.entry.Event.GetIncidentClosed(); closed != nil {
		m.Subject = "Closed by " + by + ": " + cause + ", " + what
		m.Text = "The incident is over: " + closed.GetReason()
		m.Fields["cause"], m.Fields["closed_by"] = cause, by
		return
	}
	m.Subject = "Taken on by " + by + ": " + cause + ", " + what
	m.Text = "Nobody else is called for it."
	if comment := x.entry.Event.GetAcknowledged().GetComment(); comment != "" {
		m.Text += "\n" + by + " says: " + comment
	}
	m.Fields["cause"], m.Fields["taken_on_by"] = cause, by
}
