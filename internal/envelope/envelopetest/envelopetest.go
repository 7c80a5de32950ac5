// Package envelopetest has keys for tests: one for every service, the same in
// every run, and a keyring that knows them.
package envelopetest

import (
	"crypto/ed25519"
	"crypto/sha256"

	"github.com/blackdice/shipwarden/internal/envelope"
	"github.com/blackdice/shipwarden/procedure"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
)

// Writers are the services that have a key.
var Writers = []string{
	procedure.ServiceApproval, procedure.ServiceValidator, procedure.ServiceExecutor, procedure.ServiceRecorder,
}

// KeyID is the id of the writer's key.
func KeyID(writer string) string { return writer + "-test" }

// PrivateKey is the writer's private key.
func PrivateKey(writer string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte("shipwarden test key of " + writer))
	return ed25519.NewKeyFromSeed(seed[:])
}

// Signer signs for the writer. It panics for a writer without a name.
func Signer(writer string) *envelope.Signer {
	signer, err := envelope.NewSigner(KeyID(writer), writer, PrivateKey(writer))
	if err != nil {
		panic(err)
	}
	return signer
}

// Config is the keyring as a file has it.
func Config() *configv1.Keyring {
	cfg := &configv1.Keyring{}
	for _, w := range Writers {
		cfg.Keys = append(cfg.Keys, &configv1.WriterKey{
			Id: KeyID(w), Writer: w, Ed25519: Signer(w).Public(),
		})
	}
	return cfg
}

// Ring is the keyring of all writers.
func Ring() *envelope.Keyring {
	ring, err := envelope.NewKeyring(Config())
	if err != nil {
		panic(err)
	}
	return ring
}
