package policy

import (
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// reminder checks that people who are reminded of approvals have time before it, and hear
// of it.
func (c *checker) reminder() {
	const field = "deadlines.remind_before"
	d := c.document.GetDeadlines()
	if d.GetRemindBefore() == nil {
		return
	}
	if within := d.GetApproveWithin().AsDuration(); d.GetRemindBefore().AsDuration() >= within {
		c.report(field, "deadlines.reminder", "approvals are given within %s, and nobody is reminded before they may be: it must be shorter", within)
	}
	c.heard(field, releasev1.Occasion_OCCASION_REMINDER, "anybody", func(*policyv1.Channel) bool { return true })
}
