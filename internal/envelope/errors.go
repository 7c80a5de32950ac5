package envelope

import "errors"

// Errors of Open and Seal. The reason that goes into metrics and parked notes is
// Reason of the error.
var (
	// ErrUnsigned says that the message has no signature, or several.
	ErrUnsigned = errors.New("message is not signed")
	// ErrUnknownKey says that the keyring does not hold the signing key. It may
	// be a key that was added after this process had read its keyring.
	ErrUnknownKey = errors.New("signing key is unknown")
	// ErrRevokedKey says that the event was stored after its key was revoked.
	ErrRevokedKey = errors.New("signing key is revoked")
	// ErrSignature says that the signature does not fit the body and the key.
	ErrSignature = errors.New("signature is not valid")
	// ErrWriter says that the key belongs to another writer than the one that the
	// event names, or that this writer may not write this type of event.
	ErrWriter = errors.New("writer is not the one it must be")
	// ErrSubject says that the subject is not the one that the event belongs to.
	ErrSubject = errors.New("subject does not fit the event")
	// ErrHeader says that a header is missing or contradicts the body.
	ErrHeader = errors.New("header contradicts the event")
	// ErrSchema says that the event is of a type or schema that is unknown here.
	ErrSchema = errors.New("schema is unknown")
	// ErrMalformed says that the event lacks what every event must have.
	ErrMalformed = errors.New("event is malformed")
	// ErrTooLarge says that the event is larger than the stream takes.
	ErrTooLarge = errors.New("event is too large")
	// ErrKey says that a key or keyring can not be used.
	ErrKey = errors.New("key is not usable")
)

var reasons = []struct {
	err  error
	word string
}{
	{ErrUnsigned, "unsigned"},
	{ErrUnknownKey, "unknown_key"},
	{ErrRevokedKey, "revoked_key"},
	{ErrSignature, "signature"},
	{ErrWriter, "writer"},
	{ErrSubject, "subject"},
	{ErrHeader, "header"},
	{ErrSchema, "schema"},
	{ErrMalformed, "malformed"},
	{ErrTooLarge, "too_large"},
}

// Reason is one stable word for an error of Open, fit for a metric's label.
func Reason(err error) string {
	for _, r := range reasons {
		if errors.Is(err, r.err) {
			return r.word
		}
	}
	return "other"
}
