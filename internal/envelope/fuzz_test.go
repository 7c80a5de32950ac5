package envelope_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/secure-systems-lab/go-securesystemslib/dsse"

	"github.com/blackdice/shipwarden/internal/envelope"
	"github.com/blackdice/shipwarden/internal/envelope/envelopetest"
	"github.com/blackdice/shipwarden/internal/shaketest"
)

// FuzzOpen opens whatever can lie on the stream. Half of the messages are signed
// with a trusted key, so that what comes after the signature is reached: a service
// that was taken over can sign anything.
func FuzzOpen(f *testing.F) {
	m, err := envelope.Seal(envelopetest.Signer("approval"), event())
	if err != nil {
		f.Fatal(err)
	}
	lines := func(h nats.Header) string {
		var b strings.Builder
		for name, values := range h {
			for _, v := range values {
				b.WriteString(name + ": " + v + "\n")
			}
		}
		return b.String()
	}
	shaketest.Add(f, m.Subject, lines(m.Header), m.Data, false)
	shaketest.Add(f, m.Subject, lines(m.Header), m.Data, true)
	shaketest.Add(f, "rel.a.approval.requested", "", []byte(`{"stream":"REL","seq":7}`), false)
	shaketest.Add(f, "rel.a.approval.requested", "Shipwarden-Signature: approval-test\n", []byte{}, false)
	shaketest.Add(f, "tgt.a.executor.target_locked", "ce-id: x\nCE-ID: y\n", []byte{0x0a, 0xff, 0xff, 0xff, 0x0f}, true)
	shaketest.Add(f, ">", "Shipwarden-Signature:  \n", []byte("\xff"), true)
	ring := envelopetest.Ring()
	f.Fuzz(func(t *testing.T, subject, headers string, body []byte, signed bool) {
		header := nats.Header{}
		for line := range strings.Lines(headers) {
			if name, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), ": "); ok {
				header[name] = append(header[name], value)
			}
		}
		if signed {
			signature := ed25519.Sign(envelopetest.PrivateKey("approval"), dsse.PAE(envelope.PayloadType, body))
			header[envelope.SignatureHeader] = []string{"approval-test " + base64.StdEncoding.EncodeToString(signature)}
		}
		entry, key, err := envelope.Open(ring, subject, header, body, 7, happened)
		if err != nil {
			if envelope.Reason(err) == "other" {
				t.Errorf("no reason for %v", err)
			}
			return
		}
		// What was opened can be sealed, and lies where it belongs.
		again, err := envelope.Seal(envelopetest.Signer(entry.Event.GetWriter()), entry.Event)
		if err != nil || again.Subject != subject || key != "approval-test" {
			t.Errorf("opened with %q what seals as %v, %v on %q", key, again, err, subject)
		}
	})
}
