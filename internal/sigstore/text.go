package sigstore

import (
	"bytes"
	"fmt"
	"time"

	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/fulcio/certificate"
	"github.com/sigstore/sigstore-go/pkg/verify"
)

// MaxText bounds a bundle of a text, in bytes. Those of the public instance have five to
// eight thousand.
const MaxText = 24 << 10

// Witnessed is who signed a text, and every time at which a log or a timestamping
// authority that the root trusts saw the signature; there is at least one.
type Witnessed struct {
	Certificate Certificate
	Seen        []time.Time
}

// VerifyText verifies a bundle of version 0.3 that holds a signature of exactly that text,
// as `cosign sign-blob --bundle` makes it. A statement about a file with the text's digest
// is no signature of the text, and is refused: builds make such for whatever they are given.
// Errors wrap ErrBundle or ErrUntrusted.
func (r *Root) VerifyText(data, text []byte) (Witnessed, error) {
	b, _, err := openText(data)
	if err != nil {
		return Witnessed{}, err
	}
	// Whose certificate counts is decided by who asks.
	result, err := r.verifier.Verify(b, verify.NewPolicy(verify.WithArtifact(bytes.NewReader(text)), verify.WithoutIdentitiesUnsafe()))
	if err != nil {
		return Witnessed{}, fmt.Errorf("%w: %w", ErrUntrusted, err)
	}
	w := Witnessed{Certificate: certificateOf(*result.Signature.Certificate)}
	for _, stamp := range result.VerifiedTimestamps {
		w.Seen = append(w.Seen, stamp.Timestamp.UTC())
	}
	if len(w.Seen) == 0 {
		return Witnessed{}, fmt.Errorf("%w: nobody says when it was signed", ErrUntrusted)
	}
	return w, nil
}

// Claim says to whom the certificate of a bundle of a text says that it was issued.
// Nothing of it is verified. Errors wrap ErrBundle.
func Claim(data []byte) (Certificate, error) {
	_, c, err := openText(data)
	return c, err
}

// openText reads a bundle of a text, and what its certificate says.
func openText(data []byte) (*bundle.Bundle, Certificate, error) {
	if len(data) > MaxText {
		return nil, Certificate{}, fmt.Errorf("%w: it has %d bytes, and %d is the most", ErrBundle, len(data), MaxText)
	}
	b, leaf, err := open(data)
	if err != nil {
		return nil, Certificate{}, err
	}
	if !b.MinVersion("v0.3") {
		return nil, Certificate{}, fmt.Errorf("%w: it is of version %.100q, and 0.3 is needed", ErrBundle, b.GetMediaType())
	}
	if b.GetMessageSignature() == nil {
		return nil, Certificate{}, fmt.Errorf("%w: it holds a statement, and no signature of a text", ErrBundle)
	}
	summary, err := certificate.SummarizeCertificate(leaf)
	if err != nil {
		return nil, Certificate{}, fmt.Errorf("%w: its certificate: %w", ErrBundle, err)
	}
	return b, certificateOf(summary), nil
}

// CosignFlags are what `cosign verify-blob` has to be told to verify a bundle with this root
// as it is verified here: cosign expects what the public instance has.
func (r *Root) CosignFlags(data []byte) []string {
	var flags []string
	if len(r.trusted.CTLogs()) == 0 {
		flags = append(flags, "--insecure-ignore-sct")
	}
	if len(r.trusted.RekorLogs()) == 0 {
		flags = append(flags, "--insecure-ignore-tlog")
	}
	b, _, err := openText(data)
	if err == nil && len(r.trusted.TimestampingAuthorities()) > 0 && len(b.GetVerificationMaterial().GetTimestampVerificationData().GetRfc3161Timestamps()) > 0 {
		flags = append(flags, "--use-signed-timestamps")
	}
	return flags
}
