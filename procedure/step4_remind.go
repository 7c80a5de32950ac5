package procedure

import (
	"slices"
	"time"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// remindOfApprovals has those told whose approvals are missing, once: also where one is
// taken back later and the release waits for approvals again. When that is due is in the
// event that opened the approvals.
func (s *State) remindOfApprovals() {
	s.RemindAt = time.Time{}
	s.want(releasev1.Occasion_OCCASION_REMINDER, 1)
}

// forgetReminder takes it off the list when nobody waits for approvals any more.
func (s *State) forgetReminder() {
	s.Wanted = slices.DeleteFunc(slices.Clone(s.Wanted), func(n Notice) bool { return n.Occasion == releasev1.Occasion_OCCASION_REMINDER })
}
