package envelope_test

import (
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/blackdice/shipwarden/internal/envelope"
	"github.com/blackdice/shipwarden/internal/envelope/envelopetest"
)

// TestReopenBelievesWhatOpenDoesAndNothingElse has an event as the record keeps it.
func TestReopenBelievesWhatOpenDoesAndNothingElse(t *testing.T) {
	m, err := envelope.Seal(envelopetest.Signer("approval"), event())
	if err != nil {
		t.Fatal(err)
	}
	opened, key, err := envelope.Open(envelopetest.Ring(), m.Subject, m.Header, m.Data, 7, happened)
	if err != nil {
		t.Fatal(err)
	}
	signature := signatureIn(t, m.Header.Get(envelope.SignatureHeader))
	again, err := envelope.Reopen(envelopetest.Ring(), m.Subject, key, signature, m.Data, 7, happened)
	if diff := cmp.Diff(opened, again, protocmp.Transform()); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
	flipped := func(b []byte) []byte {
		b = slices.Clone(b)
		b[len(b)/2] ^= 1
		return b
	}
	for name, test := range map[string]struct {
		subject, key    string
		signature, body []byte
		want            error
	}{
		"another body":      {m.Subject, key, signature, flipped(m.Data), envelope.ErrSignature},
		"another signature": {m.Subject, key, flipped(signature), m.Data, envelope.ErrSignature},
		"no signature":      {m.Subject, key, nil, m.Data, envelope.ErrSignature},
		"another key":       {m.Subject, envelopetest.KeyID("recorder"), signature, m.Data, envelope.ErrSignature},
		"an unknown key":    {m.Subject, "nobody", signature, m.Data, envelope.ErrUnknownKey},
		"another subject":   {m.Subject + "n", key, signature, m.Data, envelope.ErrSubject},
	} {
		if _, err := envelope.Reopen(envelopetest.Ring(), test.subject, test.key, test.signature, test.body, 7, happened); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
	}
}

func signatureIn(t *testing.T, header string) []byte {
	t.Helper()
	_, text, _ := strings.Cut(header, " ")
	signature, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return signature
}
