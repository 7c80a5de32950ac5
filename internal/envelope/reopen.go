package envelope

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/blackdice/shipwarden/procedure"
)

// Reopen verifies an event that was kept as its stored bytes and the signature over
// them by the key of that id, as the record gives them (N-01). It is Open without the
// headers: they are not signed, and all that they say is in the body. The error wraps
// one of this package's sentinels; the event then does not count.
func Reopen(ring *Keyring, subject, keyID string, signature, body []byte, sequence uint64, stored time.Time) (procedure.Entry, error) {
	header := nats.Header{SignatureHeader: {keyID + " " + base64.StdEncoding.EncodeToString(signature)}}
	key, _, err := ring.verify(header, body, sequence)
	if err != nil {
		return procedure.Entry{}, fmt.Errorf("open event %d on %q: %w", sequence, subject, err)
	}
	event, err := read(key, subject, body)
	if err != nil {
		return procedure.Entry{}, fmt.Errorf("open event %d on %q: %w", sequence, subject, err)
	}
	return procedure.Entry{Sequence: sequence, Digest: sha256.Sum256(body), Stored: stored, Event: event}, nil
}
