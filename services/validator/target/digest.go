package target

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"time"
)

// DigestTimeout is how long a target may take to tell what it runs.
const DigestTimeout = 5 * time.Second

// ErrNoDigest means that the target has no way of telling what it runs, so that
// asking again cannot help.
var ErrNoDigest = errors.New("target has no digest_path and no config")

// digestForm is the one form that digests have.
var digestForm = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

// RunningDigest asks the target for the digest of the artifact that it runs (PD-6.1):
// the body of its digest_path, which is the bare digest or a JSON object with the
// member "digest"; or, of a target that is a configuration document, that of the bytes that
// the bucket's leader has. The errors are ErrNoDigest, ErrNoAnswer and ErrNotSeen; whichever
// it is, the target did not tell.
func (t *Target) RunningDigest(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, DigestTimeout)
	defer cancel()
	switch {
	case !t.Tells():
		return "", fmt.Errorf("%w: %q", ErrNoDigest, t.id)
	case t.entry != nil:
		return t.documentDigest(ctx)
	}
	answer, err := t.Get(ctx, t.digestPath, true)
	if err != nil {
		return "", fmt.Errorf("running digest: %w", err)
	}
	if answer.Status != http.StatusOK {
		return "", fmt.Errorf("running digest: %w: status %d", ErrNotSeen, answer.Status)
	}
	digest, err := readDigest(answer.Body)
	if err != nil {
		return "", fmt.Errorf("running digest: %w: %w", ErrNotSeen, err)
	}
	return digest, nil
}

// documentDigest is the digest of the document in its bucket, whoever wrote it.
func (t *Target) documentDigest(ctx context.Context) (string, error) {
	r, err := t.entry.Last(ctx)
	switch {
	case err != nil:
		return "", fmt.Errorf("running digest: %w: %w", ErrNotSeen, err)
	case !r.Present:
		return "", fmt.Errorf("running digest: %w: the bucket has no such document", ErrNoAnswer)
	}
	return fmt.Sprintf("sha256:%x", sha256.Sum256(r.Value)), nil
}

// readDigest reads the digest from a body. An object that names it twice is refused:
// readers differ on which one counts.
func readDigest(body []byte) (string, error) {
	body = bytes.TrimSpace(body)
	if digestForm.Match(body) {
		return string(body), nil
	}
	if len(body) == 0 || body[0] != '{' {
		return "", errors.New("the body is neither a digest nor a JSON object")
	}
	var found []string
	decoder := json.NewDecoder(bytes.NewReader(body))
	if _, err := decoder.Token(); err != nil {
		return "", fmt.Errorf("read object: %w", err)
	}
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			return "", fmt.Errorf("read object: %w", err)
		}
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			return "", fmt.Errorf("read object: %w", err)
		}
		if name == "digest" {
			var text string
			if err := json.Unmarshal(value, &text); err != nil {
				return "", errors.New("digest is not a string")
			}
			found = append(found, text)
		}
	}
	if _, err := decoder.Token(); err != nil {
		return "", fmt.Errorf("read object: %w", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return "", errors.New("something follows the object")
	}
	if len(found) != 1 || !digestForm.MatchString(found[0]) {
		return "", errors.New("the object has not exactly one member digest with sha256: and 64 hexadecimal digits")
	}
	return found[0], nil
}
