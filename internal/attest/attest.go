// Package attest makes the evidence that gates demand (PD-1.2): an in-toto
// Statement v1 about artifacts, signed with Ed25519, in a DSSE envelope.
//
// It is the counterpart of the verification in the approval service, for whoever
// has no tool of their own: the CLI, the examples and the tests. What cosign,
// witness or a SLSA builder make with an Ed25519 key is as good.
package attest

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"
)

const (
	// PayloadType is the only DSSE payload type that holds a statement.
	PayloadType = "application/vnd.in-toto+json"
	// StatementType is the type of a statement, which Sign makes.
	StatementType = "https://in-toto.io/Statement/v1"
	// StatementTypeV01 is the type of the statements of before that one, which many tools still
	// make. Of those fields that count for anything the two have the same.
	StatementTypeV01 = "https://in-toto.io/Statement/v0.1"
	// WaiverType is the predicate type of waivers (package predicate has its schema).
	WaiverType = "https://github.com/blackdice/shipwarden/predicate/waiver/v1"
)

var (
	// ErrStatement means that a statement lacks what every statement has.
	ErrStatement = errors.New("incomplete statement")
	// ErrKey means that a key is no Ed25519 private key.
	ErrKey = errors.New("no Ed25519 private key")
)

// Statement says something about artifacts.
type Statement struct {
	// Subjects are the artifacts.
	Subjects []Subject
	// PredicateType is the URI of what is said.
	PredicateType string
	// Predicate is what is said; anything that JSON can hold as an object.
	Predicate any
}

// Subject is one artifact.
type Subject struct {
	// Name is for people; nothing is decided by it.
	Name string
	// Digest is its SHA-256, as "sha256:" and 64 lower-case hexadecimal digits.
	Digest string
}

// Sign returns a DSSE envelope (JSON) with the statement, signed by one key under
// the id that the procedure document knows it by. Errors wrap ErrStatement or
// ErrKey, or say that the predicate is nothing that JSON can hold.
func Sign(statement Statement, keyID string, key ed25519.PrivateKey) ([]byte, error) {
	if len(key) != ed25519.PrivateKeySize {
		return nil, fmt.Errorf("sign as %s: %w", keyID, ErrKey)
	}
	payload, err := statement.marshal()
	if err != nil {
		return nil, fmt.Errorf("sign as %s: %w", keyID, err)
	}
	signature := ed25519.Sign(key, dsse.PAE(PayloadType, payload))
	return json.Marshal(dsse.Envelope{
		PayloadType: PayloadType,
		Payload:     base64.StdEncoding.EncodeToString(payload),
		Signatures:  []dsse.Signature{{KeyID: keyID, Sig: base64.StdEncoding.EncodeToString(signature)}},
	})
}

func (s Statement) marshal() ([]byte, error) {
	if s.PredicateType == "" {
		return nil, fmt.Errorf("%w: no predicate type", ErrStatement)
	}
	if len(s.Subjects) == 0 {
		return nil, fmt.Errorf("%w: no subject", ErrStatement)
	}
	type subject struct {
		Name   string            `json:"name"`
		Digest map[string]string `json:"digest"`
	}
	subjects := make([]subject, len(s.Subjects))
	for i, artifact := range s.Subjects {
		digest, ok := strings.CutPrefix(artifact.Digest, "sha256:")
		if !ok || len(digest) != 64 {
			return nil, fmt.Errorf("%w: subject %d has no SHA-256 digest", ErrStatement, i)
		}
		subjects[i] = subject{artifact.Name, map[string]string{"sha256": digest}}
	}
	return json.Marshal(struct {
		Type          string    `json:"_type"`
		Subject       []subject `json:"subject"`
		PredicateType string    `json:"predicateType"`
		Predicate     any       `json:"predicate"`
	}{StatementType, subjects, s.PredicateType, s.Predicate})
}
