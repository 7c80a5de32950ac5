package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/blackdice/shipwarden/internal/policy/strictyaml"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
)

var (
	// ErrInvalid means that a document may not come into force; the error's text
	// names every problem with its place.
	ErrInvalid = errors.New("procedure document refused")
	// ErrDigest means that the bytes that were fetched are not those of the digest.
	ErrDigest = errors.New("procedure document does not have the digest")
)

// Parse reads a procedure document and checks all of it: syntax, schema, and
// every name that leads to another part of it. The filename is only for errors,
// which wrap ErrInvalid and have one entry for every problem, each with
// filename:line:column and the path of the field.
func Parse(data []byte, filename string) (*policyv1.Procedure, error) {
	return parse(data, filename, Check)
}

// ParseAt is Parse for a document that is to be in force from that moment on: besides, somebody
// has to be on call by then wherever it depends on that (Gaps).
func ParseAt(data []byte, filename string, at time.Time) (*policyv1.Procedure, error) {
	return parse(data, filename, func(document *policyv1.Procedure) []strictyaml.Violation {
		return append(Check(document), Gaps(document, at)...)
	})
}

func parse(data []byte, filename string, all func(*policyv1.Procedure) []strictyaml.Violation) (*policyv1.Procedure, error) {
	document := &policyv1.Procedure{}
	check := func() []strictyaml.Violation { return all(document) }
	if err := strictyaml.Unmarshal(data, filename, document, check); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return document, nil
}

// Digest returns the name of a document by its content: "sha256:" and the
// SHA-256 of its bytes in lower-case hexadecimal.
func Digest(data []byte) string {
	sum := sha256.Sum256(data)
	return "sha256:" + hex.EncodeToString(sum[:])
}
