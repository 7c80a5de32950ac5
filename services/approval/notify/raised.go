package notify

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/blackdice/shipwarden/internal/reactor"
	"github.com/blackdice/shipwarden/procedure"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// errNotRaised says that no event of the history is what a notice is about.
var errNotRaised = errors.New("no event of the release raises the notice")

// raised is a notice with what raised it.
type raised struct {
	notice procedure.Notice
	// entry is the event that raised it, and state the release after that event.
	entry procedure.Entry
	state procedure.State
	// times counts how often it was raised. A start is announced anew where an
	// approval was taken back and given again.
	times int
}

// raisedBy finds the event that raised a notice. The notice may be told long after, and
// again after a crash, when the release has gone on: what it says must not depend on
// when it is said.
func raisedBy(t reactor.Task, notice procedure.Notice) (raised, error) {
	found := raised{notice: notice}
	s := procedure.State{Release: t.State.Release}
	for _, e := range t.History.Entries {
		next, err := procedure.Evolve(s, e)
		if err != nil {
			continue // It does not count.
		}
		if slices.Contains(next.Wanted, notice) && !slices.Contains(s.Wanted, notice) {
			found.entry, found.state = e, next
			found.times++
		}
		s = next
	}
	if found.times == 0 {
		return found, fmt.Errorf("release %s: %w: %s %d", t.State.Release, errNotRaised, notice.Occasion, notice.Number)
	}
	return found, nil
}

// key is that of the notice, another one each time that it is raised: what was told
// of a start that did not come says nothing of the one that does.
func (x raised) key() string {
	key := fmt.Sprintf("%s/%s/%d", x.state.Release, x.occasion(), x.notice.Number)
	if x.times > 1 {
		key += fmt.Sprintf("-%d", x.times)
	}
	return key
}

func (x raised) occasion() string {
	return strings.ToLower(strings.TrimPrefix(x.notice.Occasion.String(), "OCCASION_"))
}

// rung is whom an escalation calls; after the last rung it is that one, again and again.
func rung(doc *policyv1.Procedure, x raised) *policyv1.Rung {
	rungs := doc.GetEscalation().GetRungs()
	number := int(x.entry.Event.GetEscalated().GetRung())
	return rungs[max(min(number, len(rungs)), 1)-1]
}

// audience is the channels that are told: those of the occasion and of what the release
// touches, and for an escalation those that serve the group that is called.
func audience(doc *policyv1.Procedure, x raised) []*policyv1.Channel {
	var out []*policyv1.Channel
	r := x.state.Request
	for _, c := range doc.GetChannels() {
		if slices.Contains(c.GetOccasions(), x.notice.Occasion) && within(c.GetEnvironments(), r.GetEnvironment()) &&
			within(c.GetServices(), r.GetService()) &&
			(x.notice.Occasion != releasev1.Occasion_OCCASION_ESCALATION || within(c.GetGroups(), rung(doc, x).GetGroup())) {
			out = append(out, c)
		}
	}
	return out
}

// within reports whether a list that means everything where it is empty holds a name.
func within(list []string, name string) bool { return len(list) == 0 || slices.Contains(list, name) }
