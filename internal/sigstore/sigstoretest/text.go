package sigstoretest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net/url"
	"testing"
	"time"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"github.com/sigstore/sigstore-go/pkg/fulcio/certificate"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/testing/ca"
	"google.golang.org/protobuf/encoding/protojson"
)

// Options change what SignText makes.
type Options struct {
	// At is when the log saw it. Absent: in half a minute, when the certificate is valid
	// however long it took to make it.
	At time.Time
	// Stamped has a timestamping authority see it as well, now.
	Stamped bool
	// Build has the certificate say that it was issued to a build.
	Build bool
}

// issuer is an authority that says of a certificate what a test wants.
type issuer struct {
	authority *root.FulcioCertificateAuthority
	key       crypto.Signer
}

func newIssuer(tb testing.TB) issuer {
	tb.Helper()
	anchor, key, err := ca.GenerateRootCa()
	if err != nil {
		tb.Fatal(err)
	}
	between, own, err := ca.GenerateFulcioIntermediate(anchor, key)
	if err != nil {
		tb.Fatal(err)
	}
	now := time.Now()
	return issuer{&root.FulcioCertificateAuthority{
		Root: anchor, Intermediates: []*x509.Certificate{between}, URI: "https://fulcio.localhost",
		ValidityPeriodStart: now.Add(-5 * time.Hour), ValidityPeriodEnd: now.Add(time.Hour),
	}, own}
}

// claim is one of the texts that a certificate has beside its subject.
type claim struct {
	id   asn1.ObjectIdentifier
	text string
}

// issue makes a key and its certificate, which is valid for ten minutes. The subject is a URI
// or an address of mail; claims without a text are left out.
func (i issuer) issue(tb testing.TB, subject, provider string, claims ...claim) (*ecdsa.PrivateKey, []byte) {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	says := func(id asn1.ObjectIdentifier, text string) pkix.Extension {
		value, err := asn1.MarshalWithParams(text, "utf8")
		if err != nil {
			tb.Fatal(err)
		}
		return pkix.Extension{Id: id, Value: value}
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: now, NotAfter: now.Add(10 * time.Minute),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
		ExtraExtensions: []pkix.Extension{says(certificate.OIDIssuerV2, provider)},
	}
	if name, err := url.Parse(subject); err == nil && name.Scheme != "" {
		template.URIs = []*url.URL{name}
	} else {
		template.EmailAddresses = []string{subject}
	}
	for _, c := range claims {
		if c.text != "" {
			template.ExtraExtensions = append(template.ExtraExtensions, says(c.id, c.text))
		}
	}
	made, err := x509.CreateCertificate(rand.Reader, template, i.authority.Intermediates[0], key.Public(), i.key)
	if err != nil {
		tb.Fatal(err)
	}
	return key, made
}

// SignText returns a bundle (JSON) in which the subject, vouched for by the issuer, signs a
// text, as `cosign sign-blob --bundle` does.
func (i *Instance) SignText(tb testing.TB, subject, provider string, text []byte, o Options) []byte {
	tb.Helper()
	if o.At.IsZero() {
		o.At = time.Now().Add(30 * time.Second)
	}
	var claims []claim
	if o.Build {
		claims = Build{Runner: "github-hosted"}.claims()
	}
	key, leaf := i.people.issue(tb, subject, provider, claims...)
	sum := sha256.Sum256(text)
	signature, err := key.Sign(rand.Reader, sum[:], crypto.SHA256)
	if err != nil {
		tb.Fatal(err)
	}
	material := &protobundle.VerificationMaterial{
		Content:     &protobundle.VerificationMaterial_Certificate{Certificate: &protocommon.X509Certificate{RawBytes: leaf}},
		TlogEntries: []*protorekor.TransparencyLogEntry{i.logged(tb, sum[:], signature, leaf, o.At)},
	}
	if o.Stamped {
		stamp, err := i.virtual.TimestampResponse(signature)
		if err != nil {
			tb.Fatal(err)
		}
		material.TimestampVerificationData = &protobundle.TimestampVerificationData{
			Rfc3161Timestamps: []*protocommon.RFC3161SignedTimestamp{{SignedTimestamp: stamp}},
		}
	}
	data, err := protojson.Marshal(&protobundle.Bundle{
		MediaType: "application/vnd.dev.sigstore.bundle.v0.3+json", VerificationMaterial: material,
		Content: &protobundle.Bundle_MessageSignature{MessageSignature: &protocommon.MessageSignature{
			MessageDigest: &protocommon.HashOutput{Algorithm: protocommon.HashAlgorithm_SHA2_256, Digest: sum[:]},
			Signature:     signature,
		}},
	})
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

// logged is the log's entry of a signature, with its promise and its proof.
func (i *Instance) logged(tb testing.TB, sum, signature, leaf []byte, at time.Time) *protorekor.TransparencyLogEntry {
	tb.Helper()
	type object map[string]any // whose keys are written in order
	body, err := json.Marshal(object{"apiVersion": "0.0.1", "kind": "hashedrekord", "spec": object{
		"data": object{"hash": object{"algorithm": "sha256", "value": hex.EncodeToString(sum)}},
		"signature": object{
			"content": signature, "publicKey": object{"content": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf})},
		},
	}})
	if err != nil {
		tb.Fatal(err)
	}
	id, err := i.virtual.RekorLogID()
	if err != nil {
		tb.Fatal(err)
	}
	raw, err := hex.DecodeString(id)
	if err != nil {
		tb.Fatal(err)
	}
	entry := i.promised(tb, &protorekor.TransparencyLogEntry{
		LogIndex: 1000, LogId: &protocommon.LogId{KeyId: raw}, IntegratedTime: at.Unix(), CanonicalizedBody: body,
	})
	entry.KindVersion.Kind = "hashedrekord"
	entry.InclusionProof = i.included(tb, body)
	return entry
}

// included is the log's proof that it has an entry, which is its only one.
func (i *Instance) included(tb testing.TB, body []byte) *protorekor.InclusionProof {
	tb.Helper()
	proof, err := i.virtual.GetInclusionProof(body)
	if err != nil {
		tb.Fatal(err)
	}
	top, err := hex.DecodeString(*proof.RootHash)
	if err != nil {
		tb.Fatal(err)
	}
	return &protorekor.InclusionProof{
		LogIndex: *proof.LogIndex, TreeSize: *proof.TreeSize, RootHash: top, Checkpoint: &protorekor.Checkpoint{Envelope: *proof.Checkpoint},
	}
}
