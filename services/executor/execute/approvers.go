package execute

import (
	"context"
	"slices"

	"github.com/blackdice/shipwarden/internal/reactor"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// ruleApprover names an approval of somebody who could not give it any more.
const ruleApprover = "approval.person"

// ruleWaiver names a gate for which nobody answers any more.
const ruleWaiver = "waiver.expired"

// ruleUnbound names a waiver that was given for nobody knows which environment.
const ruleUnbound = "waiver.unbound"

// ruleOver names the time to start, where a person orders it again after that.
const ruleOver = "approval.expired"

// left returns the approvals that were counted and would not be given today: of people
// who have left, who are not in the group that they approved for, or who turned out to be
// somebody who has a part in the change, or approved it as well, by the document in effect
// now. Groups are frozen into what people decide, so that everybody folds the
// same; who may send a change to production is judged when it goes (PD-A.2).
func (s shell) left(ctx context.Context, t reactor.Task) ([]*releasev1.CountedApproval, error) {
	documents, err := s.documents(ctx, t)
	if err != nil || len(documents) < 2 {
		return nil, err // none came since
	}
	now := documents[1]
	return slices.DeleteFunc(slices.Clone(t.State.Authorized.GetApprovals()), func(c *releasev1.CountedApproval) bool {
		by := now.Person(c.GetPerson())
		return by != nil && !by.GetInactive() && !by.GetMachine() &&
			slices.Contains(now.People(c.GetGroup()), t.State.StoodInFor(c.GetPerson())) && now.Linked(t.State, c.GetPerson()) == ""
	}), nil
}
