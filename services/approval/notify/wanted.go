package notify

import (
	"fmt"
	"strings"

	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/procedure"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// wanted says whose approvals are wanted, of exactly what, until when, and how it is looked
// at. What is to be approved is named by its digest, and beside it stand the words of whoever
// asks: whoever approves looks at it where it can be checked, and not at a message that
// anybody may have written.
func (m *Message) wanted(x raised, what string) {
	s, r := x.state, x.state.Request
	until := earlier(s.ApproveBy, s.Requested.GetStartBy().AsTime())
	missing := whoseApprovals(x)
	m.Subject = "Approval wanted: " + what
	if s.Emergency() {
		m.Subject = "Emergency to be authorized: " + what
		m.Text = r.GetEmergency().GetReason() + " (incident " + r.GetEmergency().GetIncident() + ")\n"
		m.Fields["incident"] = r.GetEmergency().GetIncident()
	}
	m.Text += r.GetPlan().GetDescription() + "\nTo " + strings.Join(procedure.Targets(r), ", ") + ", asked for by " + r.GetRequester() +
		"\nMissing: " + missing + "\nIt expires at " + stamp(until) + " without them." +
		"\nLook at it, and approve exactly that: shipwarden approve " + m.Release
	m.Fields["change_digest"], m.Fields["missing"], m.Fields["expires"] = s.ChangeDigest, missing, stamp(until)
	m.Until = until
}

// unwanted says how the wait for approvals ended, to those who were told of it.
func (m *Message) unwanted(x raised, what string) {
	s, by := x.state, x.entry.Event.GetActor().GetId()
	m.Fields["change_digest"] = s.ChangeDigest
	m.Subject, m.Text = "Approval not wanted any more: "+what, "There is nothing to approve: "
	if d := x.entry.Event.GetAuthorized(); d != nil {
		var who []string
		for _, c := range d.GetApprovals() {
			who = append(who, c.GetPerson()+" for "+c.GetGroup())
		}
		m.Text += "it is authorized, by " + strings.Join(who, ", ")
		return
	}
	m.Text += word(s.Outcome.String(), "OUTCOME_")
	if by != "" && x.entry.Event.GetActor().GetKind() == releasev1.Actor_KIND_HUMAN {
		m.Text += " by " + by
	}
	m.Text += "; " + s.EndReason
	m.Fields["outcome"] = word(s.Outcome.String(), "OUTCOME_")
}

// whoseApprovals names how many approvals of which groups were missing.
func whoseApprovals(x raised) string {
	_, missing := procedure.Count(x.state, x.entry.Stored)
	var out []string
	for _, q := range missing {
		one := fmt.Sprintf("%d of %s", q.GetCount(), q.GetGroup())
		if q.GetSigned() {
			one += ", signed"
		}
		out = append(out, one)
	}
	return strings.Join(out, ", ")
}

// wereAsked returns whom it is for that a wait is over: the people who were told that their
// approval is wanted, whoever is in their groups now.
func wereAsked(x raised, h eventstore.History) []policy.Meant {
	if x.notice.Occasion != releasev1.Occasion_OCCASION_APPROVAL_SETTLED {
		return nil
	}
	var out []policy.Meant
	for _, n := range toldBefore(x, h) {
		if !sameWait(n, x) {
			continue
		}
		for _, p := range n.GetAudience() {
			if p.GetAudience() == approvers {
				out = append(out, policy.Meant{Audience: &policyv1.Audience{Name: approvers}, Reason: p.GetReason(), People: p.GetPeople()})
			}
		}
	}
	return out
}

// sameWait reports whether a notice said that approvals are wanted in the wait that is over.
func sameWait(n *releasev1.Notified, x raised) bool {
	return n.GetOccasion() == releasev1.Occasion_OCCASION_APPROVAL_WANTED && n.GetNumber() == x.notice.Number
}
