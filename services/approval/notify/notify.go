// Package notify is the shell of step 4: it tells stakeholders what they must hear
// of, and keeps the receipts (PD-4.1, PD-4.2).
//
// It wakes on everything after which somebody must be told, and appends notified,
// once for every notice. A required channel that cannot be reached holds the start
// of a release where the environment demands notice, and is tried again; it never
// holds an emergency, and nothing else than the start.
//
// A notice carries a key. Receivers that know keys (generic webhooks) see it once
// however often it is sent. For those that do not (chat), the ledger keeps that it
// is being sent before it is: after a crash in between the notice is not sent a
// second time, and its receipt says that nobody knows whether it arrived. What was
// delivered is kept there too, so that one channel that is down does not make the
// others hear everything again.
//
// A channel may have quiet hours, or have notices gathered. What may wait then does, on
// record, and is told with whatever else waits for the channel as one message: see the
// comment in digest.go.
package notify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/evidence"
	"github.com/blackdice/shipwarden/internal/failpoint"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/reactor"
	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// Procedures gives the procedure document that a release runs under.
type Procedures interface {
	ByDigest(ctx context.Context, digest string) (*policy.Index, error)
}

// Message is what a channel is told.
type Message struct {
	Key      string
	Release  string
	Occasion string
	Subject  string
	Text     string
	// To is who is called, by an escalation.
	To []string
	// People are the ids of those whom it is meant for; empty where it is for everybody
	// who listens.
	People []string
	Fields map[string]string
	// Time is when what it tells of was stored.
	Time time.Time
	// Until is when it is settled or told anew; zero where nobody knows.
	Until time.Time
	// Action says what is to become of an alarm, for receivers that know alarms.
	Action Action
	// Alarms are the notices whose alarms these are, where it raises none of its own.
	Alarms []Alarm
}

// Action is what a receiver that knows alarms makes of a notice.
type Action int

// Actions.
const (
	// Raise opens an alarm under the notice's own key.
	Raise Action = iota
	// TakeOn says that somebody has taken the alarms on.
	TakeOn
	// Settle closes the alarms.
	Settle
)

// Alarm is a notice that was told before, by the same channel.
type Alarm struct {
	Key      string
	Occasion string
}

// Channel is a way to tell people.
type Channel interface {
	// Body is what is sent, without secrets: for the same message the same bytes.
	Body(m Message) ([]byte, error)
	// Send sends a body under a key and tries until the context ends or trying again is
	// pointless. The receipt says what happened, without secrets; certain, whether that
	// is known: a notice that was not delivered for certain may be sent again.
	Send(ctx context.Context, key string, body []byte) (receipt *releasev1.Receipt, certain bool)
	// Remembers says that the receiver knows keys, so that sending twice is seen once.
	Remembers() bool
	// Personal says that people are reached one by one, so that the receipt names them.
	Personal() bool
	// Alarms says that the receiver keeps what it was told open until it is settled.
	Alarms() bool
}

// Evidence keeps what was sent, under the digest that the receipt names (PD-4.1).
type Evidence interface {
	Put(ctx context.Context, mediaType, name string, content []byte) (*releasev1.EvidenceRef, error)
	Get(ctx context.Context, digest string) ([]byte, error)
}

// Histories gives the history of a release of which something waits, too.
type Histories interface {
	Load(ctx context.Context, aggregate string) (eventstore.History, error)
}

// Ledger keeps which notices were begun to be sent, and what became of them.
type Ledger interface {
	// Begin keeps that the notice with that key is being sent now, or says that it was
	// begun before.
	Begin(ctx context.Context, key string) (Sending, error)
	// End keeps what became of it; nil says that it did not arrive and may be begun
	// again.
	End(ctx context.Context, key string, receipt *releasev1.Receipt) error
	// Begun says whether the notice with that key was begun.
	Begun(ctx context.Context, key string) (bool, error)
	Gathering
}

// Sending is what the ledger knows of a notice.
type Sending struct {
	// First says that it was not begun before.
	First bool
	// Receipt is what became of it; nil where nobody knows.
	Receipt *releasev1.Receipt
	// Since is when it was begun, by the server's clock.
	Since time.Time
}

var (
	errUntold  = errors.New("a required channel was not reached")
	errSending = errors.New("another process is sending the notice")
)

const (
	// retry is how long the start waits before a required channel is tried again.
	retry = 5 * time.Second
	// patience is how long a process that began to send may take; after that it is
	// taken for dead.
	patience = 45 * time.Second
)

// New returns the step. Channels of the procedure document without an address are
// on record as not delivered.
func New(procedures Procedures, channels map[string]Channel, ledger Ledger, evidence Evidence, histories Histories, now func() time.Time) reactor.Step {
	s := shell{procedures, channels, ledger, evidence, histories, now}
	return reactor.Step{ID: procedure.StepNotify, Act: s.act}
}

type shell struct {
	procedures Procedures
	channels   map[string]Channel
	ledger     Ledger
	evidence   Evidence
	histories  Histories
	now        func() time.Time
}

// act tells of the first thing that people wait for, then of what was deferred and is due;
// the next one is due when that is stored. A start that has to wait lets the others pass: people must hear above
// all that something is stuck.
func (s shell) act(ctx context.Context, t reactor.Task) ([]eventstore.Draft, error) {
	index, err := s.procedures.ByDigest(ctx, t.State.ProcedureDigest)
	if err != nil {
		return nil, err
	}
	due := procedure.DueNotice(t.State)
	for _, notice := range t.State.Wanted {
		if notice.Occasion == releasev1.Occasion_OCCASION_CORRECTION && len(due) > 0 {
			continue // What it corrects comes first.
		}
		var event *releasev1.Event
		event, err = s.announce(ctx, index, t, notice)
		if errors.Is(err, errUntold) {
			continue
		}
		if err != nil {
			return nil, err
		}
		return []eventstore.Draft{t.Draft(event)}, nil
	}
	if len(due) > 0 {
		event, late := s.tellLater(ctx, index, t, due)
		if late != nil {
			return nil, errors.Join(err, late)
		}
		return []eventstore.Draft{t.Draft(event)}, nil
	}
	return nil, err
}

// announce tells every channel of one thing, all at once: one that does not answer
// costs its own time and nobody else's.
func (s shell) announce(ctx context.Context, index *policy.Index, t reactor.Task, notice procedure.Notice) (*releasev1.Event, error) {
	raised, err := raisedBy(t, notice)
	if err != nil {
		return nil, err
	}
	m, h := compose(index.Document(), raised), hear(index, raised, t.History, s.keepsAlarms)
	found, err := s.loose(ctx, index, t, raised)
	if err != nil {
		return nil, err
	}
	h.with(index, found)
	m.ask(h.asked(raised))
	must := notice.Occasion == releasev1.Occasion_OCCASION_START && !t.State.Emergency() &&
		index.Environment(t.State.Request.GetEnvironment()).GetRequireNotice()
	later, err := s.putOff(ctx, &h, raised, t.State, must)
	if err != nil {
		return nil, err
	}
	all := make([]told, len(h.channels))
	var done sync.WaitGroup
	for i, c := range h.channels {
		own := m
		own.People = h.people(c.GetName())
		own.settle(raised, t.History, c.GetName())
		own.also(found[c.GetName()])
		done.Go(func() { all[i] = s.tell(ctx, c.GetName(), own, alone) })
	}
	done.Wait()
	if err := s.standIn(ctx, m, h, raised, t.History, found, all); err != nil {
		return nil, err
	}
	var receipts []*releasev1.Receipt
	for i, c := range h.channels {
		if all[i].err != nil {
			return nil, all[i].err
		}
		if must && c.GetRequired() && all[i].again && !all[i].stoodIn() {
			slog.WarnContext(ctx, "a required channel was not reached; the start waits",
				slog.String("release", t.State.Release), slog.String("channel", c.GetName()), slog.String("answer", all[i].receipt.GetResponse()))
			return nil, reactor.RetryAfter(retry, errUntold)
		}
		receipts = append(receipts, all[i].receipt)
		if all[i].instead != nil {
			receipts = append(receipts, all[i].instead.receipt)
		}
	}
	event := procedure.DecideTold(notice, receipts, h.parties(raised, s.now()), h.recipients(slices.Concat(all, putOff(later))))
	event.GetNotified().Deferred, event.Unkept = later, unkept(all)
	if notice.Occasion == releasev1.Occasion_OCCASION_START {
		_, event.GetNotified().WaitsFor = startsNotBefore(index.Document(), raised)
	}
	return event, nil
}

func (s shell) keepsAlarms(channel string) bool {
	c, ok := s.channels[channel]
	return ok && c.Alarms()
}

// told is what became of a notice on one channel.
type told struct {
	receipt *releasev1.Receipt
	again   bool // it did not arrive, and may be sent again
	// personal says that the channel reaches people one by one, and the receipt says whom.
	personal bool
	// waits says that it is told later.
	waits bool
	// instead is what became of it on the channel that stood in; nil where none did.
	instead *told
	// unkept says that what was sent could not be kept as evidence.
	unkept *releasev1.UnkeptEvidence
	err    error
}

// unkept is what the event says of notices that could not be kept, each once and in few
// words: whose they are is in the receipts, of which there may be many.
func unkept(all []told) []*releasev1.UnkeptEvidence {
	var out []*releasev1.UnkeptEvidence
	say := func(u *releasev1.UnkeptEvidence) {
		if u != nil && !slices.ContainsFunc(out, func(o *releasev1.UnkeptEvidence) bool { return o.GetDigest() == u.GetDigest() }) {
			out = append(out, &releasev1.UnkeptEvidence{Digest: u.GetDigest(), Name: "notice", Reason: u.GetReason()})
		}
	}
	for _, each := range all {
		if say(each.unkept); each.instead != nil {
			say(each.instead.unkept)
		}
	}
	return out
}

// sharing says whether several releases tell one message.
type sharing bool

const (
	alone    sharing = false
	together sharing = true
)

// tell tells one channel, and keeps what it is told. Where that cannot be kept people are told
// all the same: nobody is left asleep because a store has no room.
func (s shell) tell(ctx context.Context, name string, m Message, shared sharing) told {
	m.Key += "/" + name
	channel, ok := s.channels[name]
	if !ok {
		return told{receipt: s.untold(name, m, "no address is configured for this channel"), again: true}
	}
	body, err := channel.Body(m)
	if err != nil {
		return told{err: fmt.Errorf("write the notice %s: %w", m.Key, err)}
	}
	_, unkept, err := evidence.Keep(ctx, s.evidence, "application/json", "notice "+m.Key, body)
	if err != nil && unkept == nil {
		return told{err: fmt.Errorf("keep the notice: %w", err)}
	}
	out := s.send(ctx, channel, name, m, body, shared)
	if out.receipt.GetBodyDigest() != "" {
		out.unkept = unkept
	}
	return out
}

// send sends a notice, unless it was sent, or may have been to a receiver that would show it
// twice.
func (s shell) send(ctx context.Context, channel Channel, name string, m Message, body []byte, shared sharing) told {
	sending, err := s.ledger.Begin(ctx, m.Key)
	switch {
	case err != nil:
		return told{err: fmt.Errorf("keep the intent to notify: %w", err)}
	case sending.Receipt != nil:
		return told{receipt: sending.Receipt, personal: channel.Personal()}
	case sending.First || channel.Remembers() && !bool(shared):
	case s.now().Before(sending.Since.Add(patience)):
		return told{err: reactor.RetryAfter(retry, errSending)}
	case channel.Remembers():
	default:
		return told{receipt: s.untold(name, m, "sending was interrupted; it is not sent again, because the receiver would show it twice")}
	}
	if err := failpoint.Hit("notify.intended"); err != nil {
		return told{err: err}
	}
	receipt, certain := channel.Send(ctx, m.Key, body)
	receipt.Channel, receipt.Key = name, m.Key
	if err := failpoint.Hit("notify.sent"); err != nil {
		return told{err: err}
	}
	out := told{receipt: receipt, personal: channel.Personal(), again: !receipt.GetDelivered() && (certain || channel.Remembers())}
	kept := receipt
	if out.again && !bool(shared) {
		kept = nil // Of one message for several releases all of them say the same.
	}
	// What is not kept now is found out from the intent: not sent again, at the worst.
	if err := s.ledger.End(context.WithoutCancel(ctx), m.Key, kept); err != nil {
		slog.WarnContext(ctx, "cannot keep what became of a notice", slog.String("key", m.Key), slog.Any("error", err))
	}
	return out
}

func (s shell) untold(name string, m Message, why string) *releasev1.Receipt {
	return &releasev1.Receipt{Channel: name, Key: m.Key, Response: why, Time: timestamppb.New(s.now())}
}
