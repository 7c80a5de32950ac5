package notify

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/policy"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// maxNamed bounds how many channels are named as those that told a person.
const maxNamed = 3

// hearing is who hears of a notice: by which channels, and for whom it is meant.
type hearing struct {
	channels []*policyv1.Channel
	meant    []policy.Meant
	anyway   []*policyv1.Channel // those that are told of the occasion
}

// hear finds out who hears of a notice. Channels that an audience names are told besides
// those that are told of the occasion anyway; so are those that were told of what the
// notice follows.
func hear(index *policy.Index, x raised, history eventstore.History, keepsAlarms func(channel string) bool) hearing {
	anyway := audience(index.Document(), x)
	before := follows(x, history, keepsAlarms)
	for _, c := range index.Document().GetChannels() {
		if slices.Contains(before, c.GetName()) && !slices.Contains(anyway, c) {
			anyway = append(anyway, c)
		}
	}
	h := hearing{channels: slices.Clone(anyway), anyway: anyway, meant: append(slices.Concat(askedToApprove(index, x), askedToSignOff(index, x), wereAsked(x, history), whoseFreeze(index, x)), index.AudienceOf(meantAs(x.notice.Occasion), x.state, x.entry.Stored)...)}
	for _, c := range index.Document().GetChannels() {
		named := slices.ContainsFunc(h.meant, func(m policy.Meant) bool { return slices.Contains(m.Channels, c.GetName()) })
		if named && !slices.Contains(h.channels, c) {
			h.channels = append(h.channels, c)
		}
	}
	return h
}

// people returns the ids of those who are told by a channel, in alphabetical order.
func (h hearing) people(channel string) []string {
	anyway := slices.ContainsFunc(h.anyway, func(c *policyv1.Channel) bool { return c.GetName() == channel })
	var out []string
	for _, m := range h.meant {
		if slices.Contains(m.Channels, channel) || len(m.Channels) == 0 && anyway {
			out = append(out, m.People...)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// asked returns those of whom an acknowledgement is asked. A start alone waits for one,
// and no emergency does (PD-4.2).
func (h hearing) asked(x raised) []policy.Meant {
	if x.notice.Occasion != releasev1.Occasion_OCCASION_START || x.state.Emergency() {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(h.meant), func(m policy.Meant) bool { return !m.Asked || m.Audience.GetAcknowledge() == nil })
}

// parties is the audience as the event has it. The time that people have to acknowledge
// begins when they were told.
func (h hearing) parties(x raised, told time.Time) []*releasev1.Party {
	var out []*releasev1.Party
	for _, m := range h.meant {
		p := &releasev1.Party{Audience: m.Audience.GetName(), Reason: m.Reason, People: m.People}
		if ask := m.Audience.GetAcknowledge(); ask != nil && len(h.asked(x)) > 0 && m.Asked {
			p.AcknowledgeBy, p.Everybody = timestamppb.New(told.Add(ask.GetWithin().AsDuration())), ask.GetEverybody()
		}
		out = append(out, p)
	}
	return out
}

// recipients says what became of the notice for each person: the best that any of the
// channels says by which they are told.
func (h hearing) recipients(all []told) []*releasev1.Recipient {
	byPerson := map[string]*releasev1.Recipient{}
	for _, each := range withInstead(all) {
		for _, person := range h.people(each.meantFor()) {
			state := each.stateFor(person)
			r := byPerson[person]
			if r == nil || rank(state) > rank(r.GetState()) {
				r = &releasev1.Recipient{Person: person, State: state}
				byPerson[person] = r
			}
			if state == r.GetState() && len(r.GetChannels()) < maxNamed {
				r.Channels = append(r.Channels, each.receipt.GetChannel())
			}
		}
	}
	var out []*releasev1.Recipient
	for _, person := range slices.Sorted(maps.Keys(byPerson)) {
		out = append(out, byPerson[person])
	}
	return out
}

// withInstead is all that was told, with what stood in.
func withInstead(all []told) []told {
	var out []told
	for _, each := range all {
		out = append(out, each)
		if each.instead != nil {
			out = append(out, *each.instead)
		}
	}
	return out
}

// meantFor is the channel whose people were told.
func (t told) meantFor() string {
	return cmp.Or(t.receipt.GetInsteadOf(), t.receipt.GetChannel())
}

// stateFor says what a channel's receipt means for one person. A channel that reaches
// people one by one says whom it reached; others are heard by everybody who listens.
func (t told) stateFor(person string) releasev1.Recipient_State {
	switch {
	case t.waits:
		return releasev1.Recipient_STATE_DEFERRED
	case t.receipt.GetDelivered() && (!t.personal || slices.Contains(t.receipt.GetReached(), person)):
		return releasev1.Recipient_STATE_DELIVERED
	case !t.receipt.GetDelivered() && !t.again:
		return releasev1.Recipient_STATE_SENT
	}
	return releasev1.Recipient_STATE_FAILED
}

// rank puts states in order: what may still arrive is better than what did not.
func rank(s releasev1.Recipient_State) int {
	if s == releasev1.Recipient_STATE_DEFERRED {
		return int(releasev1.Recipient_STATE_FAILED)*2 + 1
	}
	return int(s) * 2
}

// ask says in a notice of a start what is asked of whom, in words that do not depend on
// when it is said.
func (m *Message) ask(asked []policy.Meant) {
	if len(asked) == 0 {
		return
	}
	var who []string
	for _, each := range asked {
		one := "one of "
		if each.Audience.GetAcknowledge().GetEverybody() {
			one = "each of "
		}
		who = append(who, one+strings.Join(each.People, ", ")+" ("+each.Reason+") within "+each.Audience.GetAcknowledge().GetWithin().AsDuration().String())
	}
	m.Text += "\nIt waits until it is said that this is known: shipwarden acknowledge-notice " + m.Release
	m.Fields["acknowledge"] = strings.Join(who, "; ")
}
