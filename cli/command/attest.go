package command

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/blackdice/shipwarden/cli/exit"
	"github.com/blackdice/shipwarden/internal/attest"
	"github.com/blackdice/shipwarden/internal/attest/predicate"
	"github.com/blackdice/shipwarden/internal/envelope"
	"github.com/blackdice/shipwarden/internal/service"
)

// attestation is what attest was asked for.
type attestation struct {
	kind, predicate, key, keyID, out string
}

func newAttest(a *app) *cobra.Command {
	var at attestation
	cmd := &cobra.Command{
		Use:   "attest ARTIFACT...",
		Short: "Make and sign a statement about artifacts, as evidence for gates",
		Long: "Makes an in-toto statement about artifacts and signs it, in a DSSE envelope that\n" +
			"submit --evidence takes. An artifact is a file, whose digest is computed, or\n" +
			"NAME=sha256:DIGEST. The predicate is a JSON object; those of types code-review,\n" +
			"change-record and waiver are checked against their schemas, docs/evidence.md.\n\n" +
			"A type is a URI, or one of " + strings.Join(predicate.Names(), ", ") + ".",
		Example: "  shipwarden attest build/shop --type test-result --predicate tests.json --key ci.pem --key-id ci-tests\n" +
			"  shipwarden attest web=sha256:7a253a761e1a0f25d524fc2194237c855e4905cef1eaf38e6f18c99f5f19d035 --type code-review --predicate review.json --key review.pem --key-id review-system --out review.dsse.json",
		Args: cobra.MinimumNArgs(1),
		RunE: a.run(func(_ *cobra.Command, args []string) error { return a.attest(at, args) }),
	}
	flags := cmd.Flags()
	flags.StringVar(&at.kind, "type", "", "what is said: a short name, or the URI of a predicate type")
	flags.StringVar(&at.predicate, "predicate", "", "file with the predicate (JSON), or - for standard input")
	flags.StringVar(&at.key, "key", "", "file with the Ed25519 private key (PEM, PKCS #8)")
	flags.StringVar(&at.keyID, "key-id", "", "the key's id in the procedure document")
	flags.StringVar(&at.out, "out", "", "write to this file instead of standard output")
	for _, name := range []string{"type", "predicate", "key", "key-id"} {
		_ = cmd.MarkFlagRequired(name) // It fails only where there is no such flag.
	}
	return cmd
}

func (a *app) attest(at attestation, artifacts []string) error {
	kind, ok := predicate.Type(at.kind)
	if !ok {
		return exit.Withf(exit.Usage, "--type %q: must be a URI, or one of %s", at.kind, strings.Join(predicate.Names(), ", "))
	}
	said, name, err := a.readFile(at.predicate)
	if err != nil {
		return exit.With(exit.Usage, fmt.Errorf("--predicate: %w", err))
	}
	if err := predicate.Check(kind, said); err != nil {
		return exit.With(exit.Usage, fmt.Errorf("--predicate %s: %w", name, err))
	}
	key, err := signingKey(at.key)
	if err != nil {
		return exit.With(exit.Usage, err)
	}
	statement := attest.Statement{PredicateType: kind, Predicate: json.RawMessage(said)}
	for _, artifact := range artifacts {
		subject, err := subjectOf(artifact)
		if err != nil {
			return exit.With(exit.Usage, err)
		}
		statement.Subjects = append(statement.Subjects, subject)
	}
	signed, err := attest.Sign(statement, at.keyID, key)
	if err != nil {
		return exit.With(exit.Usage, err)
	}
	signed = append(signed, '\n')
	if at.out == "" {
		_, err = a.out.Write(signed)
		return err
	}
	if err := os.WriteFile(at.out, signed, 0o644); err != nil { //nolint:gosec // Evidence is for reading.
		return exit.With(exit.Usage, fmt.Errorf("write evidence: %w", err))
	}
	a.say("wrote %s", at.out)
	return nil
}

// signingKey reads a private key from a file that is not open to everyone.
func signingKey(path string) (ed25519.PrivateKey, error) {
	secret, err := service.ReadSecret(path)
	if err != nil {
		return nil, fmt.Errorf("--key: %w", err)
	}
	key, err := envelope.ParsePrivateKey([]byte(secret.Reveal()))
	if err != nil {
		return nil, fmt.Errorf("--key %s: %w", path, err)
	}
	return key, nil
}

// subjectOf is the artifact that an argument names: a digest that is given, or that of
// a file.
func subjectOf(argument string) (attest.Subject, error) {
	if name, digest, ok := strings.Cut(argument, "=sha256:"); ok {
		if raw, err := hex.DecodeString(digest); err != nil || len(raw) != sha256.Size || strings.ToLower(digest) != digest || name == "" {
			return attest.Subject{}, fmt.Errorf("artifact %q: must be NAME=sha256: and 64 lower-case hexadecimal digits", argument)
		}
		return attest.Subject{Name: name, Digest: "sha256:" + digest}, nil
	}
	file, err := os.Open(argument)
	if err != nil {
		return attest.Subject{}, fmt.Errorf("artifact: %w", err)
	}
	defer file.Close()
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		return attest.Subject{}, errors.Join(fmt.Errorf("artifact %s: must be a file", argument), err)
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, file); err != nil {
		return attest.Subject{}, fmt.Errorf("artifact: %w", err)
	}
	return attest.Subject{Name: filepath.Base(argument), Digest: "sha256:" + hex.EncodeToString(sum.Sum(nil))}, nil
}
