// Package sshsig verifies signatures that people make with the keys that they have: the
// format of `ssh-keygen -Y sign` (OpenSSH, PROTOCOL.sshsig), which every SSH key, agent
// and security key can make and every machine with OpenSSH can check (PD-A.4).
//
// It takes less than that format allows: keys of Ed25519, of the NIST curves, RSA from
// 2048 bits on, and security keys that were touched; hashes SHA-256 and SHA-512; and no
// byte that is not part of the signature. RSA with SHA-1, DSA and certificates are
// refused. Nothing here knows what is signed.
package sshsig

import (
	"bytes"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
)

var (
	// ErrKey says that a text is not a public key that may sign.
	ErrKey = errors.New("not a public key that may sign")
	// ErrMalformed says that a text is not a signature.
	ErrMalformed = errors.New("not an SSH signature")
	// ErrInvalid says that a signature is not that of the key for the text.
	ErrInvalid = errors.New("signature does not hold")
)

// Bounds of what is read, in bytes. An RSA key of 16384 bits fits.
const (
	maxKey     = 8 << 10
	maxArmored = 8 << 10
	minRSABits = 2048
	maxRSABits = 16384
)

const (
	magic     = "SSHSIG"
	version   = 1
	pemType   = "SSH SIGNATURE"
	pemPrefix = "-----BEGIN " + pemType + "-----\n"
)

// ParseKey reads one public key as it stands in a .pub file, without options: its type,
// its bytes in base64, and a comment, which is left out. The error wraps ErrKey.
func ParseKey(line string) (ssh.PublicKey, error) {
	line = strings.TrimSpace(line)
	if len(line) > maxKey || strings.ContainsAny(line, "\r\n") {
		return nil, fmt.Errorf("%w: it is more than one line, or too long", ErrKey)
	}
	key, _, options, rest, err := ssh.ParseAuthorizedKey([]byte(line))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	case len(options) > 0 || len(rest) > 0:
		return nil, fmt.Errorf("%w: it has options", ErrKey)
	}
	return key, usable(key)
}

// usable says why signatures of a key are not taken.
func usable(key ssh.PublicKey) error {
	if slices.Contains(plainTypes, key.Type()) {
		return nil
	}
	if key.Type() != ssh.KeyAlgoRSA {
		return fmt.Errorf("%w: keys of type %s are not taken", ErrKey, key.Type())
	}
	crypto, ok := key.(ssh.CryptoPublicKey)
	if !ok {
		return fmt.Errorf("%w: its numbers cannot be read", ErrKey)
	}
	public, ok := crypto.CryptoPublicKey().(*rsa.PublicKey)
	if !ok || public.N.BitLen() < minRSABits || public.N.BitLen() > maxRSABits {
		return fmt.Errorf("%w: an RSA key has %d to %d bits", ErrKey, minRSABits, maxRSABits)
	}
	return nil
}

// plainTypes are the types of keys of which every signature is taken that holds.
var plainTypes = []string{
	ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521, ssh.KeyAlgoSKED25519, ssh.KeyAlgoSKECDSA256,
}

// Fingerprint is how people and tools name a key: "SHA256:…".
func Fingerprint(key ssh.PublicKey) string { return ssh.FingerprintSHA256(key) }

// Signature is one that was read, and not verified yet.
type Signature struct {
	// Key is the key that it says it was made with.
	Key ssh.PublicKey
	// Namespace is what it says it was made for.
	Namespace string

	reserved, hash string
	signature      *ssh.Signature
}

// Parse reads a signature in its text form. The error wraps ErrMalformed, or ErrKey
// where the key is one whose signatures are not taken.
func Parse(armored string) (*Signature, error) {
	armored = strings.TrimSpace(strings.ReplaceAll(armored, "\r\n", "\n")) + "\n"
	if len(armored) > maxArmored || !strings.HasPrefix(armored, pemPrefix) {
		return nil, fmt.Errorf("%w: it does not begin with %q, or is too long", ErrMalformed, strings.TrimSpace(pemPrefix))
	}
	block, rest := pem.Decode([]byte(armored))
	if block == nil || block.Type != pemType || len(block.Headers) > 0 || len(rest) > 0 {
		return nil, fmt.Errorf("%w: its text form is broken", ErrMalformed)
	}
	blob, ok := bytes.CutPrefix(block.Bytes, []byte(magic))
	if !ok {
		return nil, fmt.Errorf("%w: it does not begin with %s", ErrMalformed, magic)
	}
	var w wire
	if err := ssh.Unmarshal(blob, &w); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if w.Version != version {
		return nil, fmt.Errorf("%w: version %d is unknown", ErrMalformed, w.Version)
	}
	key, err := ssh.ParsePublicKey([]byte(w.Key))
	if err != nil {
		return nil, fmt.Errorf("%w: its key: %w", ErrMalformed, err)
	}
	if err := usable(key); err != nil {
		return nil, err
	}
	s := &Signature{Key: key, Namespace: w.Namespace, reserved: w.Reserved, hash: w.Hash, signature: &ssh.Signature{}}
	if err := ssh.Unmarshal([]byte(w.Signature), s.signature); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return s, nil
}

// wire is a signature behind its magic.
type wire struct {
	Version   uint32
	Key       string
	Namespace string
	Reserved  string
	Hash      string
	Signature string
}

// Verify reports whether the signature is one of its key for that text in that
// namespace. Whose key it is is for the caller to know. The error wraps ErrInvalid.
func (s *Signature) Verify(namespace string, text []byte) error {
	if s.Namespace != namespace || namespace == "" {
		return fmt.Errorf("%w: it was made for the namespace %q, not %q", ErrInvalid, s.Namespace, namespace)
	}
	sum, err := digest(s.hash, text)
	if err != nil {
		return err
	}
	if err := s.algorithm(); err != nil {
		return err
	}
	if err := s.Key.Verify(toBeSigned(namespace, s.reserved, s.hash, sum), s.signature); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return nil
}

// algorithm refuses signatures that a key could make and should not: RSA with SHA-1,
// and with bytes behind them that nothing vouches for.
func (s *Signature) algorithm() error {
	want := []string{s.Key.Type()}
	if s.Key.Type() == ssh.KeyAlgoRSA {
		want = []string{ssh.KeyAlgoRSASHA256, ssh.KeyAlgoRSASHA512}
	}
	if !slices.Contains(want, s.signature.Format) {
		return fmt.Errorf("%w: signatures of the kind %q are not taken", ErrInvalid, s.signature.Format)
	}
	if !strings.HasPrefix(s.Key.Type(), "sk-") && len(s.signature.Rest) > 0 {
		return fmt.Errorf("%w: there is more behind it", ErrInvalid)
	}
	return nil
}

func digest(hash string, text []byte) ([]byte, error) {
	switch hash {
	case "sha256":
		sum := sha256.Sum256(text)
		return sum[:], nil
	case "sha512":
		sum := sha512.Sum512(text)
		return sum[:], nil
	}
	return nil, fmt.Errorf("%w: the hash %q is not taken", ErrInvalid, hash)
}

// toBeSigned is what the key signs.
func toBeSigned(namespace, reserved, hash string, sum []byte) []byte {
	return append([]byte(magic), ssh.Marshal(struct {
		Namespace, Reserved, Hash string
		Sum                       []byte
	}{namespace, reserved, hash, sum})...)
}
