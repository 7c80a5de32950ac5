package digest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime/quotedprintable"
	nettext "net/mail"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/internal/mail"
	"github.com/blackdice/shipwarden/internal/mail/mailtest"
	"github.com/blackdice/shipwarden/internal/pgtest"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/recorder/digest"
	"github.com/blackdice/shipwarden/services/recorder/ledger"
	"github.com/blackdice/shipwarden/services/recorder/migrations"
	"github.com/blackdice/shipwarden/services/recorder/record"
	"github.com/blackdice/shipwarden/services/recorder/recordertest"
)

func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.DiscardHandler))
	os.Exit(pgtest.Run(m))
}

const password = "T0PS3CRET"

// world is a record with people in it, a relay, and clocks.
type world struct {
	t         *testing.T
	dsn       string
	stream    *proceduretest.Stream
	ledger    *ledger.Ledger
	relay     *mailtest.Relay
	document  procedure.Document
	documents map[string]string
	registry  *prometheus.Registry
	// now is the recorder's clock, end what the stream says of itself.
	now time.Time
	end func() (record.End, error)
}

// someone are the people of the document that is in effect at first.
var someone = people("anna", "ben", "cleo", "dan", "otto", "rita")

// people is a document with them, each with an address.
func people(ids ...string) string {
	var out strings.Builder
	out.WriteString("people:\n")
	for _, id := range ids {
		fmt.Fprintf(&out, "  - {id: %s, contacts: [{kind: KIND_CHAT, address: '#%s'}, {kind: KIND_MAIL, address: %s@shop.example}]}\n", id, id, id)
	}
	out.WriteString("  - {id: robot, machine: true, contacts: [{kind: KIND_MAIL, address: robot@shop.example}]}\n")
	return out.String()
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{
		t: t, dsn: recordertest.Database(t), stream: proceduretest.NewStream(), relay: mailtest.Start(t, "starttls", password),
		document: procedure.NewDocument("PROC-DEPLOY-001"), documents: map[string]string{}, registry: prometheus.NewRegistry(), now: proceduretest.Start,
	}
	w.ledger = recordertest.Ledger(t, w.dsn)
	w.end = func() (record.End, error) { return record.End{Last: w.stream.Last, At: w.now}, nil }
	w.stream.Now = w.now.AddDate(0, 0, -1)
	w.activate("1.0", someone)
	w.stream.Now = w.now
	return w
}

// activate puts a document into effect, by an administrator.
func (w *world) activate(version, text string) {
	w.t.Helper()
	sum := policy.Digest([]byte(text))
	w.documents[sum] = text
	e, err := procedure.DecideActivatedByAdministrator(w.document, procedure.ServiceApproval, &releasev1.ProcedureActivated{
		Version: version, Digest: sum, Reason: "go-live", ClaimedBy: "otto", Debt: &releasev1.ProcedureDebt{
			Group: "reviewers", JudgedBy: w.document.JudgedBy(),
			Due: timestamppb.New(w.stream.Now.AddDate(0, 0, 3)), BlocksFrom: timestamppb.New(w.stream.Now.AddDate(0, 0, 5)),
		},
	}, w.stream.Now)
	if err != nil {
		w.t.Fatal(err)
	}
	e = proto.CloneOf(e)
	e.Aggregate = w.document.Aggregate
	w.stream.Last++
	entry := proceduretest.Entry(procedure.State{Head: w.document.Head}, w.stream.Last, w.stream.Now, nil, e)
	if w.document, err = procedure.EvolveDocument(w.document, entry); err != nil {
		w.t.Fatal(err)
	}
	w.write(recordertest.Message(entry))
}

func (w *world) write(all ...ledger.Message) {
	w.t.Helper()
	recordertest.Write(w.t, w.ledger, len(all), all)
}

// record records what came to a history since the last time.
func (w *world) record(h *proceduretest.History) {
	w.t.Helper()
	at, err := w.ledger.Checkpoint(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	var all []ledger.Message
	for _, m := range recordertest.Messages(h) {
		if m.Sequence > at.Sequence {
			all = append(all, m)
		}
	}
	w.write(all...)
}

// wanted is a release that waits for approvals.
func (w *world) wanted(key string) *proceduretest.History {
	w.t.Helper()
	h := w.stream.New(proceduretest.Request(proceduretest.Key(key)))
	h.To(w.t, procedure.PhaseApprove)
	return h
}

// approves has somebody approve.
func approves(t *testing.T, h *proceduretest.History, person string) {
	t.Helper()
	h.Do(t, person, proceduretest.Approval(h.State(), h.Now.Add(time.Hour)))
}

// approved is a release that a person approved.
func (w *world) approved(key, person string) *proceduretest.History {
	w.t.Helper()
	h := w.wanted(key)
	approves(w.t, h, person)
	w.record(h)
	return h
}

// open opens digests as another process would.
func (w *world) open(change ...func(*digest.Config)) *digest.Digest {
	w.t.Helper()
	digests, err := ledger.OpenDigests(w.t.Context(), w.dsn, migrations.Schema)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(digests.Close)
	relay, err := mail.New(mail.Config{URL: "smtp://" + mailtest.User + "@" + w.relay.Address, Password: password, From: "shipwarden@shop.example", Roots: w.relay.Roots, Timeout: 5 * time.Second})
	if err != nil {
		w.t.Fatal(err)
	}
	calendar, err := digest.NewCalendar("07:00", "Europe/Berlin")
	if err != nil {
		w.t.Fatal(err)
	}
	w.registry = prometheus.NewRegistry()
	config := digest.Config{
		Calendar: calendar, Digests: digests, Reader: recordertest.Reader(w.t, w.dsn), Relay: relay, From: "shipwarden@shop.example",
		Documents: policy.NewSource(func(_ context.Context, sum string) ([]byte, error) {
			if text, ok := w.documents[sum]; ok {
				return []byte(text), nil
			}
			return nil, errUnread
		}),
		Stream: func(context.Context) (record.End, error) { return w.end() }, Now: func() time.Time { return w.now }, Metrics: w.registry,
	}
	for _, each := range change {
		each(&config)
	}
	return digest.New(config)
}

var errUnread = errors.New("no evidence")

// begun opens digests that tell people from today on.
func (w *world) begun(change ...func(*digest.Config)) *digest.Digest {
	w.t.Helper()
	d := w.open(change...)
	w.pass(d)
	return d
}

func (w *world) pass(d *digest.Digest) {
	w.t.Helper()
	if err := d.Pass(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

// morning sets all clocks to half past seven in Berlin, so many days after the beginning.
func (w *world) morning(days int) {
	w.now = time.Date(2026, 3, 2+days, 6, 30, 0, 0, time.UTC)
	w.stream.Now = w.now
}

// sent is a mail that arrived.
type sent struct {
	to          string
	subject, id string
	text        string
	header      nettext.Header
}

// mails are those that arrived since the beginning, by who got them and in order.
func (w *world) mails() []sent {
	w.t.Helper()
	var out []sent
	for _, m := range w.relay.Mails() {
		got, err := nettext.ReadMessage(strings.NewReader(m.Body))
		if err != nil {
			w.t.Fatal(err)
		}
		text, err := io.ReadAll(quotedprintable.NewReader(got.Body))
		if err != nil {
			w.t.Fatal(err)
		}
		out = append(out, sent{
			to: strings.Join(m.To, " "), subject: got.Header.Get("Subject"), id: got.Header.Get("Message-Id"),
			text: strings.ReplaceAll(string(text), "\r\n", "\n"), header: got.Header,
		})
	}
	return out
}

// to are the addresses of all mails, in order.
func (w *world) to() []string {
	var out []string
	for _, m := range w.mails() {
		out = append(out, m.to)
	}
	return out
}

// value is what a metric says.
func (w *world) value(name, label string) float64 {
	w.t.Helper()
	families, err := w.registry.Gather()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name && (len(m.GetLabel()) == 0 || m.GetLabel()[0].GetValue() == label) {
				return m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	w.t.Fatalf("there is no metric %s %s", name, label)
	return 0
}

// crashing is a relay after which the process is gone: what it took is noted nowhere.
type crashing struct {
	digest.Relay

	mu    sync.Mutex
	times int
}

var errCrashed = errors.New("the process is gone")

func (c *crashing) SendPart(ctx context.Context, to []string, letter []byte, before func() error) (mail.Result, error) {
	result, err := c.Relay.SendPart(ctx, to, letter, before)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.times--; err == nil && c.times >= 0 {
		return mail.Result{}, errCrashed
	}
	return result, err
}

// Timeout is short: what was begun cannot be on its way any more.
func (c *crashing) Timeout() time.Duration { return time.Nanosecond }
