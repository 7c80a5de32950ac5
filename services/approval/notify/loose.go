package notify

import (
	"context"
	"fmt"
	"slices"

	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/reactor"
	"github.com/blackdice/shipwarden/procedure"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// A notice may be sent and never get on record: what it tells of was over before it was
// stored, and then nobody is to be told any more. Whoever heard it believes it, and an alarm
// that it raised has nobody who closes it. The ledger knows: it was begun there before it was
// sent. So whoever tells that a wait, or the release, is over looks there for what was begun
// and is not on record, and takes up what was not, so that nobody sends it from then on: a
// process that was held up finds that it is settled, and sends nothing after the end. A settle
// of what was perhaps never raised does no harm, for receivers know notices by their keys.

// What the ledger says of a notice that was taken up.
const (
	neverSent = "it was over before anybody was told"
	maybeSent = "it was over before it was on record, and may have arrived"
)

// loose are channels with the notices that they may have been told and of which nothing is on
// record.
type loose map[string][]Alarm

// loose finds what a notice that something is over has to settle besides what is on record.
func (s shell) loose(ctx context.Context, index *policy.Index, t reactor.Task, x raised) (loose, error) {
	found := loose{}
	for _, d := range dropped(t, x) {
		wait := x.notice.Occasion == releasev1.Occasion_OCCASION_APPROVAL_SETTLED &&
			d.notice == procedure.Notice{Occasion: releasev1.Occasion_OCCASION_APPROVAL_WANTED, Number: x.notice.Number}
		end := x.notice.Occasion == releasev1.Occasion_OCCASION_END && raises(d.notice.Occasion)
		if !wait && !end {
			continue
		}
		for _, c := range hear(index, d, t.History, s.keepsAlarms).channels {
			for _, at := range []struct{ key, channel string }{
				{d.key() + "/" + c.GetName(), c.GetName()}, {d.key() + "/" + c.GetName() + "/" + c.GetFallback(), c.GetFallback()},
			} {
				if at.channel == "" || end && !s.keepsAlarms(at.channel) {
					continue // Nothing stays open there.
				}
				sent, err := s.takeUp(ctx, at.key, at.channel)
				if err != nil {
					return nil, err
				}
				if sent {
					found[at.channel] = append(found[at.channel], Alarm{Key: at.key, Occasion: d.occasion()})
				}
			}
		}
	}
	return found, nil
}

// dropped are the notices that were raised before another one was, are not on record, and that
// nobody is to be told of any more.
func dropped(t reactor.Task, x raised) []raised {
	var out []raised
	open, times := map[procedure.Notice]raised{}, map[procedure.Notice]int{}
	s := procedure.State{Release: t.State.Release}
	for _, e := range t.History.Entries {
		next, err := procedure.Evolve(s, e)
		if err != nil || e.Sequence > x.entry.Sequence {
			continue
		}
		for _, n := range next.Wanted {
			if !slices.Contains(s.Wanted, n) {
				times[n]++
				open[n] = raised{notice: n, entry: e, state: next, times: times[n]}
			}
		}
		for _, n := range s.Wanted {
			if !slices.Contains(next.Wanted, n) && e.Event.GetNotified() == nil {
				out = append(out, open[n])
			}
		}
		s = next
	}
	return out
}

// takeUp reports whether a notice was sent, or may have been, and sees to it that it is not
// sent from now on. While another process may be at it, it is waited for.
func (s shell) takeUp(ctx context.Context, key, channel string) (sent bool, err error) {
	known, err := s.ledger.Begun(ctx, key)
	if err != nil {
		return false, fmt.Errorf("look whether a notice was begun: %w", err)
	}
	sending, err := s.ledger.Begin(ctx, key)
	switch {
	case err != nil:
		return false, fmt.Errorf("take a notice up: %w", err)
	case sending.Receipt != nil:
		return sending.Receipt.GetResponse() != neverSent, nil
	case !sending.First && s.now().Before(sending.Since.Add(patience)):
		return false, reactor.RetryAfter(retry, errSending)
	}
	// One that was begun and given up may have arrived, too: receivers that know keys are
	// asked again for any fault.
	what := neverSent
	if known || !sending.First {
		what = maybeSent
	}
	if err := s.ledger.End(ctx, key, s.untold(channel, Message{Key: key}, what)); err != nil {
		return false, fmt.Errorf("take a notice up: %w", err)
	}
	return what == maybeSent, nil
}

// with adds the channels that may have been told of what is over.
func (h *hearing) with(index *policy.Index, found loose) {
	for _, c := range index.Document().GetChannels() {
		if len(found[c.GetName()]) > 0 && !slices.ContainsFunc(h.channels, func(o *policyv1.Channel) bool { return o.GetName() == c.GetName() }) {
			h.channels, h.anyway = append(h.channels, c), append(h.anyway, c)
		}
	}
}

// also settles what may have been raised besides.
func (m *Message) also(alarms []Alarm) {
	if len(alarms) > 0 {
		m.Alarms, m.Action = append(m.Alarms, alarms...), Settle
	}
}
