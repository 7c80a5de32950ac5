// Package sigstoretest is a sigstore instance for tests: a certificate authority, a
// transparency log and a timestamping authority with keys of their own, in the test's
// process. What it signs is verified by exactly the code that verifies the world's.
package sigstoretest

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"strings"
	"testing"
	"time"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	protodsse "github.com/sigstore/protobuf-specs/gen/pb-go/dsse"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/testing/ca"
	"github.com/sigstore/sigstore-go/pkg/tlog"
	"google.golang.org/protobuf/encoding/protojson"
)

// Instance is one sigstore instance.
type Instance struct {
	virtual *ca.VirtualSigstore
	people  issuer
}

// New makes an instance with new keys.
func New(tb testing.TB) *Instance {
	tb.Helper()
	virtual, err := ca.NewVirtualSigstore()
	if err != nil {
		tb.Fatal(err)
	}
	return &Instance{virtual, newIssuer(tb)}
}

// Root is its trusted root, as JSON.
func (i *Instance) Root(tb testing.TB) []byte {
	tb.Helper()
	logs := i.virtual.RekorLogs()
	for id, log := range logs {
		raw, err := hex.DecodeString(id)
		if err != nil {
			tb.Fatal(err)
		}
		log.ID = raw
	}
	trusted, err := root.NewTrustedRoot(root.TrustedRootMediaType01, append(i.virtual.FulcioCertificateAuthorities(), i.people.authority), nil, i.virtual.TimestampingAuthorities(), logs)
	if err != nil {
		tb.Fatal(err)
	}
	data, err := trusted.MarshalJSON()
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

// Sign returns a bundle (JSON) in which the subject, vouched for by the issuer, signs an
// in-toto statement.
func (i *Instance) Sign(tb testing.TB, subject, issuer, statement string) []byte {
	tb.Helper()
	// The certificate begins to be valid a moment from now.
	return i.SignAt(tb, subject, issuer, statement, time.Now().Add(5*time.Minute))
}

// SignAt is Sign, by the log at another time.
func (i *Instance) SignAt(tb testing.TB, subject, issuer, statement string, at time.Time) []byte {
	tb.Helper()
	signed, err := i.virtual.AttestAtTime(subject, issuer, []byte(statement), at, true)
	if err != nil {
		tb.Fatal(err)
	}
	content, err := signed.VerificationContent()
	if err != nil {
		tb.Fatal(err)
	}
	signature, err := signed.SignatureContent()
	if err != nil {
		tb.Fatal(err)
	}
	entries, err := signed.TlogEntries()
	if err != nil {
		tb.Fatal(err)
	}
	var logged []*protorekor.TransparencyLogEntry
	for _, e := range entries {
		logged = append(logged, i.promised(tb, e.TransparencyLogEntry()))
	}
	envelope := signature.EnvelopeContent().RawEnvelope()
	payload, err := envelope.DecodeB64Payload()
	if err != nil {
		tb.Fatal(err)
	}
	return attested(tb, content.Certificate().Raw, logged, envelope.PayloadType, payload, signature.Signature())
}

// attested is a bundle (JSON) with an envelope.
func attested(tb testing.TB, leaf []byte, logged []*protorekor.TransparencyLogEntry, payloadType string, payload, signature []byte) []byte {
	tb.Helper()
	data, err := protojson.Marshal(&protobundle.Bundle{
		MediaType: "application/vnd.dev.sigstore.bundle.v0.3+json",
		VerificationMaterial: &protobundle.VerificationMaterial{
			Content:     &protobundle.VerificationMaterial_Certificate{Certificate: &protocommon.X509Certificate{RawBytes: leaf}},
			TlogEntries: logged,
		},
		Content: &protobundle.Bundle_DsseEnvelope{DsseEnvelope: &protodsse.Envelope{
			Payload: payload, PayloadType: payloadType, Signatures: []*protodsse.Signature{{Sig: signature}},
		}},
	})
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

// promised completes the log's entry with its kind and the log's signature over its time.
func (i *Instance) promised(tb testing.TB, e *protorekor.TransparencyLogEntry) *protorekor.TransparencyLogEntry {
	tb.Helper()
	promise, err := i.virtual.RekorSignPayload(tlog.RekorPayload{
		Body: base64.StdEncoding.EncodeToString(e.GetCanonicalizedBody()), IntegratedTime: e.GetIntegratedTime(),
		LogIndex: e.GetLogIndex(), LogID: hex.EncodeToString(e.GetLogId().GetKeyId()),
	})
	if err != nil {
		tb.Fatal(err)
	}
	e.KindVersion = &protorekor.KindVersion{Kind: "dsse", Version: "0.0.1"}
	e.InclusionPromise = &protorekor.InclusionPromise{SignedEntryTimestamp: promise}
	return e
}

// Part returns what JSON holds at a path of names with dots.
func Part(tb testing.TB, data []byte, path string) any {
	tb.Helper()
	var value any
	if err := json.Unmarshal(data, &value); err != nil {
		tb.Fatal(err)
	}
	for name := range strings.SplitSeq(path, ".") {
		object, ok := value.(map[string]any)
		if !ok {
			tb.Fatalf("there is no %s", path)
		}
		value = object[name]
	}
	return value
}

// Change returns the JSON with another value at a path, or, where that is nil, without.
func Change(tb testing.TB, data []byte, path string, to any) []byte {
	tb.Helper()
	var whole map[string]any
	if err := json.Unmarshal(data, &whole); err != nil {
		tb.Fatal(err)
	}
	names := strings.Split(path, ".")
	object := whole
	for _, name := range names[:len(names)-1] {
		inner, ok := object[name].(map[string]any)
		if !ok {
			tb.Fatalf("there is no %s", path)
		}
		object = inner
	}
	if last := names[len(names)-1]; to == nil {
		delete(object, last)
	} else {
		object[last] = to
	}
	out, err := json.Marshal(whole)
	if err != nil {
		tb.Fatal(err)
	}
	return out
}
