package sigstore_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/sigstore/sigstore-go/pkg/testing/data"

	"github.com/blackdice/shipwarden/internal/shaketest"
	"github.com/blackdice/shipwarden/internal/sigstore"
	"github.com/blackdice/shipwarden/internal/sigstore/sigstoretest"
)

const (
	subject = "https://github.com/shop/shop/.github/workflows/release.yaml@refs/heads/main"
	issuer  = "https://token.actions.githubusercontent.com"
	payload = `{"_type":"https://in-toto.io/Statement/v1"}`
)

// A bundle that npm's registry serves, of a real build, and the root that it is
// verified with all over the world.
func TestABundleOfTheWorldVerifies(t *testing.T) {
	trusted, err := data.TrustedRoot(t, "public-good.json").MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	root, err := sigstore.ParseRoot(trusted)
	if err != nil {
		t.Fatal(err)
	}
	bundle, err := data.Bundle(t, "sigstore.js@2.0.0-provenance.sigstore.json").MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	got, err := root.Verify(bundle)
	if err != nil {
		t.Fatal(err)
	}
	want := sigstore.Certificate{
		Issuer:           "https://token.actions.githubusercontent.com",
		Subject:          "https://github.com/sigstore/sigstore-js/.github/workflows/release.yml@refs/heads/main",
		SourceRepository: "https://github.com/sigstore/sigstore-js", SourceRef: "refs/heads/main",
		BuildSigner:  "https://github.com/sigstore/sigstore-js/.github/workflows/release.yml@refs/heads/main",
		BuildTrigger: "push", Runner: "github-hosted",
	}
	if got.Certificate != want {
		t.Errorf("signed by %+v, want %+v", got.Certificate, want)
	}
	if got.PayloadType != "application/vnd.in-toto+json" || !strings.Contains(string(got.Payload), `"https://slsa.dev/provenance/v1"`) {
		t.Errorf("payload of type %s: %.200s", got.PayloadType, got.Payload)
	}
	if got.At.Year() != 2023 {
		t.Errorf("signed %s", got.At)
	}
}

func TestWhatVerifiesAndWhatDoesNot(t *testing.T) {
	ours, theirs := sigstoretest.New(t), sigstoretest.New(t)
	root, err := sigstore.ParseRoot(ours.Root(t))
	if err != nil {
		t.Fatal(err)
	}
	good := ours.Sign(t, subject, issuer, payload)
	for name, test := range map[string]struct {
		bundle []byte
		want   error
	}{
		"signed by us":                  {good, nil},
		"signed elsewhere":              {theirs.Sign(t, subject, issuer, payload), sigstore.ErrUntrusted},
		"signed after its certificate":  {ours.SignAt(t, subject, issuer, payload, time.Now().Add(48*time.Hour)), sigstore.ErrUntrusted},
		"signed before its certificate": {ours.SignAt(t, subject, issuer, payload, time.Now().Add(-48*time.Hour)), sigstore.ErrUntrusted},
		"with another payload":          {sigstoretest.Change(t, good, "dsseEnvelope.payload", "e30="), sigstore.ErrUntrusted},
		"with another signature":        {sigstoretest.Change(t, good, "dsseEnvelope.signatures", sigstoretest.Part(t, ours.Sign(t, subject, issuer, "{}"), "dsseEnvelope.signatures")), sigstore.ErrUntrusted},
		"in no log":                     {sigstoretest.Change(t, good, "verificationMaterial.tlogEntries", []any{}), sigstore.ErrUntrusted},
		"in the log for another":        {sigstoretest.Change(t, good, "verificationMaterial.tlogEntries", sigstoretest.Part(t, ours.Sign(t, subject, issuer, "{}"), "verificationMaterial.tlogEntries")), sigstore.ErrUntrusted},
		"nothing":                       {nil, sigstore.ErrBundle},
		"no JSON":                       {[]byte("{"), sigstore.ErrBundle},
		"JSON of something else":        {[]byte(`{"payload":""}`), sigstore.ErrBundle},
		"of a version to come":          {sigstoretest.Change(t, good, "mediaType", "application/vnd.dev.sigstore.bundle.v9+json"), sigstore.ErrBundle},
		"without an envelope":           {sigstoretest.Change(t, good, "dsseEnvelope", nil), sigstore.ErrBundle},
		"signed by a key":               {sigstoretest.Change(t, good, "verificationMaterial.certificate", nil), sigstore.ErrBundle},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := root.Verify(test.bundle)
			if !errors.Is(err, test.want) || (test.want == nil) != (err == nil) {
				t.Fatalf("got %v, want %v", err, test.want)
			}
			if err == nil && (got.Certificate.Subject != subject || got.Certificate.Issuer != issuer || string(got.Payload) != payload) {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func TestRootsThatNothingCanBeVerifiedWith(t *testing.T) {
	good := sigstoretest.New(t).Root(t)
	for name, data := range map[string][]byte{
		"nothing":                     nil,
		"no JSON":                     []byte("["),
		"without authorities":         sigstoretest.Change(t, good, "certificateAuthorities", []any{}),
		"without a log and any clock": sigstoretest.Change(t, sigstoretest.Change(t, good, "tlogs", []any{}), "timestampAuthorities", []any{}),
	} {
		if _, err := sigstore.ParseRoot(data); !errors.Is(err, sigstore.ErrRoot) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzVerify(f *testing.F) {
	ours := sigstoretest.New(f)
	root, err := sigstore.ParseRoot(ours.Root(f))
	if err != nil {
		f.Fatal(err)
	}
	shaketest.Add(f, ours.Sign(f, subject, issuer, payload))
	shaketest.Add(f, []byte(`{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if got, err := root.Verify(data); err == nil && (got.Certificate.Subject != subject || string(got.Payload) != payload) {
			t.Errorf("verified: %+v", got)
		}
	})
}
