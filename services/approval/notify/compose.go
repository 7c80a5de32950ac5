package notify

import (
	"fmt"
	"strings"
	"time"

	"github.com/blackdice/shipwarden/internal/policy"
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
	case releasev1.Occasion_OCCASION_ESCALATION:
		m.escalation(x.entry.Event.GetEscalated(), rung(doc, x).GetGroup(), what)
	case releasev1.Occasion_OCCASION_EMERGENCY:
		m.Subject = "Emergency release: " + what
		m.Text = r.GetEmergency().GetReason() + " (incident " + r.GetEmergency().GetIncident() + ")\nBypassed: " + strings.Join(s.Bypassed, "; ")
		m.Fields["incident"] = r.GetEmergency().GetIncident()
	case releasev1.Occasion_OCCASION_UNSPECIFIED:
	}
	return m
}

// escalation says who is called, until when, and for what.
func (m *Message) escalation(d *releasev1.Escalated, group, what string) {
	cause := word(d.GetCause().String(), "CAUSE_")
	m.Subject = "Escalation: " + cause + ", " + what
	m.Text = d.GetSummary() + "\nWhoever takes this on says so: shipwarden acknowledge " + m.Release
	m.To = d.GetTo()
	m.Fields["cause"] = cause
	m.Fields["rung"] = fmt.Sprint(d.GetRung())
	m.Fields["group"] = group
	m.Fields["incident"] = d.GetIncident()
	m.Fields["acknowledge_by"] = stamp(d.GetAcknowledgeBy().AsTime())
}

// start says when it is going to start, as far as that is known when it is authorized:
// stakeholders hear of it then, and a freeze or the request itself may have it wait for
// days (PD-4.1).
func (m *Message) start(doc *policyv1.Procedure, x raised, what string) {
	r := x.state.Request
	m.Subject = "Release about to start: " + what
	m.Text = r.GetPlan().GetDescription()
	m.Fields["start_by"] = stamp(earlier(x.state.Requested.GetStartBy().AsTime(), x.state.Authorized.GetValidUntil().AsTime()))
	at, why := x.entry.Stored, []string(nil)
	if nb := r.GetNotBefore(); nb != nil && at.Before(nb.AsTime()) {
		at, why = nb.AsTime(), append(why, "the request says so")
	}
	// Of freezes without an end in sight the end is not known, which the deadline tells.
	v, _ := policy.NewIndex(doc).Freezes(x.state, at)
	for _, h := range v.Holds() {
		why = append(why, "freeze "+h.GetSubject()+", set by "+h.GetSetBy())
	}
	if len(why) == 0 {
		return
	}
	earliest := stamp(v.Until)
	m.Subject = "Release to start not before " + earliest + ": " + what
	m.Text += "\nNot before " + earliest + ": " + strings.Join(why, "; ")
	m.Fields["starts_not_before"] = earliest
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
