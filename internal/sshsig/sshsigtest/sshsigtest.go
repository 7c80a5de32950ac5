// Package sshsigtest signs for tests, as `ssh-keygen -Y sign` does, and wrongly where a
// test says how.
package sshsigtest

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/pem"
	"testing"

	"golang.org/x/crypto/ssh"
)

// Key returns the private key of a name: the same for the same name.
func Key(tb testing.TB, name string) ssh.Signer {
	tb.Helper()
	seed := sha256.Sum256([]byte("shipwarden person key " + name))
	signer, err := ssh.NewSignerFromKey(ed25519.NewKeyFromSeed(seed[:]))
	if err != nil {
		tb.Fatal(err)
	}
	return signer
}

// Public is a key's line in a .pub file.
func Public(s ssh.Signer) string { return string(ssh.MarshalAuthorizedKey(s.PublicKey())) }

// Options are what a signature can be made with that is wrong.
type Options struct {
	Namespace, Hash, Algorithm string
	Version                    uint32
	// Rest is appended to the signature.
	Rest []byte
}

// Sign signs a text in a namespace.
func Sign(tb testing.TB, s ssh.Signer, namespace string, text []byte) string {
	tb.Helper()
	return SignWith(tb, s, text, Options{Namespace: namespace})
}

// SignWith signs a text with whatever the options say.
func SignWith(tb testing.TB, s ssh.Signer, text []byte, o Options) string {
	tb.Helper()
	if o.Version == 0 {
		o.Version = 1
	}
	if o.Hash == "" {
		o.Hash = "sha512"
	}
	sum := sha512.Sum512(text)
	digest := sum[:]
	if o.Hash == "sha256" {
		short := sha256.Sum256(text)
		digest = short[:]
	}
	message := append([]byte("SSHSIG"), ssh.Marshal(struct {
		Namespace, Reserved, Hash string
		Sum                       []byte
	}{o.Namespace, "", o.Hash, digest})...)
	var signature *ssh.Signature
	var err error
	if with, ok := s.(ssh.AlgorithmSigner); ok && o.Algorithm != "" {
		signature, err = with.SignWithAlgorithm(rand.Reader, message, o.Algorithm)
	} else {
		signature, err = s.Sign(rand.Reader, message)
	}
	if err != nil {
		tb.Fatal(err)
	}
	signature.Rest = append(signature.Rest, o.Rest...)
	blob := append([]byte("SSHSIG"), ssh.Marshal(struct {
		Version                   uint32
		Key                       []byte
		Namespace, Reserved, Hash string
		Signature                 []byte
	}{o.Version, s.PublicKey().Marshal(), o.Namespace, "", o.Hash, ssh.Marshal(signature)})...)
	return string(pem.EncodeToMemory(&pem.Block{Type: "SSH SIGNATURE", Bytes: blob}))
}
