package notify

import (
	"fmt"
	"strings"

	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/procedure"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// approvers is the name of the audience of those whose approvals are wanted, or missing when
// people are reminded, which no document defines; maxAsked bounds how many people it names,
// since one event holds them.
const (
	approvers = "approvers"
	maxAsked  = 100
)

// askedToApprove returns whom it is for that approvals are wanted, and a reminder, besides the audiences of the document: of each group
// whose approvals are missing, those who may still give one.
func askedToApprove(index *policy.Index, x raised) []policy.Meant {
	if o := x.notice.Occasion; o != releasev1.Occasion_OCCASION_REMINDER && o != releasev1.Occasion_OCCASION_APPROVAL_WANTED {
		return nil
	}
	var out []policy.Meant
	left := maxAsked
	_, missing := procedure.Count(x.state, x.entry.Stored)
	for _, q := range missing {
		m := policy.Meant{Audience: &policyv1.Audience{Name: approvers}, Reason: fmt.Sprintf("%d of %s missing", q.GetCount(), q.GetGroup())}
		for _, person := range index.PeopleAt(q.GetGroup(), x.entry.Stored) {
			actor := &releasev1.Actor{Id: person, Kind: releasev1.Actor_KIND_HUMAN, Groups: index.GroupsAt(person, x.entry.Stored)}
			if left > 0 && procedure.MayApprove(x.state, actor, x.state.ChangeDigest, x.entry.Stored) == nil {
				m.People = append(m.People, person)
				left--
			}
		}
		out = append(out, m)
	}
	return out
}

// remind says whose approvals are missing, and until when they count.
func (m *Message) remind(x raised, what string) {
	until := earlier(x.state.ApproveBy, x.state.Requested.GetStartBy().AsTime())
	var missing []string
	_, all := procedure.Count(x.state, x.entry.Stored)
	for _, q := range all {
		missing = append(missing, fmt.Sprintf("%d of %s", q.GetCount(), q.GetGroup()))
	}
	m.Subject = "Approvals are missing: " + what
	m.Text = "It expires at " + stamp(until) + " without them: " + strings.Join(missing, ", ") + "\nWhoever approves it says so: shipwarden approve " + m.Release
	m.Fields["missing"], m.Fields["expires"] = strings.Join(missing, ", "), stamp(until)
	m.Until = until
}
