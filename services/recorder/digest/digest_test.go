package digest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"github.com/blackdice/shipwarden/internal/envelope"
	"github.com/blackdice/shipwarden/internal/mail"
	"github.com/blackdice/shipwarden/internal/mail/mailtest"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/recorder/digest"
	"github.com/blackdice/shipwarden/services/recorder/ledger"
	"github.com/blackdice/shipwarden/services/recorder/record"
	"github.com/blackdice/shipwarden/services/recorder/recordertest"
)

func TestEverybodyIsToldOnceWhatIsOnRecordInTheirName(t *testing.T) {
	w := newWorld(t)
	d := w.begun()
	one := w.approved("one", "anna")
	two := w.wanted("two")
	two.Do(t, "ben", &releasev1.Event{Data: &releasev1.Event_Rejected{Rejected: &releasev1.Rejected{Reason: "too late"}}})
	w.record(two)
	w.pass(d)
	if got := w.mails(); len(got) != 0 {
		t.Fatalf("told on the same day: %v", got)
	}
	w.morning(1)
	w.pass(d)
	w.pass(d)
	w.pass(w.open()) // another process
	got := w.mails()
	if diff := cmp.Diff([]string{"anna@shop.example", "ben@shop.example", "rita@shop.example"}, w.to()); diff != "" {
		t.Fatalf("to (-want +got):\n%s", diff)
	}
	for _, want := range []string{
		"This is on record in your name (anna) of Monday, 2 March 2026",
		"1. approved by anna\n", "   release: " + one.Release + "\n", "   service: shop 1.4.2\n", "   environment: production\n", "   proved by: mtls\n", "   signed: no\n",
		" UTC, 2026-03-02 10:00:0", " CET (Europe/Berlin)\n", "If something in it was not you:", "docs/digest.md",
	} {
		if !strings.Contains(got[0].text, want) {
			t.Errorf("anna's mail has no %q:\n%s", want, got[0].text)
		}
	}
	if strings.Contains(got[0].text, two.Release) || strings.Contains(got[0].text, "too late") || !strings.Contains(got[1].text, "1. rejected by ben: too late\n") || strings.Contains(got[1].text, one.Release) {
		t.Errorf("somebody got another person's list:\n%s\n%s", got[0].text, got[1].text)
	}
	if !strings.Contains(got[2].text, "names you as who requests it") {
		t.Errorf("rita's mail:\n%s", got[2].text)
	}
	if w.value("shipwarden_recorder_digest_overdue_seconds", "") != 0 {
		t.Error("something is overdue")
	}
}

// A crash between what the relay took and the note of it sends the same mail once more, and
// never a third time.
func TestACrashBetweenSendingAndNotingShowsOneMailTwiceAtTheMost(t *testing.T) {
	for crashes, want := range map[int]string{1: "sent", 2: "unknown"} {
		w := newWorld(t)
		crash := func(c *digest.Config) { c.Relay = &crashing{Relay: c.Relay, times: crashes} }
		d := w.begun(crash)
		h := w.wanted("one")
		h.Do(t, "anna", proceduretest.Reject())
		w.record(h)
		w.morning(1)
		w.relay.Set(func(r *mailtest.Relay) { r.Rcpt = only("anna") }) // rita's is another matter
		for range 5 {
			w.now = w.now.Add(2 * time.Hour)
			_ = d.Pass(t.Context())
		}
		got := w.mails()
		if len(got) != 2 || got[0].id != got[1].id || got[0].text != got[1].text || !strings.HasPrefix(got[0].id, "<") {
			t.Errorf("%d crashes: %d mails: %v", crashes, len(got), got)
		}
		if w.value("shipwarden_recorder_digests_total", want) != 1 {
			t.Errorf("%d crashes: not %s", crashes, want)
		}
	}
}

func TestOfTwoRecordersOneSendsEachMail(t *testing.T) {
	w := newWorld(t)
	all := []*digest.Digest{w.begun(), w.open(), w.open()}
	for i, person := range []string{"anna", "cleo", "dan"} {
		w.approved(fmt.Sprint("k", i), person)
	}
	w.morning(1)
	var group sync.WaitGroup
	for _, d := range all {
		group.Go(func() {
			for range 4 {
				if err := d.Pass(context.Background()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	got := w.to()
	slices.Sort(got)
	if diff := cmp.Diff([]string{"anna@shop.example", "cleo@shop.example", "dan@shop.example", "rita@shop.example"}, got); diff != "" {
		t.Errorf("to (-want +got):\n%s", diff)
	}
}

func TestARelayThatTakesNothingIsTriedAgainTheSameDay(t *testing.T) {
	for name, broken := range map[string]func(*world, *digest.Config){
		"not there": func(w *world, c *digest.Config) {
			relay, err := mail.New(mail.Config{URL: "smtp://127.0.0.1:1", From: "shipwarden@shop.example"})
			if err != nil {
				w.t.Fatal(err)
			}
			real := c.Relay
			c.Relay = &turning{Relay: relay, then: real, after: 3}
		},
		"says later": func(w *world, _ *digest.Config) { w.relay.Data = []error{later, later, nil} },
		"says never": func(w *world, _ *digest.Config) { w.relay.Data = []error{never, nil} },
		"no address": func(w *world, _ *digest.Config) { w.relay.Rcpt = times(3, never) },
		"greylisted": func(w *world, _ *digest.Config) { w.relay.Rcpt = times(3, later) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			d := w.begun(func(c *digest.Config) { broken(w, c) })
			w.approved("one", "anna")
			w.morning(1)
			if err := d.Pass(t.Context()); err == nil || len(w.mails()) > 1 {
				t.Fatalf("it was taken: %v, %d mails", err, len(w.mails()))
			}
			if got := w.value("shipwarden_recorder_digest_overdue_seconds", ""); got != 1800 {
				t.Errorf("overdue for %v seconds", got)
			}
			before := len(w.mails())
			_ = d.Pass(t.Context())
			if len(w.mails()) != before {
				t.Error("it was tried again at once")
			}
			for range 8 {
				w.now = w.now.Add(time.Hour)
				_ = d.Pass(t.Context())
			}
			got := w.to()
			slices.Sort(got)
			if diff := cmp.Diff([]string{"anna@shop.example", "rita@shop.example"}, got); diff != "" {
				t.Errorf("to (-want +got):\n%s", diff)
			}
			if w.value("shipwarden_recorder_digest_overdue_seconds", "") != 0 || w.value("shipwarden_recorder_digests_total", "failed") == 0 {
				t.Error("the metrics do not say so")
			}
		})
	}
}

// A relay that takes mail of nobody is not asked for each of many people again and again.
func TestARelayThatTakesNothingIsNotAskedForEverybody(t *testing.T) {
	w := newWorld(t)
	d := w.begun()
	for i, person := range []string{"anna", "cleo", "dan", "otto"} {
		h := w.wanted(fmt.Sprint("k", i))
		_ = h.Store(h.Next(proceduretest.Person(person), proceduretest.Approval(h.State(), h.Now.Add(time.Hour))))
		w.record(h)
	}
	w.morning(1)
	asked := 0
	w.relay.From = func(string) error { asked++; return later }
	for range 5 {
		_ = d.Pass(t.Context())
	}
	if asked != 3 {
		t.Errorf("asked %d times", asked)
	}
	w.now = w.now.Add(time.Minute)
	w.relay.Set(func(r *mailtest.Relay) { r.From = nil })
	for range 3 {
		_ = d.Pass(t.Context())
	}
	if len(w.mails()) != 5 {
		t.Errorf("to %v", w.to())
	}
}

// Addresses that the relay refuses are no fault of the relay: they keep nobody else waiting.
func TestAddressesThatTheRelayRefusesKeepNobodyElseWaiting(t *testing.T) {
	for name, answer := range map[string]error{"for good": never, "for now": later} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			refused := []string{"a1", "a2", "a3", "a4", "a5", "a6"}
			w.activate("1.1", people(append(refused, "anna", "ben", "cleo", "dan", "otto", "rita", "zoe")...))
			d := w.begun()
			for i, person := range append(refused, "zoe") {
				h := w.wanted(fmt.Sprint("k", i))
				_ = h.Store(h.Next(proceduretest.Person(person), proceduretest.Approval(h.State(), h.Now.Add(time.Hour))))
				w.record(h)
			}
			w.relay.Rcpt = func(to string) error {
				if strings.HasPrefix(to, "a") && !strings.HasPrefix(to, "anna@") {
					return answer
				}
				return nil
			}
			w.morning(1)
			if err := d.Pass(t.Context()); err == nil {
				t.Error("nothing waits")
			}
			if diff := cmp.Diff([]string{"otto@shop.example", "rita@shop.example", "zoe@shop.example"}, w.to()); diff != "" {
				t.Errorf("to (-want +got):\n%s", diff)
			}
		})
	}
}

// Mails at which the relay hangs up are tried after those that it may take.
func TestMailsThatFailedAreTriedAfterTheOthers(t *testing.T) {
	w := newWorld(t)
	w.activate("1.1", people("a1", "a2", "a3", "anna", "ben", "cleo", "dan", "otto", "rita", "zoe"))
	d := w.begun()
	for i, person := range []string{"a1", "a2", "a3", "zoe"} {
		h := w.wanted(fmt.Sprint("k", i))
		_ = h.Store(h.Next(proceduretest.Person(person), proceduretest.Approval(h.State(), h.Now.Add(time.Hour))))
		w.record(h)
	}
	w.relay.Rcpt = func(to string) error {
		if strings.HasPrefix(to, "a") && !strings.HasPrefix(to, "anna@") {
			return closing
		}
		return nil
	}
	w.morning(1)
	for range 2 {
		_ = d.Pass(t.Context())
		w.now = w.now.Add(time.Hour)
	}
	if diff := cmp.Diff([]string{"otto@shop.example", "rita@shop.example", "zoe@shop.example"}, w.to()); diff != "" {
		t.Errorf("to (-want +got):\n%s", diff)
	}
}

// A recorder that was down tells every day that it missed, once, up to a week; of the
// others it says that nobody is told.
func TestARecorderThatWasDownTellsEachMissedDayOnce(t *testing.T) {
	for away, want := range map[int]int{3: 3, 20: digest.MaxDays} {
		w := newWorld(t)
		d := w.begun()
		for day := range away {
			if day > 0 {
				w.morning(day)
			}
			h := w.wanted(fmt.Sprint("k", day))
			h.Do(t, "anna", proceduretest.Reject())
			w.record(h)
		}
		w.morning(away)
		w.pass(d)
		w.pass(w.open())
		d = w.open()
		w.pass(d)
		days := map[string]bool{}
		for _, m := range w.mails() {
			if m.to == "anna@shop.example" {
				days[m.subject] = true
				if strings.Count(m.text, "rejected by anna") != 1 {
					t.Errorf("%d days: %s", away, m.text)
				}
			}
		}
		if len(days) != want || len(w.mails()) != 2*want {
			t.Errorf("away for %d days: %d mails of %d days, want %d", away, len(w.mails()), len(days), want)
		}
		var skipped int
		conn := recordertest.Connect(t, w.dsn, "shipwarden_reader")
		if err := conn.QueryRow(t.Context(), "select count(*) from digest_days where kind = 'skipped'").Scan(&skipped); err != nil || skipped != away-want {
			t.Errorf("away for %d days: %d are skipped, %v", away, skipped, err)
		}
	}
}

func TestAClockThatJumpsTellsNothingBeforeItsTimeAndNothingTwice(t *testing.T) {
	w := newWorld(t)
	d := w.begun()
	w.approved("one", "anna")
	w.morning(1)
	honest := w.now
	w.end = func() (record.End, error) { return record.End{Last: w.stream.Last, At: honest}, nil }
	w.now = honest.AddDate(0, 1, 0)
	if err := d.Pass(t.Context()); !errors.Is(err, digest.ErrBehind) {
		t.Errorf("a month ahead: %v", err)
	}
	if diff := cmp.Diff([]string{"anna@shop.example", "rita@shop.example"}, w.to()); diff != "" {
		t.Errorf("the day that is over by both clocks (-want +got):\n%s", diff)
	}
	w.now = honest.AddDate(0, -1, 0)
	w.pass(d)
	w.now = honest
	w.approved("two", "cleo")
	w.pass(d)
	if len(w.mails()) != 2 {
		t.Errorf("%d mails", len(w.mails()))
	}
	w.morning(2)
	honest = w.now
	w.pass(d)
	if diff := cmp.Diff([]string{"cleo@shop.example", "rita@shop.example"}, w.to()[2:]); diff != "" {
		t.Errorf("the next day (-want +got):\n%s", diff)
	}
}

// A message that the bus stamped with an earlier time than one before it is in a mail all
// the same, and in one.
func TestAMessageThatTheBusStampedWrongIsInOneMail(t *testing.T) {
	w := newWorld(t)
	d := w.begun()
	h := w.wanted("one")
	w.record(h)
	w.stream.Now = w.now.AddDate(0, 0, 1)
	w.approved("ahead", "anna")
	w.stream.Now = w.now.Add(time.Hour)
	approves(t, h, "cleo")
	w.record(h)
	w.morning(1)
	w.pass(d)
	w.morning(2)
	w.pass(d)
	if got := strings.Join(w.to(), " "); strings.Count(got, "anna@") != 1 || strings.Count(got, "cleo@") != 1 {
		t.Errorf("to %s", got)
	}
}

func TestADayWaitsUntilTheRecordGoesPastItsEnd(t *testing.T) {
	w := newWorld(t)
	d := w.begun()
	h := w.wanted("one")
	w.record(h)
	approves(t, h, "anna") // in the stream, and not on record
	w.morning(1)
	if err := d.Pass(t.Context()); !errors.Is(err, digest.ErrBehind) || len(w.mails()) != 0 {
		t.Errorf("behind: %v, %d mails", err, len(w.mails()))
	}
	w.now = w.now.Add(time.Hour)
	if got := w.value("shipwarden_recorder_digest_overdue_seconds", ""); got != 5400 {
		t.Errorf("overdue for %v seconds", got)
	}
	honest := w.end
	w.end = func() (record.End, error) { return record.End{}, record.ErrStopped }
	if err := d.Pass(t.Context()); !errors.Is(err, digest.ErrBehind) || !errors.Is(err, record.ErrStopped) || len(w.mails()) != 0 {
		t.Errorf("stopped: %v, %d mails", err, len(w.mails()))
	}
	w.end = honest
	w.record(h)
	w.pass(d)
	if diff := cmp.Diff([]string{"anna@shop.example", "rita@shop.example"}, w.to()); diff != "" {
		t.Errorf("to (-want +got):\n%s", diff)
	}
}

func TestADocumentThatCannotBeReadHasItsDayWait(t *testing.T) {
	w := newWorld(t)
	d := w.begun()
	w.approved("one", "anna")
	kept := w.documents
	w.documents = map[string]string{}
	w.morning(1)
	if err := d.Pass(t.Context()); !errors.Is(err, errUnread) || len(w.mails()) != 0 {
		t.Errorf("got %v, %d mails", err, len(w.mails()))
	}
	w.documents = kept
	w.pass(d)
	if len(w.mails()) != 2 {
		t.Errorf("%d mails", len(w.mails()))
	}
}

// Whoever puts a document into effect that is in no store keeps no mail from anybody.
func TestADocumentThatIsInNoStoreHasNobodyWaitForLong(t *testing.T) {
	var log bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))
	t.Cleanup(func() { slog.SetDefault(before) })
	w := newWorld(t)
	d := w.begun()
	w.approved("one", "anna")
	w.stream.Now = w.stream.Now.Add(time.Minute)
	w.activate("1.1", "people: []\n")
	missing := policy.Digest([]byte("people: []\n"))
	delete(w.documents, missing)
	w.morning(1)
	if err := d.Pass(t.Context()); !errors.Is(err, errUnread) || len(w.mails()) != 0 {
		t.Errorf("it is not waited for: %v, %d mails", err, len(w.mails()))
	}
	w.now = w.now.Add(time.Hour)
	w.pass(d)
	if diff := cmp.Diff([]string{"anna@shop.example", "otto@shop.example", "rita@shop.example"}, w.to()); diff != "" {
		t.Fatalf("to (-want +got):\n%s", diff)
	}
	if got := w.mails()[0].text; !strings.Contains(got, "Version 1.1 of the procedure document could not be read") || !strings.Contains(got, missing) || !strings.Contains(got, "1. approved by anna\n") {
		t.Errorf("anna's mail:\n%s", got)
	}
	if strings.Count(log.String(), "level=ERROR") != 1 || !strings.Contains(log.String(), "digest="+missing) {
		t.Errorf("the log says:\n%s", log.String())
	}
}

func TestWhatPeopleWroteStaysInItsLine(t *testing.T) {
	w := newWorld(t)
	d := w.begun()
	h := w.wanted("one")
	const evil = "no\r\n.\r\nMAIL FROM:<eve@evil.example>\r\nBcc: eve@evil.example\n\n2. approved by \u202eanna\x1b[2J\u2028   signed: yes"
	h.Do(t, "anna", &releasev1.Event{Data: &releasev1.Event_Rejected{Rejected: &releasev1.Rejected{Reason: evil + strings.Repeat(" long", 1000)}}})
	w.record(h)
	w.morning(1)
	w.pass(d)
	got := w.mails()[0]
	if !strings.Contains(got.text, "1. rejected by anna: no . MAIL FROM:<eve@evil.example> Bcc: eve@evil.example 2. approved by anna[2J signed: yes long") ||
		strings.Contains(got.text, "\n2. ") || strings.Contains(got.text, "signed: yes\n") || got.header.Get("Bcc") != "" || len(got.text) > 4000 {
		t.Errorf("%v\n%s", got.header, got.text)
	}
	if len(w.mails()) != 2 || got.to != "anna@shop.example" {
		t.Errorf("to %v", w.to())
	}
}

// A document that somebody put into effect past every check makes nobody of nonsense.
func TestWhoeverIsNobodyInADocumentThatWasNotCheckedGetsNoMail(t *testing.T) {
	w := newWorld(t)
	const id = "anna\r\nBcc: eve@evil.example"
	w.stream.Now = w.now.AddDate(0, 0, -1)
	w.activate("1.1", someone+"  - {id: \"anna\\r\\nBcc: eve@evil.example\", contacts: [{kind: KIND_MAIL, address: eve@evil.example}]}\n  - {id: bob, contacts: [{kind: KIND_MAIL, address: \"b@shop.example>\\r\\nRCPT TO:<eve@evil.example\"}]}\n")
	w.stream.Now = w.now
	d := w.begun()
	h := w.wanted("one")
	for _, who := range []string{id, "bob"} {
		if h.Store(h.Next(proceduretest.Person(who), proceduretest.Approval(h.State(), h.Now.Add(time.Hour)))) == nil {
			t.Fatal("an approval of somebody without groups counts")
		}
	}
	w.record(h)
	w.morning(1)
	w.pass(d)
	if diff := cmp.Diff([]string{"rita@shop.example"}, w.to()); diff != "" {
		t.Errorf("to (-want +got):\n%s", diff)
	}
	if w.value("shipwarden_recorder_digest_unlisted_total", "nobody") != 1 || w.value("shipwarden_recorder_digests_total", "unreachable") != 1 {
		t.Error("the metrics do not say so")
	}
}

// What no known key vouches for names nobody; what a service signed and the record does not
// count is told apart. Neither is lost.
func TestWhatDoesNotCountIsToldApartAndWhatNobodySignedIsInNobodysMail(t *testing.T) {
	w := newWorld(t)
	d := w.begun()
	h := w.approved("one", "anna")
	again := h.Next(proceduretest.Person("cleo"), proceduretest.Approval(h.State(), h.Now.Add(time.Hour)))
	again.Event.Previous = &releasev1.Previous{Sequence: 1, Sha256: make([]byte, 32)}
	if h.Store(again) == nil {
		t.Fatal("a stale approval counts")
	}
	w.record(h)
	forged := h.Next(proceduretest.Person("dan"), proceduretest.Approval(h.State(), h.Now.Add(time.Hour)))
	w.stream.Last++
	w.write(ledger.Message{
		Sequence: w.stream.Last, Subject: envelope.Subject(forged.Event), Header: ledger.EncodeHeader(nats.Header{}), Body: proceduretest.Body(forged.Event),
		Stored: h.Now, Refused: errors.New("not signed"),
	})
	nobody := w.wanted("two")
	stranger := nobody.Next(proceduretest.Person("mallory"), proceduretest.Approval(nobody.State(), nobody.Now.Add(time.Hour)))
	if nobody.Store(stranger) == nil {
		t.Fatal("an approval of somebody without groups counts")
	}
	w.record(nobody)
	w.morning(1)
	w.pass(d)
	if diff := cmp.Diff([]string{"anna@shop.example", "cleo@shop.example", "rita@shop.example"}, w.to()); diff != "" {
		t.Fatalf("to (-want +got):\n%s", diff)
	}
	if got := w.mails()[1].text; !strings.Contains(got, "Nothing that counts.\n\nThis names you as well, and counts for nothing:\n\n1. approved by cleo\n") || !strings.Contains(got, "   does not count: ") {
		t.Errorf("cleo's mail:\n%s", got)
	}
	if w.value("shipwarden_recorder_digest_unlisted_total", "unverified") != 1 || w.value("shipwarden_recorder_digest_unlisted_total", "nobody") != 1 {
		t.Error("what is in nobody's mail is not counted")
	}
}

func TestWhoeverHasNoAddressIsCountedAndNamedOnce(t *testing.T) {
	var log bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))
	t.Cleanup(func() { slog.SetDefault(before) })
	w := newWorld(t)
	w.stream.Now = w.now.AddDate(0, 0, -1)
	w.activate("1.1", strings.Replace(someone, "dan@shop.example", "nobody", 1))
	w.stream.Now = w.now
	d := w.begun()
	w.approved("one", "dan")
	w.morning(1)
	w.pass(d)
	w.pass(d)
	if w.value("shipwarden_recorder_digests_total", "unreachable") != 1 || strings.Count(log.String(), "person=dan") != 1 || !strings.Contains(log.String(), "result=unreachable") {
		t.Errorf("the log says:\n%s", log.String())
	}
	if strings.Contains(log.String(), "@") || strings.Contains(log.String(), password) {
		t.Errorf("the log has an address:\n%s", log.String())
	}
	if diff := cmp.Diff([]string{"rita@shop.example"}, w.to()); diff != "" {
		t.Errorf("to (-want +got):\n%s", diff)
	}
}

// Nobody keeps a mail from somebody by changing where it goes.
func TestAnAddressThatWasChangedIsToldAtBoth(t *testing.T) {
	w := newWorld(t)
	d := w.begun()
	w.approved("one", "anna")
	w.stream.Now = w.stream.Now.Add(time.Minute)
	w.activate("1.1", strings.Replace(strings.Replace(someone, "anna@shop.example", "eve@evil.example", 1), "dan@shop.example", "nobody", 1))
	w.morning(1)
	w.pass(d)
	if diff := cmp.Diff([]string{"anna@shop.example eve@evil.example", "dan@shop.example", "otto@shop.example", "rita@shop.example"}, w.to()); diff != "" {
		t.Errorf("to (-want +got):\n%s", diff)
	}
	for _, m := range w.mails()[:2] {
		if !strings.Contains(m.text, "your mail address was changed or removed by version 1.1 of the procedure document") {
			t.Errorf("%s:\n%s", m.to, m.text)
		}
	}
}

// Whoever changes an address to one that no relay takes keeps no mail from the old one, and
// each address gets it once, whichever recorder sends it.
func TestAnAddressThatNoRelayTakesKeepsNoMailFromTheOldOne(t *testing.T) {
	for name, answer := range map[string]error{"for now": later, "hangs up": closing} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			d := w.begun()
			w.approved("one", "anna")
			w.stream.Now = w.stream.Now.Add(time.Minute)
			w.activate("1.1", strings.Replace(someone, "anna@shop.example", "anna@a-no-such-domain.invalid", 1))
			w.relay.Rcpt = func(to string) error {
				if strings.HasSuffix(to, ".invalid") {
					return answer
				}
				return nil
			}
			w.morning(1)
			for range 6 {
				_ = d.Pass(t.Context())
				_ = w.open().Pass(t.Context())
				w.now = w.now.Add(90 * time.Minute)
			}
			got := w.to()
			slices.Sort(got)
			if diff := cmp.Diff([]string{"anna@shop.example", "otto@shop.example", "rita@shop.example"}, got); diff != "" {
				t.Fatalf("to (-want +got):\n%s", diff)
			}
			if w.value("shipwarden_recorder_digest_overdue_seconds", "") == 0 {
				t.Error("nothing is overdue")
			}
			w.relay.Set(func(r *mailtest.Relay) { r.Rcpt = nil })
			for range 6 {
				w.now = w.now.Add(90 * time.Minute)
				_ = d.Pass(t.Context())
			}
			w.pass(w.open())
			if diff := cmp.Diff([]string{"anna@a-no-such-domain.invalid"}, w.to()[3:]); diff != "" {
				t.Errorf("to (-want +got):\n%s", diff)
			}
			if mails := w.mails(); mails[3].id != mails[0].id && mails[3].id != mails[1].id && mails[3].id != mails[2].id {
				t.Error("it is another mail")
			}
			if w.value("shipwarden_recorder_digest_overdue_seconds", "") != 0 {
				t.Error("something is overdue")
			}
		})
	}
}

// While a mail waits, what is known of the day stays as it is, and of addresses it does not.
func TestAMailThatWaitsGoesToAnAddressThatIsGivenMeanwhileAsWell(t *testing.T) {
	w := newWorld(t)
	d := w.begun()
	h := w.approved("one", "anna")
	w.relay.Data = []error{later, later, nil}
	w.morning(1)
	_ = d.Pass(t.Context())
	approves(t, h, "ben")
	w.record(h)
	w.activate("1.1", strings.Replace(someone, "anna@shop.example", "anna@new.example", 1))
	w.now = w.now.Add(time.Hour)
	w.pass(d)
	if diff := cmp.Diff([]string{"anna@new.example anna@shop.example", "rita@shop.example"}, w.to()); diff != "" {
		t.Errorf("to (-want +got):\n%s", diff)
	}
	if got := w.mails()[0].text; !strings.Contains(got, "1. approved by anna\n") || strings.Contains(got, "ben") || strings.Contains(got, "2. ") {
		t.Errorf("anna's mail:\n%s", got)
	}
}

// A crash after the relay took it for one of two addresses shows it twice there at the most.
func TestACrashBetweenTwoAddressesShowsOneMailTwiceAtTheMost(t *testing.T) {
	w := newWorld(t)
	crash := func(c *digest.Config) { c.Relay = &crashing{Relay: c.Relay, times: 1} }
	d := w.begun(crash)
	w.approved("one", "anna")
	w.stream.Now = w.stream.Now.Add(time.Minute)
	w.activate("1.1", strings.Replace(someone, "anna@shop.example", "anna@new.example", 1))
	answers := 0
	w.relay.Rcpt = func(to string) error {
		if answers++; to == "anna@new.example" && answers < 8 {
			return later
		}
		return nil
	}
	w.morning(1)
	for range 12 {
		_ = d.Pass(t.Context())
		w.now = w.now.Add(90 * time.Minute)
	}
	got := strings.Join(w.to(), " ")
	if strings.Count(got, "anna@shop.example") != 2 || strings.Count(got, "anna@new.example") != 1 {
		t.Errorf("to %s", got)
	}
}

func TestAMailThatNoRelayTakesForAWeekIsGivenUp(t *testing.T) {
	w := newWorld(t)
	d := w.begun()
	w.approved("one", "anna")
	w.relay.Rcpt = only("nobody")
	for day := 1; day <= digest.MaxDays+1; day++ {
		w.morning(day)
		_ = d.Pass(t.Context())
		if got := w.value("shipwarden_recorder_digests_total", "given_up"); got != 0 && day <= digest.MaxDays {
			t.Fatalf("given up after %d days", day)
		}
	}
	if got := w.value("shipwarden_recorder_digests_total", "given_up"); got != 2 || len(w.mails()) != 0 {
		t.Errorf("%v are given up, %d mails", got, len(w.mails()))
	}
}

var (
	later   = &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCodeNotSet, Message: "later " + password}
	closing = &smtp.SMTPError{Code: 421, EnhancedCode: smtp.EnhancedCodeNotSet, Message: "closing"}
	never   = &smtp.SMTPError{Code: 554, EnhancedCode: smtp.EnhancedCodeNotSet, Message: "never " + password}
)

// only has a relay take mail for nobody else.
func only(person string) func(string) error {
	return func(to string) error {
		if strings.HasPrefix(to, person+"@") {
			return nil
		}
		return never
	}
}

// times has a relay answer so to the first addresses.
func times(n int, err error) func(string) error {
	return func(string) error {
		if n--; n >= 0 {
			return err
		}
		return nil
	}
}

// turning is one relay at first, and then another one.
type turning struct {
	digest.Relay

	then  digest.Relay
	after int
}

func (r *turning) SendPart(ctx context.Context, to []string, letter []byte, before func() error) (mail.Result, error) {
	if r.after--; r.after >= 0 {
		return r.Relay.SendPart(ctx, to, letter, before)
	}
	return r.then.SendPart(ctx, to, letter, before)
}
