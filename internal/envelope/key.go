package envelope

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"regexp"

	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
)

// keyIDPattern keeps a key's id fit for a header: the signature follows a space.
var keyIDPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// Signer signs the events of one writer. It is safe for concurrent use.
type Signer struct {
	id     string
	writer string
	key    ed25519.PrivateKey
}

// NewSigner returns a signer for the writer with that key, which the keyring must
// list under the id. Errors wrap ErrKey.
func NewSigner(id, writer string, key ed25519.PrivateKey) (*Signer, error) {
	switch {
	case !keyIDPattern.MatchString(id):
		return nil, fmt.Errorf("signer: key id %q: %w", id, ErrKey)
	case writer == "":
		return nil, fmt.Errorf("signer: writer of key %q: %w", id, ErrKey)
	case len(key) != ed25519.PrivateKeySize:
		return nil, fmt.Errorf("signer: length of key %q: %w", id, ErrKey)
	}
	return &Signer{id: id, writer: writer, key: bytes.Clone(key)}, nil
}

// Writer is the service that the signer signs for.
func (s *Signer) Writer() string { return s.writer }

// KeyID is the key's id in the keyring.
func (s *Signer) KeyID() string { return s.id }

// Public is the key that verifies what the signer signs.
func (s *Signer) Public() ed25519.PublicKey {
	public, _ := s.key.Public().(ed25519.PublicKey)
	return public
}

// ParsePrivateKey reads an Ed25519 private key from PEM with PKCS #8 in it, as
// `openssl genpkey -algorithm ed25519` writes it. Errors wrap ErrKey and say
// nothing about the content.
func ParsePrivateKey(text []byte) (ed25519.PrivateKey, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("private key: no PEM block: %w", ErrKey)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("private key: not PKCS #8: %w", ErrKey)
	}
	key, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("private key: %T is not Ed25519: %w", parsed, ErrKey)
	}
	return key, nil
}

// Keyring knows the public keys of all writers. It does not change, and is safe
// for concurrent use.
type Keyring struct {
	keys map[string]publicKey
}

type publicKey struct {
	writer       string
	key          ed25519.PublicKey
	revokedAfter uint64
}

// NewKeyring takes the keys of a keyring file. A writer may have several keys, so
// that one can follow another; an id may stand for one key only. Errors wrap
// ErrKey and name the key.
func NewKeyring(cfg *configv1.Keyring) (*Keyring, error) {
	ring := &Keyring{keys: make(map[string]publicKey, len(cfg.GetKeys()))}
	for i, k := range cfg.GetKeys() {
		switch {
		case !keyIDPattern.MatchString(k.GetId()):
			return nil, fmt.Errorf("keyring: keys[%d].id %q: %w", i, k.GetId(), ErrKey)
		case k.GetWriter() == "":
			return nil, fmt.Errorf("keyring: keys[%d].writer is empty: %w", i, ErrKey)
		case len(k.GetEd25519()) != ed25519.PublicKeySize:
			return nil, fmt.Errorf("keyring: keys[%d].ed25519 has %d bytes: %w", i, len(k.GetEd25519()), ErrKey)
		}
		if _, twice := ring.keys[k.GetId()]; twice {
			return nil, fmt.Errorf("keyring: keys[%d].id %q is there twice: %w", i, k.GetId(), ErrKey)
		}
		ring.keys[k.GetId()] = publicKey{
			writer:       k.GetWriter(),
			key:          bytes.Clone(k.GetEd25519()),
			revokedAfter: k.GetRevokedAfterSequence(),
		}
	}
	return ring, nil
}

// Trusts reports whether events of the signer can be opened with this keyring, as
// far as no revocation stands against it.
func (k *Keyring) Trusts(s *Signer) bool {
	key, known := k.keys[s.id]
	return known && key.writer == s.writer && key.key.Equal(s.Public())
}
