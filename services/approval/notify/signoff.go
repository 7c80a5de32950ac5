package notify

import (
	"fmt"
	"strings"

	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/procedure"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// signers is the name of the audience of those who may answer a check, which no document defines.
const signers = "signers"

// askedToSignOff returns whom it is for that a verification waits for answers, besides the audiences of
// the document: those of each check's groups who may give it.
func askedToSignOff(index *policy.Index, x raised) []policy.Meant {
	if x.notice.Occasion != releasev1.Occasion_OCCASION_SIGN_OFF_WANTED {
		return nil
	}
	var out []policy.Meant
	left := maxAsked
	for _, o := range procedure.Unanswered(x.state) {
		for _, group := range o.Groups {
			m := policy.Meant{Audience: &policyv1.Audience{Name: signers}, Reason: fmt.Sprintf("%s may sign off %s", group, o.Check)}
			for _, person := range index.PeopleAt(group, x.entry.Stored) {
				actor := &releasev1.Actor{Id: person, Kind: releasev1.Actor_KIND_HUMAN, Groups: index.GroupsAt(person, x.entry.Stored)}
				if left > 0 && procedure.MaySignOff(x.state, actor, o.Check, x.entry.Stored) == "" {
					m.People = append(m.People, person)
					left--
				}
			}
			out = append(out, m)
		}
	}
	return out
}

// signOff says what is asked, of whom, until when.
func (m *Message) signOff(x raised, what string) {
	m.Subject = "To be signed off: " + what
	var checks []string
	for _, o := range procedure.Unanswered(x.state) {
		m.Text += fmt.Sprintf("%s: %s\nWhoever is in %s looks, and answers until %s: shipwarden sign-off %s %s --pass --comment '…', or --fail\n",
			o.Check, o.Question, strings.Join(o.Groups, " or "), stamp(o.Until), m.Release, o.Check)
		checks = append(checks, o.Check)
		if m.Until.IsZero() || o.Until.Before(m.Until) {
			m.Until = o.Until
		}
	}
	m.Text += "Without an answer there is no verdict."
	m.Fields["checks"], m.Fields["answer_by"] = strings.Join(checks, ", "), stamp(m.Until)
}
