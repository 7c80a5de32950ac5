package notify

import (
	"github.com/blackdice/shipwarden/internal/policy"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// setters is the name of the audience of an exception, which no document defines.
const setters = "freeze-setters"

// whoseFreeze returns whom an exception of a freeze is for, besides the audiences of the
// document: whoever set the freeze, or the operators, where that is who made the exception
// or nobody who decides anything. Somebody else is to know in any case.
func whoseFreeze(index *policy.Index, x raised) []policy.Meant {
	d := x.entry.Event.GetFreezeOverridden()
	if x.notice.Occasion != releasev1.Occasion_OCCASION_FREEZE_OVERRIDDEN || d == nil {
		return nil
	}
	m := policy.Meant{Audience: &policyv1.Audience{Name: setters}, Reason: "set the freeze " + d.GetFreeze(), People: []string{d.GetSetBy()}}
	if _, decides := index.Decides(d.GetSetBy()); !decides || d.GetSetBy() == x.entry.Event.GetActor().GetId() {
		group := index.Document().GetOperatorsGroup()
		m.Reason, m.People = "operate, for "+d.GetSetBy()+" set the freeze "+d.GetFreeze(), index.PeopleAt(group, x.entry.Stored)
		m.People = m.People[:min(len(m.People), maxAsked)]
	}
	return []policy.Meant{m}
}

// overridden says who made an exception of which freeze, and why.
func (m *Message) overridden(x raised, what string) {
	d, by := x.entry.Event.GetFreezeOverridden(), x.entry.Event.GetActor().GetId()
	stop := "withdraw"
	if x.state.Started() {
		stop = "abort"
	}
	m.Subject = "Exception of the freeze " + d.GetFreeze() + " by " + by + ": " + what
	m.Text = by + " made an exception of the freeze " + d.GetFreeze() + ", which " + d.GetSetBy() + " set, for this release (" + d.GetTicket() + "): " + d.GetReason() +
		"\nWhoever does not agree talks to " + by + ", or has it stopped: shipwarden " + stop + " " + m.Release
	m.Fields["freeze"], m.Fields["set_by"], m.Fields["overridden_by"], m.Fields["ticket"] = d.GetFreeze(), d.GetSetBy(), by, d.GetTicket()
}
