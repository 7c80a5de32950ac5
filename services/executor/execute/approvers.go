package execute

import (
	"context"
	"slices"
	"time"

	"github.com/blackdice/shipwarden/internal/reactor"
	"github.com/blackdice/shipwarden/procedure"
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
// same; who may send a change to production is judged when it goes (PD-A.2). Who was on call
// is judged as of when the approval was stored, by the rotas of the release's document and of
// that in effect, and not by what the approval says: a shift that is over since takes nothing
// back, and one that never was gives nothing (U2).
func (s shell) left(ctx context.Context, t reactor.Task) ([]*releasev1.CountedApproval, error) {
	documents, err := s.documents(ctx, t)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(slices.Clone(t.State.Authorized.GetApprovals()), func(c *releasev1.CountedApproval) bool {
		for _, x := range documents {
			if !slices.Contains(x.PeopleAt(c.GetGroup(), given(t.State, c.GetPerson())), t.State.StoodInFor(c.GetPerson())) {
				return false
			}
		}
		if len(documents) < 2 {
			return true // no other document came since
		}
		by := documents[1].Person(c.GetPerson())
		return by != nil && !by.GetInactive() && !by.GetMachine() && documents[1].Linked(t.State, c.GetPerson()) == ""
	}), nil
}

// given is when the approval of a person was stored.
func given(s procedure.State, person string) time.Time {
	for _, a := range s.Approvals {
		if a.Person == person {
			return a.Given
		}
	}
	return time.Time{}
}
