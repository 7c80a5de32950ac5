package sigstore_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/blackdice/shipwarden/internal/shaketest"
	"github.com/blackdice/shipwarden/internal/sigstore"
	"github.com/blackdice/shipwarden/internal/sigstore/sigstoretest"
)

// FuzzParseRoot reads trusted roots that are damaged, or none. Each is refused as one, or
// verifies what it can: and never what another instance has signed.
func FuzzParseRoot(f *testing.F) {
	ours, theirs := sigstoretest.New(f), sigstoretest.New(f)
	good := ours.Root(f)
	shaketest.Add(f, good)
	for _, path := range []string{"certificateAuthorities", "tlogs", "ctlogs", "timestampAuthorities"} {
		shaketest.Add(f, sigstoretest.Change(f, good, path, []any{}))
		shaketest.Add(f, sigstoretest.Change(f, good, path, []any{map[string]any{}}))
		f.Add(sigstoretest.Change(f, good, path, nil))
	}
	shaketest.Add(f, []byte(`{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1"}`))
	shaketest.Add(f, []byte(`{}`))
	own, foreign := ours.Sign(f, subject, issuer, payload), theirs.Sign(f, subject, issuer, payload)
	f.Fuzz(func(t *testing.T, data []byte) {
		root, err := sigstore.ParseRoot(data)
		if err != nil {
			if !errors.Is(err, sigstore.ErrRoot) || root != nil {
				t.Errorf("%v, %v", root, err)
			}
			return
		}
		if got, err := root.Verify(foreign); err == nil {
			t.Errorf("verified what a stranger signed: %+v", got)
		}
		got, err := root.Verify(own)
		if bytes.Equal(data, good) && err != nil || err == nil && string(got.Payload) != payload {
			t.Errorf("%+v, %v", got, err)
		}
	})
}
