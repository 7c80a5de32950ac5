package verdict

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"

	"github.com/blackdice/shipwarden/internal/attest"
	"github.com/blackdice/shipwarden/internal/sigstore"
	"github.com/blackdice/shipwarden/internal/strictjson"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
)

const (
	// maxEnvelope is the size in bytes of the largest envelope that is read.
	maxEnvelope = 64 << 10
	// maxSignatures bounds the signatures that are tried.
	maxSignatures = 16
)

// errSignature means that a signature does not verify with a key.
var errSignature = errors.New("signature does not verify")

// statement is what one envelope holds.
type statement struct {
	digest        string                // of the envelope, "sha256:…"
	problem       string                // why it counts for nothing; empty where it may count
	unreadable    bool                  // what it is about is not known either
	signers       []string              // ids of keys of the procedure whose signatures verify
	certificate   *sigstore.Certificate // whose signature verifies, in a sigstore bundle
	signed        time.Time             // when, as far as that is known
	kind          string                // type of the statement
	subjects      map[string]bool       // SHA-256 in hexadecimal
	predicateType string
	predicate     map[string]any
}

// open reads an envelope, or a sigstore bundle that holds one. It always returns a
// statement, which says itself what is wrong with it.
func open(envelope []byte, trust Trust) *statement {
	sum := sha256.Sum256(envelope)
	s := &statement{digest: "sha256:" + hex.EncodeToString(sum[:])}
	err := s.read(envelope, trust.signers().Document().GetKeys(), trust.Root)
	if err == nil && trust.OnlyV1 && s.older() {
		err = wrongType(s.kind)
	}
	if err != nil {
		s.problem, s.unreadable = err.Error(), true
	}
	return s
}

func (s *statement) read(data []byte, keys []*policyv1.Key, root *sigstore.Root) error {
	if len(data) > maxEnvelope {
		return fmt.Errorf("has more than %d bytes", maxEnvelope)
	}
	object, err := strictjson.Object(data)
	if err != nil {
		return err
	}
	if sigstore.IsBundle(text(object["mediaType"])) {
		return s.bundle(data, root)
	}
	envelope, err := parseEnvelope(object)
	if err != nil {
		return err
	}
	if envelope.PayloadType != attest.PayloadType {
		return fmt.Errorf("holds %.64q instead of %s", envelope.PayloadType, attest.PayloadType)
	}
	payload, err := envelope.DecodeB64Payload()
	if err != nil {
		return errors.New("its payload is not base64")
	}
	s.verify(envelope, keys)
	return s.parse(payload)
}

// bundle reads a sigstore bundle. What one claims that does not verify is not looked
// at: unlike the keys of the procedure, certificates have no names that could be told.
func (s *statement) bundle(data []byte, root *sigstore.Root) error {
	if root == nil {
		return errors.New("is a sigstore bundle, and the procedure trusts no sigstore instance")
	}
	signed, err := root.Verify(data)
	if err != nil {
		return fmt.Errorf("is a sigstore bundle: %w", err)
	}
	if signed.PayloadType != attest.PayloadType {
		return fmt.Errorf("holds %.64q instead of %s", signed.PayloadType, attest.PayloadType)
	}
	s.certificate, s.signed = &signed.Certificate, signed.At
	return s.parse(signed.Payload)
}

func parseEnvelope(object map[string]any) (*dsse.Envelope, error) {
	envelope := &dsse.Envelope{PayloadType: text(object["payloadType"]), Payload: text(object["payload"])}
	signatures, ok := object["signatures"].([]any)
	if !ok || len(signatures) == 0 || len(signatures) > maxSignatures {
		return nil, fmt.Errorf("has not between 1 and %d signatures", maxSignatures)
	}
	for _, each := range signatures {
		signature, ok := each.(map[string]any)
		if !ok {
			return nil, errors.New("has a signature that is no object")
		}
		envelope.Signatures = append(envelope.Signatures, dsse.Signature{KeyID: text(signature["keyid"]), Sig: text(signature["sig"])})
	}
	return envelope, nil
}

// verify finds out which keys of the procedure signed the envelope. Keys that
// are revoked or not yet or no longer valid are tried, too, so that the reason
// can name them; whether a key is trusted is decided gate by gate.
func (s *statement) verify(envelope *dsse.Envelope, keys []*policyv1.Key) {
	known := make(map[string]bool, len(keys))
	verifiers := make([]dsse.Verifier, 0, len(keys))
	for _, key := range keys {
		if len(key.GetEd25519()) == ed25519.PublicKeySize && !known[key.GetId()] {
			known[key.GetId()] = true
			verifiers = append(verifiers, verifier{key})
		}
	}
	if len(verifiers) > 0 {
		if checker, err := dsse.NewEnvelopeVerifier(verifiers...); err == nil {
			accepted, err := checker.Verify(context.Background(), envelope)
			for _, key := range accepted {
				if err == nil {
					s.signers = append(s.signers, key.KeyID)
				}
			}
		}
	}
	if len(s.signers) > 0 {
		return
	}
	var reasons []string
	for _, signature := range envelope.Signatures {
		switch id := signature.KeyID; {
		case id == "":
			reasons = append(reasons, "is signed by a key without an id, and none that the procedure knows")
		case known[id]:
			reasons = append(reasons, fmt.Sprintf("carries a signature of the key %q that does not verify", id))
		default:
			reasons = append(reasons, fmt.Sprintf("is signed by the key %.64q, which the procedure does not know", id))
		}
	}
	s.problem = strings.Join(reasons, " and ")
}

func (s *statement) parse(payload []byte) error {
	object, err := strictjson.Object(payload)
	if err != nil {
		return fmt.Errorf("its payload is %w", err)
	}
	if s.kind = text(object["_type"]); s.kind != attest.StatementType && s.kind != attest.StatementTypeV01 {
		return wrongType(s.kind)
	}
	s.predicateType = text(object["predicateType"])
	if predicate, ok := object["predicate"].(map[string]any); ok {
		s.predicate = predicate
	}
	s.subjects = make(map[string]bool)
	subjects, _ := object["subject"].([]any)
	for _, each := range subjects {
		subject, _ := each.(map[string]any)
		digests, _ := subject["digest"].(map[string]any)
		if digest := text(digests["sha256"]); digest != "" {
			s.subjects[digest] = true
		}
	}
	return nil
}

func wrongType(kind string) error {
	return fmt.Errorf("its payload is of type %.64q instead of %s", kind, attest.StatementType)
}

// older reports whether it is a statement of in-toto v0.1.
func (s *statement) older() bool { return s.kind == attest.StatementTypeV01 }

// text returns a JSON string, or nothing where it is none.
func text(value any) string {
	if text, ok := value.(string); ok {
		return text
	}
	return ""
}

// verifier is a key of the procedure as dsse wants it.
type verifier struct{ key *policyv1.Key }

func (v verifier) Verify(_ context.Context, data, signature []byte) error {
	if !ed25519.Verify(v.key.GetEd25519(), data, signature) {
		return errSignature
	}
	return nil
}

func (v verifier) KeyID() (string, error) { return v.key.GetId(), nil }

func (v verifier) Public() crypto.PublicKey { return ed25519.PublicKey(v.key.GetEd25519()) }
