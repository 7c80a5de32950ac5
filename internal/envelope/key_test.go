package envelope_test

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"testing"

	"github.com/blackdice/shipwarden/internal/envelope"
	"github.com/blackdice/shipwarden/internal/envelope/envelopetest"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
)

func TestAKeyringThatCouldBeMisreadIsRefused(t *testing.T) {
	for name, change := range map[string]func(*configv1.Keyring){
		"an id twice":            func(k *configv1.Keyring) { k.Keys[1].Id = k.GetKeys()[0].GetId() },
		"an id with a space":     func(k *configv1.Keyring) { k.Keys[0].Id = "a b" },
		"a key without a writer": func(k *configv1.Keyring) { k.Keys[0].Writer = "" },
		"a short key":            func(k *configv1.Keyring) { k.Keys[0].Ed25519 = k.GetKeys()[0].GetEd25519()[:31] },
	} {
		cfg := envelopetest.Config()
		change(cfg)
		if _, err := envelope.NewKeyring(cfg); !errors.Is(err, envelope.ErrKey) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestASignerIsTrustedWhereItsKeyStands(t *testing.T) {
	ring := envelopetest.Ring()
	if !ring.Trusts(envelopetest.Signer("approval")) {
		t.Error("the approval service's signer is not trusted")
	}
	stolen, err := envelope.NewSigner(envelopetest.KeyID("approval"), "executor", envelopetest.PrivateKey("approval"))
	if err != nil {
		t.Fatal(err)
	}
	other, err := envelope.NewSigner(envelopetest.KeyID("approval"), "approval", envelopetest.PrivateKey("executor"))
	if err != nil {
		t.Fatal(err)
	}
	if ring.Trusts(stolen) || ring.Trusts(other) {
		t.Error("a signer with another writer or another key is trusted")
	}
}

func TestAPrivateKeyIsReadFromPEM(t *testing.T) {
	key := envelopetest.PrivateKey("approval")
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	if got, err := envelope.ParsePrivateKey(text); err != nil || !got.Equal(key) {
		t.Errorf("parse got %v, %v", got, err)
	}
	for _, bad := range []string{"", "secret", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"} {
		if _, err := envelope.ParsePrivateKey([]byte(bad)); !errors.Is(err, envelope.ErrKey) {
			t.Errorf("parse of %q got %v", bad, err)
		}
	}
}
