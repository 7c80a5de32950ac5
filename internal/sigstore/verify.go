package sigstore

import (
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/fulcio/certificate"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/verify"
)

// mediaType begins the media types of all versions of a bundle.
const mediaType = "application/vnd.dev.sigstore.bundle"

var (
	// ErrRoot means that a file is no trusted root that anything can be verified with.
	ErrRoot = errors.New("unusable trusted root")
	// ErrBundle means that something is no bundle of what was to be signed.
	ErrBundle = errors.New("no bundle of what was to be signed")
	// ErrUntrusted means that a bundle does not verify with the trusted root.
	ErrUntrusted = errors.New("does not verify with the trusted root")
)

// Root is a trusted root. It may be used by several goroutines at once.
type Root struct {
	trusted  *root.TrustedRoot
	verifier *verify.Verifier
}

// Certificate is who signed, as the certificate authority found it. What a
// certificate does not say is empty.
type Certificate struct {
	// Issuer is who vouched for the identity, the URL of an OpenID provider.
	Issuer string
	// Subject is the identity: a mail address, or the URI of a workflow.
	Subject string
	// SourceRepository and SourceRef are what was built, as a URI and a Git reference.
	SourceRepository, SourceRef string
	// BuildSigner is the workflow that signed, as a URI that ends with its reference.
	BuildSigner string
	// BuildTrigger is what began the build, for instance "push".
	BuildTrigger string
	// Runner is where it ran, for instance "github-hosted".
	Runner string
}

// Build reports whether the certificate was issued to a build: to a machine, whatever its
// subject is called.
func (c Certificate) Build() bool {
	return c.SourceRepository+c.SourceRef+c.BuildSigner+c.BuildTrigger+c.Runner != ""
}

// Signed is a verified bundle.
type Signed struct {
	Certificate Certificate
	// PayloadType and Payload are what was signed.
	PayloadType string
	Payload     []byte
	// At is when a log or a timestamping authority saw the signature first.
	At time.Time
}

// ParseRoot reads a trusted root in sigstore's JSON form. Errors wrap ErrRoot.
func ParseRoot(data []byte) (*Root, error) {
	trusted, err := root.NewTrustedRootFromJSON(data)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRoot, err)
	}
	if len(trusted.FulcioCertificateAuthorities()) == 0 {
		return nil, fmt.Errorf("%w: it has no certificate authority", ErrRoot)
	}
	var options []verify.VerifierOption
	if len(trusted.CTLogs()) > 0 {
		options = append(options, verify.WithSignedCertificateTimestamps(1))
	}
	switch logs, clocks := len(trusted.RekorLogs()), len(trusted.TimestampingAuthorities()); {
	case logs == 0 && clocks == 0:
		return nil, fmt.Errorf("%w: it has neither a transparency log nor a timestamping authority", ErrRoot)
	case logs == 0:
		options = append(options, verify.WithSignedTimestamps(1))
	default:
		options = append(options, verify.WithTransparencyLog(1), verify.WithObserverTimestamps(1))
	}
	verifier, err := verify.NewVerifier(trusted, options...)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRoot, err)
	}
	return &Root{trusted: trusted, verifier: verifier}, nil
}

// IsBundle reports whether JSON with that media type means to be a bundle.
func IsBundle(media string) bool { return strings.HasPrefix(media, mediaType) }

// Verify verifies a bundle that holds a DSSE envelope. Errors wrap ErrBundle or
// ErrUntrusted.
func (r *Root) Verify(data []byte) (Signed, error) {
	b, _, err := open(data)
	if err != nil {
		return Signed{}, err
	}
	sealed, err := b.Envelope()
	if err != nil {
		return Signed{}, fmt.Errorf("%w: %w", ErrBundle, err)
	}
	// Whose certificate counts, and for which artifact, is looked at gate by gate.
	result, err := r.verifier.Verify(b, verify.NewPolicy(verify.WithoutArtifactUnsafe(), verify.WithoutIdentitiesUnsafe()))
	if err != nil {
		return Signed{}, fmt.Errorf("%w: %w", ErrUntrusted, err)
	}
	payload, err := base64.StdEncoding.DecodeString(sealed.RawEnvelope().Payload)
	if err != nil {
		return Signed{}, fmt.Errorf("%w: its payload is not base64", ErrBundle)
	}
	signed := Signed{
		Certificate: certificateOf(*result.Signature.Certificate),
		PayloadType: sealed.RawEnvelope().PayloadType, Payload: payload,
	}
	for _, stamp := range result.VerifiedTimestamps {
		if signed.At.IsZero() || stamp.Timestamp.Before(signed.At) {
			signed.At = stamp.Timestamp.UTC()
		}
	}
	return signed, nil
}

// open reads a bundle that is signed with a certificate. Errors wrap ErrBundle.
func open(data []byte) (*bundle.Bundle, *x509.Certificate, error) {
	b := &bundle.Bundle{}
	if err := b.UnmarshalJSON(data); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrBundle, err)
	}
	content, err := b.VerificationContent()
	if err != nil || content.Certificate() == nil {
		return nil, nil, fmt.Errorf("%w: it is not signed with a certificate", ErrBundle)
	}
	return b, content.Certificate(), nil
}

func certificateOf(c certificate.Summary) Certificate {
	return Certificate{
		Issuer: c.Issuer, Subject: c.SubjectAlternativeName, SourceRepository: c.SourceRepositoryURI, SourceRef: c.SourceRepositoryRef,
		BuildSigner: c.BuildSignerURI, BuildTrigger: c.BuildTrigger, Runner: c.RunnerEnvironment,
	}
}
