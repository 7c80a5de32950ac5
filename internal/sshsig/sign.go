package sshsig

import (
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"

	"golang.org/x/crypto/ssh"
)

// Sign signs a text in a namespace, as `ssh-keygen -Y sign` does, with SHA-512. The error wraps
// ErrKey where signatures of the key would not be taken.
func Sign(key ssh.Signer, namespace string, text []byte) (string, error) {
	if err := usable(key.PublicKey()); err != nil {
		return "", err
	}
	const hash = "sha512"
	sum, err := digest(hash, text)
	if err != nil {
		return "", err
	}
	message := toBeSigned(namespace, "", hash, sum)
	signature, err := plainly(key, message)
	if err != nil {
		return "", fmt.Errorf("sign: %w", err)
	}
	blob := append([]byte(magic), ssh.Marshal(wire{
		Version: version, Key: string(key.PublicKey().Marshal()), Namespace: namespace, Hash: hash, Signature: string(ssh.Marshal(signature)),
	})...)
	return string(pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: blob})), nil
}

// plainly signs with the algorithm of the key, and with RSA not by SHA-1.
func plainly(key ssh.Signer, message []byte) (*ssh.Signature, error) {
	if key.PublicKey().Type() != ssh.KeyAlgoRSA {
		return key.Sign(rand.Reader, message)
	}
	chooses, ok := key.(ssh.AlgorithmSigner)
	if !ok {
		return nil, errors.New("the key signs by SHA-1 alone")
	}
	return chooses.SignWithAlgorithm(rand.Reader, message, ssh.KeyAlgoRSASHA512)
}
