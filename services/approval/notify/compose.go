package notify

import (
	"fmt"
	"strings"
	"time"

	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/procedure"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// compose says in words what happened. Everything in it comes from the record, as it
// was when the notice was raised: whoever is told twice under one key is told the same.
func compose(doc *policyv1.Procedure, x raised) Message {
	s, r := x.state, x.state.Request
	what := r.GetService() + " " + r.GetVersion() + " to " + r.GetEnvironment()
	m := Message{
		Key: x.key(), Release: s.Release, Occasion: x.occasion(), Time: x.entry.Stored,
		Fields: map[string]string{
			"service": r.GetService(), "version": r.GetVersion(), "environment": r.GetEnvironment(), "owner": r.GetOwner(),
			"change_record": r.GetChangeRecord().GetSystem() + " " + r.GetChangeRecord().GetId(),
			"phase":         s.Phase.String(),
		},
	}
	switch x.notice.Occasion {
	case releasev1.Occasion_OCCASION_START:
		m.start(doc, x, what)
	case releasev1.Occasion_OCCASION_END:
		outcome := word(s.Outcome.String(), "OUTCOME_")
		m.Subject = "Release " + outcome + ": " + what
		m.Text = s.EndReason
		m.Fields["outcome"] = outcome
	case releasev1.Occasion_OCCASION_ROLLBACK:
		m.Subject = "Rolling back: " + what
		m.Text = s.EndReason
		if n := len(s.Rollbacks); n > 0 {
			m.Fields["rollback"] = procedure.RollbackID(s.Release, s.Rollbacks[n-1].Number)
		}
	case releasev1.Occasion_OCCASION_ESCALATION:
		m.escalation(x.entry.Event.GetEscalated(), rung(doc, x).GetGroup(), what)
	case releasev1.Occasion_OCCASION_EMERGENCY:
		if refused := x.entry.Event.GetAuthorizationRefused(); refused != nil {
			m.attempt(x, refused, what)
			break
		}
		m.Subject = "Emergency release: " + what
		m.Text = r.GetEmergency().GetReason() + " (incident " + r.GetEmergency().GetIncident() + ")\nBypassed: " + strings.Join(s.Bypassed, "; ")
		m.Fields["incident"] = r.GetEmergency().GetIncident()
	case releasev1.Occasion_OCCASION_CORRECTION:
		m.correct(x, what)
	case releasev1.Occasion_OCCASION_TAKEN_ON:
		m.takenOn(x, what)
	case releasev1.Occasion_OCCASION_REMINDER:
		m.remind(x, what)
	case releasev1.Occasion_OCCASION_FREEZE_OVERRIDDEN:
		m.overridden(x, what)
	case releasev1.Occasion_OCCASION_APPROVAL_WANTED:
		m.wanted(x, what)
	case releasev1.Occasion_OCCASION_APPROVAL_SETTLED:
		m.unwanted(x, what)
	case releasev1.Occasion_OCCASION_SIGN_OFF_WANTED:
		m.signOff(x, what)
	case releasev1.Occasion_OCCASION_UNSPECIFIED:
	}
	return m
}

// attempt says who tried to authorize an emergency and may not.
func (m *Message) attempt(x raised, d *releasev1.AuthorizationRefused, what string) {
	by := x.entry.Event.GetActor().GetId()
	m.Subject = "Emergency not authorized: " + by + " may not, " + what
	m.Text = by + " tried to authorize it: " + d.GetReason() + "\nIt still waits for somebody who may."
	m.Fields["incident"], m.Fields["tried_by"] = x.state.Request.GetEmergency().GetIncident(), by
}

// escalation says who is called, until when, and for what.
func (m *Message) escalation(d *releasev1.Escalated, group, what string) {
	cause := word(d.GetCause().String(), "CAUSE_")
	m.Subject = "Escalation: " + cause + ", " + what
	m.Text = d.GetSummary() + "\nWhoever takes this on says so, and why: shipwarden acknowledge " + m.Release + " --comment '…'"
	m.To = d.GetTo()
	m.Fields["cause"] = cause
	m.Fields["rung"] = fmt.Sprint(d.GetRung())
	m.Fields["group"] = group
	m.Fields["incident"] = d.GetIncident()
	m.Fields["acknowledge_by"] = stamp(d.GetAcknowledgeBy().AsTime())
	m.Until = d.GetAcknowledgeBy().AsTime()
}

// start says when it is going to start, as far as that is known when it is authorized:
// stakeholders hear of it then, and a freeze or the request itself may have it wait for
// days (PD-4.1).
func (m *Message) start(doc *policyv1.Procedure, x raised, what string) {
	r := x.state.Request
	m.Subject = "Release about to start: " + what
	m.Text = r.GetPlan().GetDescription()
	m.Fields["start_by"] = stamp(earlier(x.state.Requested.GetStartBy().AsTime(), x.state.Authorized.GetValidUntil().AsTime()))
	until, waits := startsNotBefore(doc, x)
	if len(waits) == 0 {
		return
	}
	var why []string
	for _, h := range waits {
		if h.GetRule() == notBefore {
			why = append(why, "the request says so")
			continue
		}
		why = append(why, "freeze "+h.GetSubject()+", set by "+h.GetSetBy())
	}
	earliest := stamp(until)
	m.Subject = "Release to start not before " + earliest + ": " + what
	m.Text += "\nNot before " + earliest + ": " + strings.Join(why, "; ")
	m.Fields["starts_not_before"] = earliest
}

// notBefore is the rule of the hold of a request that is not to start yet.
const notBefore = "not_before"

// startsNotBefore is what a start is known to wait for when it is announced, and until when.
func startsNotBefore(doc *policyv1.Procedure, x raised) (time.Time, []*releasev1.HoldReason) {
	r := x.state.Request
	at, waits := x.entry.Stored, []*releasev1.HoldReason(nil)
	if nb := r.GetNotBefore(); nb != nil && at.Before(nb.AsTime()) {
		at = nb.AsTime()
		waits = append(waits, &releasev1.HoldReason{Rule: notBefore, Message: "it is not to start earlier", Until: nb, SetBy: r.GetRequester()})
	}
	// Of freezes without an end in sight the end is not known, which the deadline tells.
	v, _ := policy.NewIndex(doc).Freezes(x.state, at)
	waits = append(waits, v.Holds()...)
	return v.Until, waits
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func word(enum, prefix string) string {
	return strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(enum, prefix)), "_", " ")
}
