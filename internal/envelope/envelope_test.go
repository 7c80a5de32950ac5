package envelope_test

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/internal/envelope"
	"github.com/blackdice/shipwarden/internal/envelope/envelopetest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

const (
	subject = "rel.shop-k7q2m3xw5d8ta4bc.approval.withdrawn"
	id      = "0198c6a4-7c1e-7d3a-9b1f-2f6a1c0d9e11"
	cause   = "0198c6a4-7c1e-7d3a-9b1f-2f6a1c0d9e10"
)

var happened = time.Date(2026, 11, 23, 20, 5, 0, 123_456_789, time.UTC)

func event() *releasev1.Event {
	return &releasev1.Event{
		Id: id, Aggregate: "rel.shop-k7q2m3xw5d8ta4bc", Writer: "approval", Time: timestamppb.New(happened), CausationId: cause,
		Actor: &releasev1.Actor{Id: "ann", Kind: releasev1.Actor_KIND_HUMAN},
		Data:  &releasev1.Event_Withdrawn{Withdrawn: &releasev1.Withdrawn{Reason: "not today"}},
	}
}

func seal(t *testing.T, writer string, e *releasev1.Event) *nats.Msg {
	t.Helper()
	m, err := envelope.Seal(envelopetest.Signer(writer), e)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestASealedEventIsOpenedAsItWas(t *testing.T) {
	m := seal(t, "approval", event())
	stored := happened.Add(time.Millisecond)
	entry, key, err := envelope.Open(envelopetest.Ring(), m.Subject, m.Header, m.Data, 7, stored)
	if err != nil {
		t.Fatal(err)
	}
	if m.Subject != subject || key != "approval-test" || entry.Sequence != 7 || !entry.Stored.Equal(stored) || entry.Digest != sha256.Sum256(m.Data) {
		t.Errorf("subject %s, key %s, entry %+v", m.Subject, key, entry)
	}
	if diff := cmp.Diff(event(), entry.Event, protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
}

// The headers are contract: plain clients read them.
func TestHeadersAreThoseOfACloudEvent(t *testing.T) {
	m := seal(t, "approval", event())
	got := map[string]string{}
	for name, values := range m.Header {
		if name != envelope.SignatureHeader {
			got[name] = strings.Join(values, "|")
		}
	}
	want := map[string]string{
		"ce-specversion": "1.0", "ce-id": id, "Nats-Msg-Id": id, "ce-source": "/shipwarden/approval",
		"ce-type": "shipwarden.release.v1.withdrawn", "ce-subject": "rel.shop-k7q2m3xw5d8ta4bc",
		"ce-time": "2026-11-23T20:05:00.123456789Z", "ce-datacontenttype": "application/protobuf",
		"ce-correlationid": "shop-k7q2m3xw5d8ta4bc", "ce-causationid": cause,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// Whoever wants to check an event without this package can: the encoding is DSSE's.
func TestTheSignatureIsOverThePreAuthenticationEncoding(t *testing.T) {
	m := seal(t, "approval", event())
	key, text, _ := strings.Cut(m.Header.Get(envelope.SignatureHeader), " ")
	signature, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	const payloadType = "application/vnd.shipwarden.event.v1+protobuf"
	pae := fmt.Appendf(nil, "DSSEv1 %d %s %d %s", len(payloadType), payloadType, len(m.Data), m.Data)
	if key != "approval-test" || !ed25519.Verify(envelopetest.Signer("approval").Public(), pae, signature) {
		t.Errorf("signature of %q does not verify", key)
	}
}

// sign signs any bytes as an event of the writer, with headers that fit e.
func sign(t *testing.T, writer string, e *releasev1.Event, body []byte) *nats.Msg {
	t.Helper()
	m := seal(t, e.GetWriter(), e)
	pae := fmt.Appendf(nil, "DSSEv1 %d %s %d %s", len(envelope.PayloadType), envelope.PayloadType, len(body), body)
	signature := ed25519.Sign(envelopetest.PrivateKey(writer), pae)
	m.Header[envelope.SignatureHeader] = []string{envelopetest.KeyID(writer) + " " + base64.StdEncoding.EncodeToString(signature)}
	m.Data = body
	return m
}

func changed(change func(*releasev1.Event)) []byte {
	e := event()
	change(e)
	body, err := proto.Marshal(e)
	if err != nil {
		panic(err)
	}
	return body
}

func TestWhatIsNotAuthenticIsRefused(t *testing.T) {
	header := func(change func(nats.Header)) func(*testing.T) *nats.Msg {
		return func(t *testing.T) *nats.Msg {
			m := seal(t, "approval", event())
			m.Header = maps.Clone(m.Header)
			change(m.Header)
			return m
		}
	}
	body := func(writer string, change func(*releasev1.Event)) func(*testing.T) *nats.Msg {
		return func(t *testing.T) *nats.Msg { return sign(t, writer, event(), changed(change)) }
	}
	on := func(subject string) func(*testing.T) *nats.Msg {
		return func(t *testing.T) *nats.Msg {
			m := seal(t, "approval", event())
			m.Subject = subject
			return m
		}
	}
	for _, test := range []struct {
		name    string
		message func(*testing.T) *nats.Msg
		want    error
	}{
		{"the server's answer stored as an event", func(*testing.T) *nats.Msg {
			return &nats.Msg{Subject: subject, Data: []byte(`{"stream":"REL","seq":7}`)}
		}, envelope.ErrUnsigned},
		{"no signature", header(func(h nats.Header) { delete(h, envelope.SignatureHeader) }), envelope.ErrUnsigned},
		{"two signatures", header(func(h nats.Header) { h.Add(envelope.SignatureHeader, "approval-test AAAA") }), envelope.ErrUnsigned},
		{"a signature without a key", header(func(h nats.Header) { h.Set(envelope.SignatureHeader, "AAAA") }), envelope.ErrUnsigned},
		{"an unknown key", header(func(h nats.Header) {
			h.Set(envelope.SignatureHeader, strings.Replace(h.Get(envelope.SignatureHeader), "approval-test", "approval-2", 1))
		}), envelope.ErrUnknownKey},
		{"a signature of another key", header(func(h nats.Header) {
			h.Set(envelope.SignatureHeader, strings.Replace(h.Get(envelope.SignatureHeader), "approval-test", "executor-test", 1))
		}), envelope.ErrSignature},
		{"a signature that is no base64", header(func(h nats.Header) { h.Set(envelope.SignatureHeader, "approval-test !") }), envelope.ErrSignature},
		{"a short signature", header(func(h nats.Header) { h.Set(envelope.SignatureHeader, "approval-test AAAA") }), envelope.ErrSignature},
		{"a changed body", func(t *testing.T) *nats.Msg {
			m := seal(t, "approval", event())
			m.Data = append([]byte{}, m.Data...)
			m.Data[len(m.Data)-1] ^= 1
			return m
		}, envelope.ErrSignature},
		{"a signed body that is no event", func(t *testing.T) *nats.Msg { return sign(t, "approval", event(), []byte("\xff\xff")) }, envelope.ErrMalformed},
		{"the key of another service", body("executor", func(*releasev1.Event) {}), envelope.ErrWriter},
		{"an event that the service may not write", body("approval", func(e *releasev1.Event) {
			e.Data = &releasev1.Event_ExecutionFinished{ExecutionFinished: &releasev1.ExecutionFinished{}}
		}), envelope.ErrWriter},
		{"an event without data", body("approval", func(e *releasev1.Event) { e.Data = nil }), envelope.ErrSchema},
		{"another schema", header(func(h nats.Header) { h.Set("ce-type", "shipwarden.release.v2.withdrawn") }), envelope.ErrSchema},
		{"an id that is no UUIDv7", body("approval", func(e *releasev1.Event) { e.Id = "1" }), envelope.ErrMalformed},
		{"no time", body("approval", func(e *releasev1.Event) { e.Time = nil }), envelope.ErrMalformed},
		{"an impossible time", body("approval", func(e *releasev1.Event) { e.Time.Nanos = -1 }), envelope.ErrMalformed},
		{"an aggregate with a wildcard", body("approval", func(e *releasev1.Event) { e.Aggregate = "rel.*" }), envelope.ErrSubject},
		{"an aggregate of three tokens", body("approval", func(e *releasev1.Event) { e.Aggregate = "rel.a.b" }), envelope.ErrSubject},
		{"another release's subject", on("rel.other.approval.withdrawn"), envelope.ErrSubject},
		{"another type's subject", on("rel.shop-k7q2m3xw5d8ta4bc.approval.authorized"), envelope.ErrSubject},
		{"another writer's subject", on("rel.shop-k7q2m3xw5d8ta4bc.executor.withdrawn"), envelope.ErrSubject},
		{"a subject with a tail", on(subject + ".x"), envelope.ErrSubject},
		{"a header of another event", header(func(h nats.Header) { h.Set("ce-id", cause) }), envelope.ErrHeader},
		{"another version of CloudEvents", header(func(h nats.Header) { h.Set("ce-specversion", "0.3") }), envelope.ErrHeader},
		{"a header that is missing", header(func(h nats.Header) { delete(h, "ce-source") }), envelope.ErrHeader},
		{"a header that is there twice", header(func(h nats.Header) { h.Add("ce-time", h.Get("ce-time")) }), envelope.ErrHeader},
		{"a header in two spellings", header(func(h nats.Header) { h["Ce-Id"] = []string{cause} }), envelope.ErrHeader},
		{"another message id", header(func(h nats.Header) { h.Set(nats.MsgIdHdr, cause) }), envelope.ErrHeader},
		{"a cause that the event does not name", body("approval", func(e *releasev1.Event) { e.CausationId = "" }), envelope.ErrHeader},
		{"too large", func(t *testing.T) *nats.Msg { return sign(t, "approval", event(), make([]byte, envelope.MaxBody+1)) }, envelope.ErrTooLarge},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := test.message(t)
			_, _, err := envelope.Open(envelopetest.Ring(), m.Subject, m.Header, m.Data, 7, happened)
			if !errors.Is(err, test.want) {
				t.Errorf("open got %v, want %v", err, test.want)
			}
			if envelope.Reason(err) == "other" {
				t.Errorf("no reason for %v", err)
			}
		})
	}
}

func TestARevokedKeyCountsForWhatWasStoredBefore(t *testing.T) {
	cfg := envelopetest.Config()
	cfg.Keys[0].RevokedAfterSequence = 100
	ring, err := envelope.NewKeyring(cfg)
	if err != nil {
		t.Fatal(err)
	}
	m := seal(t, "approval", event())
	if _, _, err := envelope.Open(ring, m.Subject, m.Header, m.Data, 100, happened); err != nil {
		t.Errorf("at the bound: %v", err)
	}
	if _, _, err := envelope.Open(ring, m.Subject, m.Header, m.Data, 101, happened); !errors.Is(err, envelope.ErrRevokedKey) {
		t.Errorf("after the bound: %v, want a revoked key", err)
	}
}

func TestWhatCanNotBeOpenedIsNotSealed(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*releasev1.Event)
		want   error
	}{
		"another writer":          {func(e *releasev1.Event) { e.Writer = "executor" }, envelope.ErrWriter},
		"an unknown writer":       {func(e *releasev1.Event) { e.Writer = "a.b" }, envelope.ErrMalformed},
		"a release with a dot":    {func(e *releasev1.Event) { e.Aggregate = "rel.a.b" }, envelope.ErrSubject},
		"an unknown aggregate":    {func(e *releasev1.Event) { e.Aggregate = "foo.a" }, envelope.ErrSubject},
		"a newline in the cause":  {func(e *releasev1.Event) { e.CausationId = "a\r\nb" }, envelope.ErrMalformed},
		"no id":                   {func(e *releasev1.Event) { e.Id = "" }, envelope.ErrMalformed},
		"an id in capitals":       {func(e *releasev1.Event) { e.Id = strings.ToUpper(id) }, envelope.ErrMalformed},
		"no data":                 {func(e *releasev1.Event) { e.Data = nil }, envelope.ErrSchema},
		"more than a stream take": {func(e *releasev1.Event) { e.GetWithdrawn().Reason = strings.Repeat("x", envelope.MaxBody) }, envelope.ErrTooLarge},
		"text that is not UTF-8":  {func(e *releasev1.Event) { e.GetWithdrawn().Reason = "\xff" }, envelope.ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			e := event()
			test.change(e)
			if _, err := envelope.Seal(envelopetest.Signer("approval"), e); !errors.Is(err, test.want) {
				t.Errorf("seal got %v, want %v", err, test.want)
			}
		})
	}
}
