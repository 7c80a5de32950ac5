package intake

import (
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"

	"github.com/blackdice/shipwarden/internal/policy"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// SignatureHeader carries "<key id> <base64>": an Ed25519 signature over the DSSE
// pre-authentication encoding of RequestPayloadType and the body, by a key that
// the procedure document trusts for the service.
const SignatureHeader = "Shipwarden-Signature"

// RequestPayloadType is the payload type of a signed request.
const RequestPayloadType = "application/vnd.shipwarden.request.v1"

// EvidencePayloadType is the payload type of signed evidence that comes later.
const EvidencePayloadType = "application/vnd.shipwarden.evidence.v1"

// SignEvidence returns the value of SignatureHeader for a body that brings evidence.
func SignEvidence(keyID string, key ed25519.PrivateKey, body []byte) string {
	return keyID + " " + base64.StdEncoding.EncodeToString(ed25519.Sign(key, dsse.PAE(EvidencePayloadType, body)))
}

// SignRequest returns the value of SignatureHeader for a body.
func SignRequest(keyID string, key ed25519.PrivateKey, body []byte) string {
	return keyID + " " + base64.StdEncoding.EncodeToString(ed25519.Sign(key, dsse.PAE(RequestPayloadType, body)))
}

// of is a message that says what it is about.
type of interface {
	GetEnvironment() string
	GetService() string
}

// signer returns the key that signed the body; empty without a signature. A
// signature that is there and is not good is a violation, also where none is
// demanded: somebody meant something by it.
func signer(x *policy.Index, r of, payloadType, header string, body []byte, now time.Time) (string, *releasev1.Violation) {
	if header == "" {
		if x.Environment(r.GetEnvironment()).GetRequireSignedRequests() {
			return "", violation("", "signature.missing",
				fmt.Sprintf("environment %s takes signed requests only (header %s)", r.GetEnvironment(), SignatureHeader))
		}
		return "", nil
	}
	id, encoded, ok := strings.Cut(header, " ")
	signature, err := base64.StdEncoding.DecodeString(encoded)
	if !ok || err != nil {
		return "", violation("", "signature.malformed", "the header "+SignatureHeader+` must be "<key id> <base64>"`)
	}
	key := x.Key(id)
	switch {
	case key == nil || key.GetRevoked() || len(key.GetEd25519()) != ed25519.PublicKeySize:
		return "", violation("", "signature.key", fmt.Sprintf("key %q is unknown or revoked", id))
	case !slices.Contains(key.GetServices(), r.GetService()):
		return "", violation("", "signature.key", fmt.Sprintf("key %q is not trusted for requests of %s", id, r.GetService()))
	case !validAt(key, now):
		return "", violation("", "signature.key", fmt.Sprintf("key %q is not valid at this time", id))
	case !ed25519.Verify(key.GetEd25519(), dsse.PAE(payloadType, body), signature):
		return "", violation("", "signature.bad", fmt.Sprintf("the signature by key %q is not one of this request", id))
	}
	return id, nil
}

func validAt(k *policyv1.Key, at time.Time) bool {
	if k.GetNotBefore() != nil && at.Before(k.GetNotBefore().AsTime()) {
		return false
	}
	return k.GetNotAfter() == nil || !at.After(k.GetNotAfter().AsTime())
}
