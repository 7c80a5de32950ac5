package notify

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/evidence"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/reactor"
	"github.com/blackdice/shipwarden/procedure"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// Notices that wait for the same channel until the same moment, of whichever releases, are
// told as one message. What waits is what the histories of the releases say; the ledger
// only remembers which releases to ask. When the moment has come, whoever is first reads
// them, writes down what the message says, and seals that: from then on everybody sends
// these bytes under this key or finds out what became of it. A release that is not in it,
// because it was late or the ledger forgot it, is told of by itself.

// Gathering remembers which releases wait for one message. A batch is a channel and a
// moment. It has no authority.
type Gathering interface {
	// Gather remembers that something of the release waits.
	Gather(ctx context.Context, batch, release string) error
	// Gathered returns the releases of which something waits, in no order.
	Gathered(ctx context.Context, batch string) ([]string, error)
	// Sealed returns the digest of what the messages of the batch say; empty where nobody
	// has written it down.
	Sealed(ctx context.Context, batch string) (string, error)
	// Seal keeps that digest, and returns the one that was kept first.
	Seal(ctx context.Context, batch, digest string) (string, error)
}

// maxDigest bounds in bytes what one message says, so that every kind of channel shows all
// of it: the shortest takes 2000 characters, of which some are doubled. Of more there are
// several messages.
const maxDigest = 1500

// item is a notice in a message.
type item struct {
	Release  string             `json:"release"`
	Occasion releasev1.Occasion `json:"occasion"`
	Number   uint32             `json:"number"`
	By       uint64             `json:"deferred_by"`

	message Message
	people  []string
}

// page is one message, with what it tells of.
type page struct {
	Message Message `json:"message"`
	Items   []item  `json:"items"`
}

// sealed is what a batch says, as it is kept as evidence.
type sealed struct {
	Channel string    `json:"channel"`
	Until   time.Time `json:"until"`
	Pages   []page    `json:"messages"`
}

func batch(channel string, until time.Time) string {
	return fmt.Sprintf("%s/%d", channel, until.UnixNano())
}

// putOff takes those channels out of a hearing that are told later, and has it remembered
// that something of the release waits for them.
func (s shell) putOff(ctx context.Context, h *hearing, x raised, now procedure.State, must bool) ([]*releasev1.Deferral, error) {
	var later []*releasev1.Deferral
	var at []*policyv1.Channel
	for _, c := range h.channels {
		d, err := s.deferral(ctx, c, x, now, must && c.GetRequired() || len(h.asked(x)) > 0)
		if err != nil {
			return nil, fmt.Errorf("look whether a notice was begun: %w", err)
		}
		if d == nil {
			at = append(at, c)
			continue
		}
		if err := s.ledger.Gather(ctx, batch(d.GetChannel(), d.GetUntil().AsTime()), now.Release); err != nil {
			return nil, fmt.Errorf("remember that a notice waits: %w", err)
		}
		later = append(later, d)
	}
	h.channels = at
	return later, nil
}

func putOff(later []*releasev1.Deferral) []told {
	var out []told
	for _, d := range later {
		out = append(out, told{receipt: &releasev1.Receipt{Channel: d.GetChannel()}, waits: true})
	}
	return out
}

// tellLater tells the channels whose time has come of one notice.
func (s shell) tellLater(ctx context.Context, index *policy.Index, t reactor.Task, due []procedure.Deferral) (*releasev1.Event, error) {
	x, err := raisedBefore(t.State.Release, t.History, due[0])
	if err != nil {
		return nil, err
	}
	h := hear(index, x, t.History, s.keepsAlarms)
	all := make([]told, len(due))
	var done sync.WaitGroup
	for i, d := range due {
		done.Go(func() { all[i] = s.tellWaiting(ctx, index, x, h, t, d) })
	}
	done.Wait()
	var receipts []*releasev1.Receipt
	for _, each := range all {
		if each.err != nil {
			return nil, each.err
		}
		receipts = append(receipts, each.receipt)
		if each.instead != nil {
			receipts = append(receipts, each.instead.receipt)
		}
	}
	event := procedure.DecideLater(due[0].Notice, due[0].By, receipts, h.recipients(all))
	event.Unkept = unkept(all)
	return event, nil
}

// tellWaiting tells one channel: by the message that the notice is in, or by one of its own.
func (s shell) tellWaiting(ctx context.Context, index *policy.Index, x raised, h hearing, t reactor.Task, d procedure.Deferral) told {
	all, err := s.seal(ctx, t, d)
	if err != nil {
		return told{err: fmt.Errorf("write down what %s is told: %w", d.Channel, err)}
	}
	m, shared := s.message(index, x, h, d.Channel), alone
	for _, p := range all.Pages {
		if slices.ContainsFunc(p.Items, func(i item) bool { return i.is(t.State.Release, d) }) {
			m, shared = p.Message, together
		}
	}
	out := s.tell(ctx, d.Channel, m, shared)
	if out.err != nil || out.receipt.GetDelivered() {
		return out
	}
	for _, c := range index.Document().GetChannels() {
		if c.GetName() == d.Channel && c.GetFallback() != "" {
			m.Key += "/" + c.GetName()
			instead := s.tell(ctx, c.GetFallback(), m, shared)
			if instead.err != nil {
				return instead
			}
			instead.receipt = proto.CloneOf(instead.receipt)
			instead.receipt.InsteadOf = c.GetName()
			out.instead = &instead
		}
	}
	return out
}

func (i item) is(release string, d procedure.Deferral) bool {
	return i.Release == release && i.By == d.By && i.Occasion == d.Occasion && i.Number == d.Number
}

// message is a notice as it is told by itself.
func (s shell) message(index *policy.Index, x raised, h hearing, channel string) Message {
	m := compose(index.Document(), x)
	m.People = h.people(channel)
	return m
}

// seal returns what the messages say that a deferred notice is in, and writes it down where
// nobody has. Where it cannot be kept there is no message that all could tell, and each is
// told by itself.
func (s shell) seal(ctx context.Context, t reactor.Task, d procedure.Deferral) (sealed, error) {
	var out sealed
	name := batch(d.Channel, d.Until)
	digest, err := s.ledger.Sealed(ctx, name)
	if err != nil {
		return out, err
	}
	if digest == "" {
		if digest, err = s.write(ctx, name, t, d); err != nil || digest == "" {
			return out, err
		}
	}
	kept, err := s.evidence.Get(ctx, digest)
	if err != nil {
		return out, err
	}
	return out, json.Unmarshal(kept, &out)
}

func (s shell) write(ctx context.Context, name string, t reactor.Task, d procedure.Deferral) (string, error) {
	releases, err := s.ledger.Gathered(ctx, name)
	if err != nil {
		return "", err
	}
	releases = append(releases, t.State.Release) // whatever the ledger has forgotten
	slices.Sort(releases)
	var items []item
	for _, release := range slices.Compact(releases) {
		own, err := s.waiting(ctx, release, d)
		if err != nil {
			return "", err
		}
		items = append(items, own...)
	}
	slices.SortStableFunc(items, func(a, b item) int { return a.message.Time.Compare(b.message.Time) })
	body, err := json.Marshal(sealed{d.Channel, d.Until, pages(items, d.Until)})
	if err != nil {
		return "", err
	}
	ref, unkept, err := evidence.Keep(ctx, s.evidence, "application/json", "messages "+name, body)
	if unkept != nil {
		slog.WarnContext(ctx, "notices are not gathered, because their message cannot be kept", slog.String("batch", name), slog.Any("error", err))
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return s.ledger.Seal(ctx, name, ref.GetDigest())
}

// waiting is what waits of one release for a channel until a moment, by its history.
func (s shell) waiting(ctx context.Context, release string, d procedure.Deferral) ([]item, error) {
	history, err := s.histories.Load(ctx, procedure.Aggregate(release))
	if err != nil {
		return nil, err
	}
	state, _ := procedure.Fold(release, history.Entries)
	var out []item
	for _, own := range state.Deferred {
		if own.Channel != d.Channel || !own.Until.Equal(d.Until) {
			continue
		}
		index, err := s.procedures.ByDigest(ctx, state.ProcedureDigest)
		if err != nil {
			return nil, err
		}
		x, err := raisedBefore(release, history, own)
		if err != nil {
			slog.WarnContext(ctx, "a notice that waits cannot be told with others", slog.String("release", release), slog.Any("error", err))
			continue
		}
		one := item{Release: release, Occasion: own.Occasion, Number: own.Number, By: own.By}
		one.message = s.message(index, x, hear(index, x, history, s.keepsAlarms), d.Channel)
		if c, ok := s.channels[d.Channel]; ok && c.Personal() {
			one.people = one.message.People
		}
		out = append(out, one)
	}
	return out, nil
}

// raisedBefore finds what raised a notice that was deferred; it may have been raised again
// since.
func raisedBefore(release string, h eventstore.History, d procedure.Deferral) (raised, error) {
	h.Entries = slices.DeleteFunc(slices.Clone(h.Entries), func(e procedure.Entry) bool { return e.Sequence >= d.By })
	return raisedBy(reactor.Task{State: procedure.State{Release: release}, History: h}, d.Notice)
}

// pages makes messages of notices: those for the same people together, where a channel
// reaches people one by one, since nobody is to read what was meant for others.
func pages(items []item, until time.Time) []page {
	var out []page
	for len(items) > 0 {
		first := items[0]
		var own, rest []item
		size := 0
		for _, i := range items {
			if line := len(lineOf(i)); slices.Equal(i.people, first.people) && (size == 0 || size+line <= maxDigest) {
				own, size = append(own, i), size+line
				continue
			}
			rest = append(rest, i)
		}
		out, items = append(out, page{digestOf(own, until), own}), rest
	}
	for i := range out {
		out[i].Message.Key = fmt.Sprintf("digest/%d/%d", until.Unix(), i+1)
	}
	return out
}

// digestOf is the message for some notices. One alone is told as it would have been.
func digestOf(items []item, until time.Time) Message {
	m, who := items[0].message, "It"
	if len(items) > 1 {
		m, who = Message{Occasion: "digest", Fields: map[string]string{}, Time: until}, "They"
		releases := map[string]bool{}
		for _, i := range items {
			releases[i.Release] = true
			m.Text += lineOf(i)
			m.People = append(m.People, i.message.People...)
		}
		m.Subject = fmt.Sprintf("%d notices of %d releases", len(items), len(releases))
		if len(releases) == 1 {
			m.Subject, m.Release = fmt.Sprintf("%d notices of one release", len(items)), items[0].Release
		}
		slices.Sort(m.People)
		m.People = slices.Compact(m.People)
	}
	m.Text = strings.TrimSpace(strings.TrimSpace(m.Text) + "\n" + who + " waited until " + stamp(until) + ".")
	return m
}

// lineOf names the release and the event.
func lineOf(i item) string {
	subject := strings.ToValidUTF8(i.message.Subject[:min(len(i.message.Subject), 200)], "")
	return stamp(i.message.Time) + " " + i.Release + " " + i.message.Occasion + ": " + subject + "\n"
}
