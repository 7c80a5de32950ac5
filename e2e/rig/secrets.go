package rig

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/blackdice/shipwarden/procedure"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
)

var services = []string{procedure.ServiceApproval, procedure.ServiceValidator, procedure.ServiceExecutor, procedure.ServiceRecorder}

// Key returns the private key in the file, making one where there is none.
func Key(path string) (ed25519.PrivateKey, error) {
	raw, err := os.ReadFile(path)
	if err == nil {
		block, _ := pem.Decode(raw)
		if block == nil {
			return nil, fmt.Errorf("read key %s: not PEM", path)
		}
		key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("read key %s: %w", path, err)
		}
		private, ok := key.(ed25519.PrivateKey)
		if !ok {
			return nil, fmt.Errorf("read key %s: not an Ed25519 key", path)
		}
		return private, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, err
	}
	return private, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600)
}

// Public is the public half of a private key.
func Public(private ed25519.PrivateKey) ed25519.PublicKey {
	public, _ := private.Public().(ed25519.PublicKey)
	return public
}

// secret returns the text in the file, making one where there is none.
func secret(path string) (string, error) {
	raw, err := os.ReadFile(path)
	if err == nil {
		return string(raw), nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	text := rand.Text()
	return text, os.WriteFile(path, []byte(text), 0o600)
}

// keyring makes a key for every service, and the ring of their public halves.
func (r *Rig) keyring() (*configv1.Keyring, error) {
	ring := &configv1.Keyring{}
	for _, name := range services {
		private, err := Key(r.secretFile(name + ".pem"))
		if err != nil {
			return nil, err
		}
		ring.Keys = append(ring.Keys, &configv1.WriterKey{Id: name + "-1", Writer: name, Ed25519: Public(private)})
	}
	return ring, nil
}

// tokens makes a token for every person of the procedure document, and one that
// only reads.
func (r *Rig) tokens(people []*policyv1.Person) (*configv1.Tokens, error) {
	all := &configv1.Tokens{}
	add := func(person string, reader bool) error {
		text, err := secret(r.TokenFile(person))
		if err != nil {
			return err
		}
		sum := sha256.Sum256([]byte(text))
		all.Tokens = append(all.Tokens, &configv1.Token{Sha256: hex.EncodeToString(sum[:]), Person: person, Reader: reader})
		return nil
	}
	for _, p := range people {
		if err := add(p.GetId(), false); err != nil {
			return nil, err
		}
	}
	return all, add(Auditor, true)
}

// Auditor is the name of the token that reads the record and decides nothing.
const Auditor = "auditor"

func (r *Rig) secretFile(name string) string { return filepath.Join(r.cfg.Dir, "secrets", name) }

// TokenFile is where the token of a person lies.
func (r *Rig) TokenFile(person string) string { return r.secretFile(person + ".token") }
