package envelope

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/secure-systems-lab/go-securesystemslib/dsse"
	"google.golang.org/protobuf/proto"

	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// optional are the headers that an event need not have; where one is there, the
// event must say the same.
var optional = []string{headerCorrelation, headerCausation}

// Open verifies a stored message and returns the event with the id of the key
// that signed it. The sequence and the time are the stream's. It never panics,
// whatever the message holds, and does not keep the body. The error wraps one of
// this package's sentinels; the event then does not count.
func Open(ring *Keyring, subject string, header nats.Header, body []byte, sequence uint64, stored time.Time) (procedure.Entry, string, error) {
	entry, signedBy, err := open(ring, subject, header, body, sequence)
	if err != nil {
		return procedure.Entry{}, signedBy, fmt.Errorf("open event %d on %q: %w", sequence, subject, err)
	}
	entry.Stored = stored
	return entry, signedBy, nil
}

func open(ring *Keyring, subject string, header nats.Header, body []byte, sequence uint64) (procedure.Entry, string, error) {
	key, id, err := ring.verify(header, body, sequence)
	if err != nil {
		return procedure.Entry{}, id, err
	}
	event, err := read(key, subject, body)
	if err != nil {
		return procedure.Entry{}, id, err
	}
	if err := compare(header, attributes(event)); err != nil {
		return procedure.Entry{}, id, err
	}
	return procedure.Entry{Sequence: sequence, Digest: sha256.Sum256(body), Event: event}, id, nil
}

// read parses a body whose signature by that key was verified.
func read(key publicKey, subject string, body []byte) (*releasev1.Event, error) {
	event := &releasev1.Event{}
	if err := proto.Unmarshal(body, event); err != nil {
		return nil, fmt.Errorf("body: %w", ErrMalformed)
	}
	if event.GetWriter() != key.writer {
		return nil, fmt.Errorf("event of %q, key of %q: %w", event.GetWriter(), key.writer, ErrWriter)
	}
	if err := check(event); err != nil {
		return nil, err
	}
	if own := Subject(event); own != subject {
		return nil, fmt.Errorf("event of %q: %w", own, ErrSubject)
	}
	return event, nil
}

// verify finds the key and checks the signature, before anything parses the body.
func (k *Keyring) verify(header nats.Header, body []byte, sequence uint64) (publicKey, string, error) {
	values := header[SignatureHeader]
	if len(values) != 1 {
		return publicKey{}, "", fmt.Errorf("%d signatures: %w", len(values), ErrUnsigned)
	}
	id, text, found := strings.Cut(values[0], " ")
	if !found || !keyIDPattern.MatchString(id) {
		return publicKey{}, "", fmt.Errorf("signature header: %w", ErrUnsigned)
	}
	if kind := header[headerType]; len(kind) == 1 && !strings.HasPrefix(kind[0], typePrefix) {
		return publicKey{}, id, fmt.Errorf("type %.80q: %w", kind[0], ErrSchema)
	}
	signature, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil || len(signature) != ed25519.SignatureSize {
		return publicKey{}, id, fmt.Errorf("key %q: %w", id, ErrSignature)
	}
	key, known := k.keys[id]
	if !known {
		return publicKey{}, id, fmt.Errorf("key %q: %w", id, ErrUnknownKey)
	}
	if key.revokedAfter != 0 && sequence > key.revokedAfter {
		return publicKey{}, id, fmt.Errorf("key %q after sequence %d: %w", id, key.revokedAfter, ErrRevokedKey)
	}
	if len(body) > MaxBody {
		return publicKey{}, id, fmt.Errorf("%d of %d bytes: %w", len(body), MaxBody, ErrTooLarge)
	}
	if !ed25519.Verify(key.key, dsse.PAE(PayloadType, body), signature) {
		return publicKey{}, id, fmt.Errorf("key %q: %w", id, ErrSignature)
	}
	return key, id, nil
}

// compare demands that every attribute stands in the headers exactly once and as
// the event has it. Header names are compared as they are written: two spellings
// of one attribute would let two readers see two values.
func compare(header, own nats.Header) error {
	for name, want := range own {
		if !slices.Equal(header[name], want) {
			return fmt.Errorf("%s: %w", name, ErrHeader)
		}
	}
	for _, name := range optional {
		if _, has := own[name]; !has && len(header[name]) > 0 {
			return fmt.Errorf("%s: %w", name, ErrHeader)
		}
	}
	for name := range header {
		if lower := strings.ToLower(name); lower != name && own[lower] != nil {
			return fmt.Errorf("%s: %w", name, ErrHeader)
		}
	}
	return nil
}
