package sigstoretest

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"testing"
	"time"

	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"github.com/sigstore/sigstore-go/pkg/fulcio/certificate"
)

// Build is what the certificate of a build says of it; empty claims are not in it.
type Build struct {
	// Subject is the workflow's URI, for which Issuer vouches.
	Subject, Issuer string
	// The others are those of a procedure document's identity.
	SourceRepository, SourceRef, BuildSigner, BuildTrigger, Runner string
}

func (b Build) claims() []claim {
	return []claim{
		{certificate.OIDSourceRepositoryURI, b.SourceRepository},
		{certificate.OIDSourceRepositoryRef, b.SourceRef},
		{certificate.OIDBuildSignerURI, b.BuildSigner},
		{certificate.OIDBuildTrigger, b.BuildTrigger},
		{certificate.OIDRunnerEnvironment, b.Runner},
	}
}

// SignBuild is Sign by a build, with a certificate that has its claims, as Fulcio makes them.
func (i *Instance) SignBuild(tb testing.TB, b Build, statement string) []byte {
	tb.Helper()
	at := time.Now().Add(30 * time.Second)
	key, leaf := i.people.issue(tb, b.Subject, b.Issuer, b.claims()...)
	made, err := x509.ParseCertificate(leaf)
	if err != nil {
		tb.Fatal(err)
	}
	// The instance's own certificates have no claims: of what it signs with one all is taken but
	// the signature.
	signed, err := i.virtual.AttestAtTime(b.Subject, b.Issuer, []byte(statement), at, true)
	if err != nil {
		tb.Fatal(err)
	}
	content, err := signed.SignatureContent()
	if err != nil {
		tb.Fatal(err)
	}
	envelope := content.EnvelopeContent().RawEnvelope()
	sum := sha256.Sum256(fmt.Appendf(nil, "DSSEv1 %d %s %d %s", len(envelope.PayloadType), envelope.PayloadType, len(statement), statement))
	signature, err := key.Sign(rand.Reader, sum[:], crypto.SHA256)
	if err != nil {
		tb.Fatal(err)
	}
	envelope.Signatures[0].Sig = base64.StdEncoding.EncodeToString(signature)
	entry, err := i.virtual.GenerateTlogEntry(made, envelope, signature, at.Unix(), true)
	if err != nil {
		tb.Fatal(err)
	}
	return attested(tb, leaf, []*protorekor.TransparencyLogEntry{i.promised(tb, entry.TransparencyLogEntry())}, envelope.PayloadType, []byte(statement), signature)
}
