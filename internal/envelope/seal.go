package envelope

import (
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"regexp"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/secure-systems-lab/go-securesystemslib/dsse"
	"google.golang.org/protobuf/proto"

	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

const (
	// PayloadType is signed together with the body; its version is that of the
	// schema.
	PayloadType = "application/vnd.shipwarden.event.v1+protobuf"
	// SignatureHeader holds the id of the key and the signature in base64.
	SignatureHeader = "Shipwarden-Signature"
	// MaxBody is the largest event in bytes. With its headers it stays below the
	// 64 KiB that the stream takes; what is larger belongs into evidence.
	MaxBody = 60 << 10

	typePrefix   = "shipwarden.release.v1."
	sourcePrefix = "/shipwarden/"
)

// The CloudEvents attributes, as the NATS binding names them.
const (
	headerSpecVersion = "ce-specversion"
	headerID          = "ce-id"
	headerSource      = "ce-source"
	headerType        = "ce-type"
	headerSubject     = "ce-subject"
	headerTime        = "ce-time"
	headerContentType = "ce-datacontenttype"
	headerCorrelation = "ce-correlationid"
	headerCausation   = "ce-causationid"
)

// causationPattern keeps the causation fit for a header without any encoding.
var causationPattern = regexp.MustCompile(`^[A-Za-z0-9._-]{0,64}$`)

// Seal signs the event and returns it as a message for its own subject. The event
// must be complete and must name the signer's writer. The message carries no
// expected sequence: package eventstore adds that. Errors wrap ErrMalformed,
// ErrSubject, ErrWriter, ErrSchema or ErrTooLarge.
func Seal(signer *Signer, e *releasev1.Event) (*nats.Msg, error) {
	if err := check(e); err != nil {
		return nil, fmt.Errorf("seal event: %w", err)
	}
	if e.GetWriter() != signer.writer {
		return nil, fmt.Errorf("seal event: writer %q, key %q of %q: %w", e.GetWriter(), signer.id, signer.writer, ErrWriter)
	}
	body, err := proto.MarshalOptions{Deterministic: true}.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("seal event: %w: %w", ErrMalformed, err)
	}
	if len(body) > MaxBody {
		return nil, fmt.Errorf("seal event: %d of %d bytes: %w", len(body), MaxBody, ErrTooLarge)
	}
	signature := ed25519.Sign(signer.key, dsse.PAE(PayloadType, body))
	header := attributes(e)
	header[SignatureHeader] = []string{signer.id + " " + base64.StdEncoding.EncodeToString(signature)}
	return &nats.Msg{Subject: Subject(e), Header: header, Data: body}, nil
}

// check looks at what every event must have, whoever wrote it.
func check(e *releasev1.Event) error {
	id, err := uuid.Parse(e.GetId())
	if err != nil || id.Version() != 7 || id.String() != e.GetId() {
		return fmt.Errorf("id %q: %w", e.GetId(), ErrMalformed)
	}
	if err := CheckAggregate(e.GetAggregate()); err != nil {
		return err
	}
	if err := e.GetTime().CheckValid(); err != nil {
		return fmt.Errorf("time: %w", ErrMalformed)
	}
	if !causationPattern.MatchString(e.GetCausationId()) {
		return fmt.Errorf("causation_id %q: %w", e.GetCausationId(), ErrMalformed)
	}
	if !tokenPattern.MatchString(e.GetWriter()) {
		return fmt.Errorf("writer %q: %w", e.GetWriter(), ErrMalformed)
	}
	name := procedure.TypeOf(e)
	if name == "" {
		return fmt.Errorf("data: %w", ErrSchema)
	}
	if writer := procedure.WriterOf(name); writer != e.GetWriter() {
		return fmt.Errorf("%s is not for %q to write: %w", name, e.GetWriter(), ErrWriter)
	}
	if release := Correlation(e); release != "" && !procedure.ValidRelease(release) {
		return fmt.Errorf("release %q: %w", release, ErrMalformed)
	}
	return nil
}

// attributes are the headers that repeat the event.
func attributes(e *releasev1.Event) nats.Header {
	header := nats.Header{
		headerSpecVersion: {"1.0"},
		headerID:          {e.GetId()},
		headerSource:      {sourcePrefix + e.GetWriter()},
		headerType:        {typePrefix + procedure.TypeOf(e)},
		headerSubject:     {e.GetAggregate()},
		headerTime:        {e.GetTime().AsTime().Format(time.RFC3339Nano)},
		headerContentType: {"application/protobuf"},
		nats.MsgIdHdr:     {e.GetId()},
	}
	if release := Correlation(e); release != "" {
		header[headerCorrelation] = []string{release}
	}
	if cause := e.GetCausationId(); cause != "" {
		header[headerCausation] = []string{cause}
	}
	return header
}
