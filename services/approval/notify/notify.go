// Package notify is the shell of step 4: it tells stakeholders what they must hear
// of, and keeps the receipts (PD-4.1, PD-4.2).
//
// It wakes on everything after which somebody must be told, and appends notified,
// once for every notice. A required channel that cannot be reached holds the start
// of a release where the environment demands notice, and is tried again; it never
// holds an emergency, and nothing else than the start.
//
// A notice carries a key. Receivers that know keys (generic webhooks) see it once
// however often it is sent. For those that do not (chat), the intent to send is
// kept before sending: after a crash in between the notice is not sent a second
// time, and its receipt says that nobody knows whether it arrived.
package notify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/failpoint"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/reactor"
	"github.com/blackdice/shipwarden/procedure"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"google.golang.org/protobuf/types/known/timestamppb"
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
	Fields   map[string]string
	Time     time.Time
}

// Channel is a way to tell people. Send tries until the context ends or trying
// again is pointless; the receipt says what happened, without secrets.
type Channel interface {
	Send(ctx context.Context, m Message) *releasev1.Receipt
	// Remembers says that the receiver knows keys, so that sending twice is seen once.
	Remembers() bool
}

// Intents keeps which notices are being sent to receivers that do not know keys.
type Intents interface {
	// First reports whether the key is new, and keeps it.
	First(ctx context.Context, key string) (bool, error)
}

var errUntold = errors.New("a required channel was not reached")

// retry is how long the start waits before a required channel is tried again.
const retry = 5 * time.Second

// New returns the step. Channels of the procedure document without an address are
// on record as not delivered.
func New(procedures Procedures, channels map[string]Channel, intents Intents, now func() time.Time) reactor.Step {
	s := shell{procedures, channels, intents, now}
	return reactor.Step{ID: procedure.StepNotify, Act: s.act}
}

type shell struct {
	procedures Procedures
	channels   map[string]Channel
	intents    Intents
	now        func() time.Time
}

func (s shell) act(ctx context.Context, t reactor.Task) ([]eventstore.Draft, error) {
	if len(t.State.Wanted) == 0 {
		return nil, nil
	}
	index, err := s.procedures.ByDigest(ctx, t.State.ProcedureDigest)
	if err != nil {
		return nil, err
	}
	notice := t.State.Wanted[0] // the next one is due when this one is stored
	m := compose(t.State, notice, t.Now)
	must := notice.Occasion == releasev1.Occasion_OCCASION_START && !t.State.Emergency() &&
		index.Environment(t.State.Request.GetEnvironment()).GetRequireNotice()
	var receipts []*releasev1.Receipt
	for _, c := range audience(index.Document(), t.State.Request, notice.Occasion) {
		receipt, err := s.tell(ctx, c.GetName(), m)
		if err != nil {
			return nil, err
		}
		if must && c.GetRequired() && !receipt.GetDelivered() {
			slog.WarnContext(ctx, "a required channel was not reached; the start waits",
				slog.String("release", t.State.Release), slog.String("channel", c.GetName()), slog.String("answer", receipt.GetResponse()))
			return nil, reactor.RetryAfter(retry, errUntold)
		}
		receipts = append(receipts, receipt)
	}
	return []eventstore.Draft{t.Draft(procedure.DecideNotified(notice, receipts))}, nil
}

func audience(doc *policyv1.Procedure, r *releasev1.Request, o releasev1.Occasion) []*policyv1.Channel {
	var out []*policyv1.Channel
	for _, c := range doc.GetChannels() {
		if slices.Contains(c.GetOccasions(), o) &&
			(len(c.GetEnvironments()) == 0 || slices.Contains(c.GetEnvironments(), r.GetEnvironment())) &&
			(len(c.GetServices()) == 0 || slices.Contains(c.GetServices(), r.GetService())) {
			out = append(out, c)
		}
	}
	return out
}

func (s shell) tell(ctx context.Context, name string, m Message) (*releasev1.Receipt, error) {
	m.Key += "/" + name
	channel, ok := s.channels[name]
	if !ok {
		return s.untold(name, m, "no address is configured for this channel"), nil
	}
	if !channel.Remembers() {
		first, err := s.intents.First(ctx, m.Key)
		if err != nil {
			return nil, fmt.Errorf("keep the intent to notify: %w", err)
		}
		if !first {
			return s.untold(name, m, "sending was interrupted; it is not sent again, because the receiver would show it twice"), nil
		}
	}
	if err := failpoint.Hit("notify.intended"); err != nil {
		return nil, err
	}
	receipt := channel.Send(ctx, m)
	receipt.Channel, receipt.Key = name, m.Key
	return receipt, failpoint.Hit("notify.sent")
}

func (s shell) untold(name string, m Message, why string) *releasev1.Receipt {
	return &releasev1.Receipt{Channel: name, Key: m.Key, Response: why, Time: timestamppb.New(s.now())}
}

// compose says in words what happened. Everything in it comes from the record.
func compose(s procedure.State, n procedure.Notice, now time.Time) Message {
	r := s.Request
	occasion := strings.ToLower(strings.TrimPrefix(n.Occasion.String(), "OCCASION_"))
	what := r.GetService() + " " + r.GetVersion() + " to " + r.GetEnvironment()
	m := Message{
		Key: fmt.Sprintf("%s/%s/%d", s.Release, occasion, n.Number), Release: s.Release, Occasion: occasion, Time: now,
		Fields: map[string]string{
			"service": r.GetService(), "version": r.GetVersion(), "environment": r.GetEnvironment(), "owner": r.GetOwner(),
			"change_record": r.GetChangeRecord().GetSystem() + " " + r.GetChangeRecord().GetId(),
			"phase":         s.Phase.String(),
		},
	}
	switch n.Occasion {
	case releasev1.Occasion_OCCASION_START:
		m.Subject = "Release about to start: " + what
		m.Text = r.GetPlan().GetDescription()
	case releasev1.Occasion_OCCASION_END:
		outcome := word(s.Outcome.String(), "OUTCOME_")
		m.Subject = "Release " + outcome + ": " + what
		m.Text = s.EndReason
		m.Fields["outcome"] = outcome
	case releasev1.Occasion_OCCASION_ROLLBACK:
		m.Subject = "Rolling back: " + what
		m.Text = s.EndReason
	case releasev1.Occasion_OCCASION_ESCALATION:
		cause := releasev1.Cause(n.Number / 1000) //nolint:gosec // The number was made of a cause.
		m.Subject = "Escalation: " + word(cause.String(), "CAUSE_") + ", " + what
		m.Text = "Somebody has to take this on: shipwarden acknowledge " + s.Release
		m.Fields["cause"] = word(cause.String(), "CAUSE_")
		m.Fields["rung"] = fmt.Sprint(n.Number % 1000)
	case releasev1.Occasion_OCCASION_EMERGENCY:
		m.Subject = "Emergency release: " + what
		m.Text = r.GetEmergency().GetReason() + " (incident " + r.GetEmergency().GetIncident() + ")\nBypassed: " + strings.Join(s.Bypassed, "; ")
	case releasev1.Occasion_OCCASION_UNSPECIFIED:
	}
	return m
}

func word(enum, prefix string) string {
	return strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(enum, prefix)), "_", " ")
}
