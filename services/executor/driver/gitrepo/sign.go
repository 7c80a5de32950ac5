package gitrepo

import (
	"errors"
	"fmt"

	"golang.org/x/crypto/ssh"

	"github.com/blackdice/shipwarden/internal/sshsig"
)

// namespace is what signatures of commits are made for, as Git has it.
const namespace = "git"

// readKey reads a private key of OpenSSH. The error has nothing of it.
func readKey(path string) (ssh.Signer, error) {
	text, err := secret(path)
	if err != nil {
		return nil, err
	}
	key, err := ssh.ParsePrivateKey([]byte(text + "\n"))
	var missing *ssh.PassphraseMissingError
	switch {
	case errors.As(err, &missing):
		return nil, fmt.Errorf("%w: %s has a passphrase", ErrInvalid, path)
	case err != nil:
		return nil, fmt.Errorf("%w: %s is no private key of OpenSSH", ErrInvalid, path)
	}
	return key, nil
}

// signingKey is the key that signs. What nobody would count is not signed with.
func (r *Repo) signingKey() (ssh.Signer, error) {
	key, err := readKey(r.config.GetSigningKeyFile())
	if err != nil {
		return nil, fmt.Errorf("signing_key_file: %w", err)
	}
	signers, err := r.Signers()
	if err != nil {
		return nil, err
	}
	if !signers.has(key.PublicKey(), r.now()) {
		return nil, fmt.Errorf("allowed_signers_file: %w: it does not have the key of signing_key_file, so that what is noted with it would count for nothing", ErrInvalid)
	}
	return key, nil
}

// sign signs a commit as `git commit -S` does with gpg.format=ssh.
func (r *Repo) sign(text []byte) (string, error) {
	key, err := r.signingKey()
	if err != nil {
		return "", err
	}
	signature, err := sshsig.Sign(key, namespace, text)
	if err != nil {
		return "", fmt.Errorf("signing_key_file: %w: %w", ErrInvalid, err)
	}
	return signature, nil
}
