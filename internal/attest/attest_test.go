package attest_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"

	"github.com/blackdice/shipwarden/internal/attest"
)

var key = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))

func good() attest.Statement {
	return attest.Statement{
		Subjects:      []attest.Subject{{Name: "shop", Digest: "sha256:" + strings.Repeat("ab", 32)}},
		PredicateType: "https://slsa.dev/provenance/v1",
		Predicate:     map[string]any{"result": "PASSED"},
	}
}

func TestEnvelopeHoldsTheStatementSigned(t *testing.T) {
	data, err := attest.Sign(good(), "ci", key)
	if err != nil {
		t.Fatal(err)
	}
	var envelope dsse.Envelope
	if err := json.Unmarshal(data, &envelope); err != nil {
		t.Fatal(err)
	}
	payload, err := envelope.DecodeB64Payload()
	if err != nil {
		t.Fatal(err)
	}
	want := `{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"shop","digest":{"sha256":"` + strings.Repeat("ab", 32) +
		`"}}],"predicateType":"https://slsa.dev/provenance/v1","predicate":{"result":"PASSED"}}`
	if string(payload) != want {
		t.Errorf("payload %s\nwant %s", payload, want)
	}
	var signature []byte
	if err := json.Unmarshal([]byte(`"`+envelope.Signatures[0].Sig+`"`), &signature); err != nil {
		t.Fatal(err)
	}
	public, ok := key.Public().(ed25519.PublicKey)
	if !ok || !ed25519.Verify(public, dsse.PAE(attest.PayloadType, payload), signature) || envelope.Signatures[0].KeyID != "ci" {
		t.Error("the signature does not verify")
	}
}

func TestIncompleteStatementsAreNotSigned(t *testing.T) {
	for name, change := range map[string]func(*attest.Statement){
		"no subject":        func(s *attest.Statement) { s.Subjects = nil },
		"no digest":         func(s *attest.Statement) { s.Subjects[0].Digest = "" },
		"digest of another": func(s *attest.Statement) { s.Subjects[0].Digest = "sha512:" + strings.Repeat("ab", 32) },
		"no predicate type": func(s *attest.Statement) { s.PredicateType = "" },
	} {
		t.Run(name, func(t *testing.T) {
			statement := good()
			change(&statement)
			if _, err := attest.Sign(statement, "ci", key); !errors.Is(err, attest.ErrStatement) {
				t.Errorf("error %v", err)
			}
		})
	}
	if _, err := attest.Sign(good(), "ci", nil); !errors.Is(err, attest.ErrKey) {
		t.Errorf("no key: error %v", err)
	}
	statement := good()
	statement.Predicate = func() {}
	if _, err := attest.Sign(statement, "ci", key); err == nil {
		t.Error("a function was signed")
	}
}
