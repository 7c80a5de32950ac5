package sigstore_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/blackdice/shipwarden/internal/shaketest"
	"github.com/blackdice/shipwarden/internal/sigstore"
	"github.com/blackdice/shipwarden/internal/sigstore/sigstoretest"
)

const (
	carol  = "carol@shop.example"
	people = "https://id.shop.example"
	text   = "shipwarden approval v1\n"
)

func digest(of string) string {
	sum := sha256.Sum256([]byte(of))
	return hex.EncodeToString(sum[:])
}

// TestWhichBundlesOfATextVerify, and which do not: what was signed, by which instance, and
// whether its log or its clock saw it while the certificate was valid.
func TestWhichBundlesOfATextVerify(t *testing.T) {
	ours, theirs := sigstoretest.New(t), sigstoretest.New(t)
	all := ours.Root(t)
	plain := sigstoretest.Options{}
	good := ours.SignText(t, carol, people, []byte(text), plain)
	stamped := ours.SignText(t, carol, people, []byte(text), sigstoretest.Options{Stamped: true})
	other := ours.SignText(t, carol, people, []byte("shipwarden approval v2\n"), plain)
	const logged, signature = "verificationMaterial.tlogEntries", "messageSignature"
	for name, c := range map[string]struct {
		bundle []byte
		root   []byte
		want   error
	}{
		"as cosign makes it":            {good, all, nil},
		"with a timestamp as well":      {stamped, all, nil},
		"with a timestamp, and no log":  {sigstoretest.Change(t, stamped, logged, []any{}), sigstoretest.Change(t, all, "tlogs", []any{}), nil},
		"in no log":                     {sigstoretest.Change(t, good, logged, []any{}), all, sigstore.ErrUntrusted},
		"in no log, with a timestamp":   {sigstoretest.Change(t, stamped, logged, []any{}), all, sigstore.ErrUntrusted},
		"in the log for another text":   {sigstoretest.Change(t, good, logged, sigstoretest.Part(t, other, logged)), all, sigstore.ErrUntrusted},
		"of another text":               {other, all, sigstore.ErrUntrusted},
		"of another text, renamed":      {sigstoretest.Change(t, other, signature+".messageDigest", sigstoretest.Part(t, good, signature+".messageDigest")), all, sigstore.ErrUntrusted},
		"with another's signature":      {sigstoretest.Change(t, good, signature, sigstoretest.Part(t, other, signature)), all, sigstore.ErrUntrusted},
		"of another instance":           {theirs.SignText(t, carol, people, []byte(text), plain), all, sigstore.ErrUntrusted},
		"after its certificate":         {ours.SignText(t, carol, people, []byte(text), sigstoretest.Options{At: time.Now().Add(time.Hour)}), all, sigstore.ErrUntrusted},
		"before its certificate":        {ours.SignText(t, carol, people, []byte(text), sigstoretest.Options{At: time.Now().Add(-time.Hour)}), all, sigstore.ErrUntrusted},
		"a statement about the text":    {ours.Sign(t, carol, people, `{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"text","digest":{"sha256":"`+digest(text)+`"}}]}`), all, sigstore.ErrBundle},
		"of an older version":           {sigstoretest.Change(t, good, "mediaType", "application/vnd.dev.sigstore.bundle+json;version=0.2"), all, sigstore.ErrBundle},
		"of a version to come":          {sigstoretest.Change(t, good, "mediaType", "application/vnd.dev.sigstore.bundle.v0.4+json"), all, sigstore.ErrBundle},
		"as cosign once made them":      {[]byte(`{"base64Signature":"","cert":"","rekorBundle":{}}`), all, sigstore.ErrBundle},
		"signed by a key":               {sigstoretest.Change(t, sigstoretest.Change(t, good, "verificationMaterial.certificate", nil), "verificationMaterial.publicKey", map[string]any{"hint": "x"}), all, sigstore.ErrBundle},
		"longer than any":               {append(good, strings.Repeat(" ", sigstore.MaxText)...), all, sigstore.ErrBundle},
		"nothing":                       {nil, all, sigstore.ErrBundle},
		"with something of somebody's":  {sigstoretest.Change(t, good, "carol", true), all, sigstore.ErrBundle},
		"with a certificate that is no": {sigstoretest.Change(t, good, "verificationMaterial.certificate.rawBytes", "AAAA"), all, sigstore.ErrBundle},
	} {
		t.Run(name, func(t *testing.T) {
			root, err := sigstore.ParseRoot(c.root)
			if err != nil {
				t.Fatal(err)
			}
			got, err := root.VerifyText(c.bundle, []byte(text))
			if !errors.Is(err, c.want) || (c.want == nil) != (err == nil) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
			if err == nil && (got.Certificate.Subject != carol || got.Certificate.Issuer != people || len(got.Seen) == 0) {
				t.Errorf("got %+v", got)
			}
			if claim, err := sigstore.Claim(c.bundle); errors.Is(c.want, sigstore.ErrBundle) != errors.Is(err, sigstore.ErrBundle) || err == nil && claim.Subject != carol {
				t.Errorf("it claims %+v, %v", claim, err)
			}
		})
	}
}

// TestEveryTimeIsSaid: a bundle that was stamped and logged was seen twice.
func TestEveryTimeIsSaid(t *testing.T) {
	ours := sigstoretest.New(t)
	root, err := sigstore.ParseRoot(ours.Root(t))
	if err != nil {
		t.Fatal(err)
	}
	at := time.Now().Add(3 * time.Minute).Truncate(time.Second)
	got, err := root.VerifyText(ours.SignText(t, carol, people, []byte(text), sigstoretest.Options{At: at, Stamped: true}), []byte(text))
	if err != nil || len(got.Seen) != 2 || !got.Seen[0].Equal(at) || !got.Seen[1].Before(at) {
		t.Errorf("seen at %v, want at %s and before: %v", got.Seen, at, err)
	}
}

func TestRootsAreKnownByTheirDigests(t *testing.T) {
	dir := t.TempDir()
	file := func(name string, content []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	one, two := sigstoretest.New(t).Root(t), sigstoretest.New(t).Root(t)
	roots, err := sigstore.LoadRoots([]string{file("one", one), file("two", two)})
	if err != nil || len(roots) != 2 || roots["sha256:"+digest(string(one))] == nil || roots["sha256:"+digest(string(two))] == nil {
		t.Errorf("%v, %v", roots, err)
	}
	for _, bad := range []string{file("none", []byte("{}")), filepath.Join(dir, "nowhere")} {
		if _, err := sigstore.LoadRoots([]string{file("one", one), bad}); err == nil || !strings.Contains(err.Error(), "[1]: ") || !strings.Contains(err.Error(), bad) {
			t.Errorf("%v", err)
		}
	}
}

func FuzzVerifyText(f *testing.F) {
	ours := sigstoretest.New(f)
	root, err := sigstore.ParseRoot(ours.Root(f))
	if err != nil {
		f.Fatal(err)
	}
	shaketest.Add(f, ours.SignText(f, carol, people, []byte(text), sigstoretest.Options{Stamped: true}))
	shaketest.Add(f, []byte(`{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","messageSignature":{}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if got, err := root.VerifyText(data, []byte(text)); err == nil && got.Certificate.Subject != carol {
			t.Errorf("verified: %+v", got)
		}
	})
}
