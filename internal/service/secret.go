package service

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
)

// maxSecretBytes bounds a secret; keys and connection strings are far shorter.
const maxSecretBytes = 64 << 10

var (
	// ErrExposed means that everyone on the machine may read a secret's file.
	ErrExposed = errors.New("secret file is open to everyone")
	// ErrEmptySecret means that a secret's file holds nothing.
	ErrEmptySecret = errors.New("secret file is empty")
	// ErrNotFile means that a secret's path is not that of a regular file.
	ErrNotFile = errors.New("not a regular file")
)

// Secret is a value that must not be seen. Printing, logging and encoding it
// yields a placeholder; only Reveal gives the value away.
type Secret struct {
	value []byte
}

// redacted stands in place of every secret.
const redacted = "REDACTED"

// Reveal returns the value. Do not log what it returns.
func (s Secret) Reveal() string { return string(s.value) }

// String implements fmt.Stringer.
func (Secret) String() string { return redacted }

// GoString implements fmt.GoStringer.
func (Secret) GoString() string { return redacted }

// LogValue implements slog.LogValuer.
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText implements encoding.TextMarshaler.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// ReadSecret reads the secret in the file at path, without the one line end that
// editors and echo leave at its end. It refuses a file that everyone may read or
// write, an empty one, and one longer than 64 KiB. The errors name the path and
// never the content.
func ReadSecret(path string) (Secret, error) {
	data, err := readSecretFile(path)
	if err != nil {
		return Secret{}, fmt.Errorf("read secret: %w", err)
	}
	data = bytes.TrimSuffix(data, []byte("\n"))
	data = bytes.TrimSuffix(data, []byte("\r"))
	if len(data) == 0 {
		return Secret{}, fmt.Errorf("read secret: %s: %w", path, ErrEmptySecret)
	}
	return Secret{value: data}, nil
}

// readSecretFile returns the content as it is, for keys in formats of their own.
func readSecretFile(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	// Of the open file, so that nobody can exchange it in between.
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: %w", path, ErrNotFile)
	}
	if mode := info.Mode().Perm(); mode&0o007 != 0 {
		return nil, fmt.Errorf("%s: %w: mode is %04o, make it 0600 or 0640", path, ErrExposed, mode)
	}
	return readAtMost(file, maxSecretBytes)
}
