// Package artifact gets what is released, by digest and from the configured
// places only (PD-2.1, PD-5.1).
//
// A file lies below the artifact folder, which os.Root keeps every path from
// leaving; an image lies in a registry that the configuration names. Whoever
// reads an artifact reads it through a check of its SHA-256 that fails in place
// of the end of the file, so what was verified and what is used are the same
// bytes, whatever happens to the file in between.
package artifact

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"regexp"
	"strings"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

var (
	// ErrNotFound says that nothing is where the artifact is said to be.
	ErrNotFound = errors.New("artifact not found")
	// ErrUnavailable says that the artifact cannot be had now: the registry or the
	// folder does not answer, or answers with a refusal. It may pass.
	ErrUnavailable = errors.New("artifact not available")
	// ErrDigest says that what is there is not what the digest names.
	ErrDigest = errors.New("artifact has another digest")
	// ErrRefused says that the artifact's name, place, kind or size is not allowed.
	ErrRefused = errors.New("artifact refused")
)

// MaxBytes is the most that one file, or all that an archive unpacks to, may
// measure.
const MaxBytes = 512 << 20

// Artifact is one artifact as it was found. It is safe for concurrent use.
type Artifact struct {
	// Name is its name within the request.
	Name string
	// Kind says what it is.
	Kind releasev1.ArtifactKind
	// Location is where it was found.
	Location string
	// Digest is its SHA-256, "sha256:…".
	Digest string
	// MediaType is what a registry says that it is; "" for a file.
	MediaType string
	// Size is its size in bytes; of an image, that of its manifest.
	Size int64

	open func(ctx context.Context) (io.ReadCloser, error)
	// chart opens the chart of an artifact whose content is the manifest of one.
	chart func(ctx context.Context) (io.ReadCloser, error)
}

// New is an artifact whose content comes from open: a file, or a test's.
func New(a *releasev1.Artifact, size int64, open func(ctx context.Context) (io.ReadCloser, error)) Artifact {
	return Artifact{
		Name: a.GetName(), Kind: a.GetKind(), Location: a.GetLocation(), Digest: a.GetDigest(),
		Size: size, open: open,
	}
}

// HasContent says whether the artifact can be opened at all: the plan of a way back has none.
func (a Artifact) HasContent() bool { return a.open != nil }

// Open opens the content: of a file its bytes, of an image its manifest. Reading
// ends in an error that wraps ErrDigest, never in io.EOF, when the content is not
// what Digest names: whoever uses it must read to the end first.
func (a Artifact) Open(ctx context.Context) (io.ReadCloser, error) {
	if a.open == nil {
		return nil, fmt.Errorf("open artifact %s: %w", a.Name, ErrNotFound)
	}
	content, err := a.open(ctx)
	if err != nil {
		return nil, err
	}
	return &verified{content: content, sum: sha256.New(), want: a.Digest, left: MaxBytes}, nil
}

// OpenChart opens the archive of a chart: of a file its bytes, of an image the one layer that is a
// chart, which its manifest names by digest. It is read as Open is.
func (a Artifact) OpenChart(ctx context.Context) (io.ReadCloser, error) {
	if a.chart == nil {
		return a.Open(ctx)
	}
	content, err := a.chart(ctx)
	if err != nil {
		return nil, fmt.Errorf("open chart %s: %w", a.Name, err)
	}
	return content, nil
}

// IsArchive says whether the artifact is a tar.gz, by its location.
func (a Artifact) IsArchive() bool {
	return strings.HasSuffix(a.Location, ".tar.gz") || strings.HasSuffix(a.Location, ".tgz")
}

var digestPattern = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

// Hex is the hexadecimal half of "sha256:…"; it is safe as a file name. An error
// wraps ErrRefused.
func Hex(digest string) (string, error) {
	if !digestPattern.MatchString(digest) {
		return "", fmt.Errorf("digest %q: must be sha256: and 64 lower-case hexadecimal digits: %w", digest, ErrRefused)
	}
	return strings.TrimPrefix(digest, "sha256:"), nil
}

// verified checks a content's digest at its end.
type verified struct {
	content io.ReadCloser
	sum     hash.Hash
	want    string
	left    int64
}

func (v *verified) Read(p []byte) (int, error) {
	n, err := v.content.Read(p)
	v.sum.Write(p[:n])
	if v.left -= int64(n); v.left < 0 {
		return 0, fmt.Errorf("more than %d bytes: %w", int64(MaxBytes), ErrRefused)
	}
	if errors.Is(err, io.EOF) {
		if got := "sha256:" + hex.EncodeToString(v.sum.Sum(nil)); got != v.want {
			return n, fmt.Errorf("%s instead of %s: %w", got, v.want, ErrDigest)
		}
	}
	return n, err
}

func (v *verified) Close() error { return v.content.Close() }
