package referrers

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/blackdice/shipwarden/internal/outward"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// Bounds on what is taken in of one image.
const (
	// MaxStatements is how many statements one image may have beside it.
	MaxStatements = 32
	// MaxSize is the size of the largest, in bytes.
	MaxSize = 64 << 10
	// maxReferrers bounds the referrers that are looked through, statements or not.
	maxReferrers = 1024
	// patience is how long one image may take, with everything beside it.
	patience = 30 * time.Second
)

var (
	// ErrUnreachable means that nobody could tell, for instance because the registry did
	// not answer or refused us. It may pass.
	ErrUnreachable = errors.New("registry cannot be asked")
	// ErrLocation means that the image's location is none that may be asked for. It is
	// final, for as long as the configuration is the same.
	ErrLocation = errors.New("location not accepted")
	// ErrBounds means that there is more than is taken in. It is final.
	ErrBounds = errors.New("more than is taken in")
)

// mediaTypes begin the types of what may be a statement.
var mediaTypes = []string{
	"application/vnd.dsse.envelope.v1+json", "application/vnd.in-toto", "application/vnd.dev.sigstore.bundle",
}

// Finder finds statements. It is safe for concurrent use.
type Finder struct {
	registries map[string]*configv1.Registry
	transport  *outward.Registries
}

// New returns a finder that asks these registries. An error names the entry at fault.
func New(registries []*configv1.Registry) (*Finder, error) {
	f := &Finder{registries: make(map[string]*configv1.Registry)}
	for i, r := range registries {
		if f.registries[r.GetHost()] != nil {
			return nil, fmt.Errorf("registries[%d].host: %q is configured twice", i, r.GetHost())
		}
		if strings.ContainsAny(r.GetHost(), "/@ ") {
			return nil, fmt.Errorf("registries[%d].host: %q is not host and port", i, r.GetHost())
		}
		if r.GetUser() != "" && r.GetPasswordFile() == "" {
			return nil, fmt.Errorf("registries[%d].password_file: required with a user", i)
		}
		f.registries[r.GetHost()] = r
	}
	f.transport = outward.NewRegistries(f.registries)
	return f, nil
}

// Close lets go of connections to registries that nobody uses.
func (f *Finder) Close() { f.transport.CloseIdleConnections() }

// Find returns the statements beside an image or a chart, each once, in the order of
// their digests; none where there are none. Wanted are the predicate types that matter: what
// is larger than is taken in and says that it is of another type is left where it is. The
// errors wrap ErrUnreachable, ErrLocation or ErrBounds, and hold no credentials.
func (f *Finder) Find(ctx context.Context, image *releasev1.Artifact, wanted []string) ([][]byte, error) {
	found, err := f.find(ctx, image, wanted)
	if err != nil {
		return nil, fmt.Errorf("statements about %s in %s: %w", image.GetName(), image.GetLocation(), err)
	}
	return found, nil
}

func (f *Finder) find(ctx context.Context, image *releasev1.Artifact, wanted []string) ([][]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	subject, credentials, options, err := f.locate(ctx, image)
	if err != nil {
		return nil, err
	}
	manifests, err := f.list(ctx, subject, credentials, options)
	if err != nil {
		return nil, err
	}
	found, beside := &statements{repository: subject.Context(), wanted: wanted, options: options, content: map[string][]byte{}}, false
	for _, d := range manifests {
		if !statement(d.ArtifactType) {
			continue
		}
		beside = true
		if err := found.refer(d); err != nil {
			return nil, err
		}
	}
	if !beside {
		if err := found.attached(subject); err != nil {
			return nil, err
		}
	}
	var out [][]byte
	for _, digest := range slices.Sorted(maps.Keys(found.content)) {
		out = append(out, found.content[digest])
	}
	return out, nil
}

// blob reads a statement and computes its digest.
func blob(ref name.Digest, options []remote.Option) ([]byte, error) {
	layer, err := remote.Layer(ref, options...)
	if err != nil {
		return nil, explain(err)
	}
	reader, err := layer.Compressed()
	if err != nil {
		return nil, explain(err)
	}
	defer reader.Close()
	content, err := io.ReadAll(io.LimitReader(reader, MaxSize+1))
	if err != nil {
		return nil, explain(err)
	}
	if len(content) > MaxSize {
		return nil, fmt.Errorf("%w: the statement %s is larger than %d bytes", ErrBounds, ref.DigestStr(), MaxSize)
	}
	sum := sha256.Sum256(content)
	if got := "sha256:" + hex.EncodeToString(sum[:]); got != ref.DigestStr() {
		return nil, fmt.Errorf("%w: it answered with %s, requested was %s", ErrUnreachable, got, ref.DigestStr())
	}
	return content, nil
}

// statement reports whether something of that media type may be a statement.
func statement(mediaType string) bool {
	return slices.ContainsFunc(mediaTypes, func(begin string) bool { return strings.HasPrefix(mediaType, begin) })
}

// explain says what it means that a registry gave no answer that can be used.
func explain(err error) error {
	var outer *url.Error
	if errors.As(err, &outer) {
		err = outer.Err // Its text repeats the URL.
	}
	var answer *transport.Error
	switch {
	case errors.Is(err, ErrBounds), errors.Is(err, ErrUnreachable):
		return err
	case errors.Is(err, outward.ErrTooLong):
		return fmt.Errorf("%w: %w", ErrBounds, err)
	case errors.As(err, &answer):
		return fmt.Errorf("%w: it answered with status %d", ErrUnreachable, answer.StatusCode)
	}
	return fmt.Errorf("%w: %w", ErrUnreachable, err)
}
