package procedure

import (
	"slices"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// wantApprovals has those told whose approvals the release waits for from now on: once for
// each wait, whoever approves or takes an approval back meanwhile. One that begins when an
// approval is taken back after it was authorized is another wait, and so would be one for
// another change digest (PD-4.1). Whether anybody is told at all is in the event that opened
// the approvals.
func (s *State) wantApprovals() {
	if !s.Announced {
		return
	}
	s.ApprovalWaits++
	s.want(releasev1.Occasion_OCCASION_APPROVAL_WANTED, s.ApprovalWaits)
}

// settleApprovals ends the wait: nobody is told of it any more, and whoever was is told that
// it is over, so that nobody looks for what there is nothing to do about, and no alarm stays
// open. How it ended is in the event that ends it. That nothing is on record of an announcement
// does not say that none was sent: the wait may have ended between the two. So its end is told
// then, too, and who is to hear of it is found out by whoever tells (PD-4.1).
func (s *State) settleApprovals() {
	wanted := Notice{Occasion: releasev1.Occasion_OCCASION_APPROVAL_WANTED, Number: s.ApprovalWaits}
	unrecorded := s.ApprovalsFollowed && slices.Contains(s.Wanted, wanted)
	s.Wanted = slices.DeleteFunc(slices.Clone(s.Wanted), func(n Notice) bool { return n == wanted })
	i := slices.IndexFunc(s.Told, func(t Told) bool { return t.Notice == wanted && t.Followed })
	if i < 0 && !unrecorded {
		return
	}
	if i >= 0 {
		s.Told = slices.Delete(slices.Clone(s.Told), i, i+1)
	}
	s.want(releasev1.Occasion_OCCASION_APPROVAL_SETTLED, s.ApprovalWaits)
}
