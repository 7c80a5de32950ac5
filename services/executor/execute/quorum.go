package execute

import (
	"context"
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/reactor"
	"github.com/blackdice/shipwarden/procedure"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// latest is how long before its storing step 3 can have weighed a release, as package
// procedure bounds how late an event is stored.
const latest = 10 * time.Minute

// needed are the approvals that a release needs by its own procedure document, and what else
// speaks against its start by it: its risk is weighed again, by what was on record when step 3 cleared it, and the emergencies before it
// are counted again (PD-A.2, PD-3.4, N-04). Who could write whatever the approval service
// writes could otherwise leave out of the quorum what makes the release dangerous. What is
// counted is never more than step 3 counted, so that nothing that was cleared rightly is
// refused.
func (s shell) needed(ctx context.Context, t reactor.Task, document *policyv1.Procedure) (rules []*releasev1.QuorumRule, refused []*releasev1.Finding, err error) {
	quota, used, err := s.beyond(ctx, t, document)
	if err != nil {
		return nil, nil, err
	}
	if quota != nil && len(quota.GetOver()) == 0 {
		refused = append(refused, &releasev1.Finding{
			Rule: ruleQuota, Severity: releasev1.Finding_SEVERITY_BLOCKING, Subject: t.State.Request.GetService(),
			Message: fmt.Sprintf("the procedure document allows %d emergencies of %s within %s, and %d came before it: release it as planned",
				quota.GetCount(), t.State.Request.GetService(), quota.GetPeriod().AsDuration(), used),
		})
	}
	before, chosen, at := cleared(t)
	return policy.Needed(document, before, at, quota != nil), append(refused, unchosen(document, before, chosen, at)...), nil
}

// unchosen names what the procedure document demands of the plan and what people approved has
// not, and a choice that is not the one that it makes: neither is left to whoever writes what
// the approval service writes (PD-3.4).
func unchosen(document *policyv1.Procedure, before procedure.State, chosen *releasev1.Chosen, at time.Time) []*releasev1.Finding {
	right, found := policy.Choose(document, before, at)
	found = slices.DeleteFunc(found, func(f *releasev1.Finding) bool { return f.GetSeverity() != releasev1.Finding_SEVERITY_BLOCKING })
	if len(found) == 0 && !proto.Equal(right, chosen) {
		found = append(found, &releasev1.Finding{
			Rule: ruleChosen, Severity: releasev1.Finding_SEVERITY_BLOCKING, Subject: before.Request.GetService(),
			Message: fmt.Sprintf("the procedure document chooses %s, and what people approved has %s: request it again", procedure.ChosenWords(right), procedure.ChosenWords(chosen)),
		})
	}
	return found
}

// cleared is the release as step 3 found it when it fixed what people approved, what it chose,
// and the time by which it was weighed. That is what the event says, as far as its time of storing bears
// it out: a week more or less may make another level of risk.
func cleared(t reactor.Task) (before procedure.State, chosen *releasev1.Chosen, at time.Time) {
	before, at = t.State, t.Now
	state := procedure.State{Release: t.State.Release}
	for _, e := range t.History.Entries {
		next, err := procedure.Evolve(state, e)
		if err != nil {
			continue
		}
		if e.Event.GetRiskCleared() != nil {
			before, chosen, at = state, next.Chosen, e.Event.GetTime().AsTime()
			if d := e.Event.GetDecided(); d != nil {
				at = d.AsTime()
			}
			if early := e.Stored.Add(-latest); at.Before(early) {
				at = early
			} else if late := e.Stored.Add(margin); at.After(late) {
				at = late
			}
		}
		state = next
	}
	return before, chosen, at
}

// sums are how many approvals of a group rules ask for, and how many of them signed. The
// rules of an emergency may name a group twice.
type sums map[string]struct{ count, signed uint32 }

func sumsOf(rules []*releasev1.QuorumRule) sums {
	out := sums{}
	for _, r := range rules {
		n := out[r.GetGroup()]
		n.count += r.GetCount()
		if r.GetSigned() {
			n.signed += r.GetCount()
		}
		out[r.GetGroup()] = n
	}
	return out
}

// short names the groups of which fewer approvals were asked for than are needed, or fewer
// signed ones.
func short(quorum, needed []*releasev1.QuorumRule) []*releasev1.Finding {
	asked, all := sumsOf(quorum), sumsOf(needed)
	var out []*releasev1.Finding
	var said []string
	for _, r := range needed {
		group := r.GetGroup()
		n, a := all[group], asked[group]
		if group == "" || slices.Contains(said, group) || a.count >= n.count && a.signed >= n.signed {
			continue
		}
		said = append(said, group)
		signed := ""
		switch {
		case n.signed == n.count:
			signed = ", signed"
		case n.signed > 0:
			signed = fmt.Sprintf(", %d of them signed", n.signed)
		}
		out = append(out, &releasev1.Finding{
			Rule: ruleQuorum, Severity: releasev1.Finding_SEVERITY_BLOCKING, Subject: group,
			Message: fmt.Sprintf("the procedure document demands %d approval(s) by %s%s, and fewer were asked for", n.count, group, signed),
		})
	}
	return out
}

// spare is how many of the counted approvals of each group need not be signed.
func spare(counted []*releasev1.CountedApproval, rules ...[]*releasev1.QuorumRule) map[string]int {
	out := map[string]int{}
	for _, c := range counted {
		out[c.GetGroup()]++
	}
	for group, n := range out {
		most := 0
		for _, r := range rules {
			most = max(most, int(sumsOf(r)[group].signed))
		}
		out[group] = n - most
	}
	return out
}
