package sigstore

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"sync"
)

// Roots are trusted roots by the digests of their files, "sha256:…", as procedure
// documents name them.
type Roots map[string]*Root

// LoadRoots reads the files of trusted roots. Errors name the file; those of what is in it
// wrap ErrRoot.
func LoadRoots(paths []string) (Roots, error) {
	roots := Roots{}
	for i, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("[%d]: %w", i, err)
		}
		sum := sha256.Sum256(data)
		digest := "sha256:" + hex.EncodeToString(sum[:])
		if roots[digest], err = ParseRoot(data); err != nil {
			return nil, fmt.Errorf("[%d]: %s: %w", i, path, err)
		}
	}
	return roots, nil
}

// Shelf reads trusted roots that were kept as evidence when the document that names them
// took effect, each once: there are as many as documents in use. It is safe for concurrent
// use; two calls at the same time may read the same root twice, and none waits for another.
type Shelf struct {
	get   func(ctx context.Context, digest string) ([]byte, error)
	mu    sync.Mutex
	roots Roots // owned by mu
}

// NewShelf returns a shelf of what get finds; get verifies digests.
func NewShelf(get func(ctx context.Context, digest string) ([]byte, error)) *Shelf {
	return &Shelf{get: get, roots: Roots{}}
}

// Root returns the trusted root with that digest.
func (s *Shelf) Root(ctx context.Context, digest string) (*Root, error) {
	s.mu.Lock()
	root := s.roots[digest]
	s.mu.Unlock()
	if root != nil {
		return root, nil
	}
	data, err := s.get(ctx, digest)
	if err != nil {
		return nil, fmt.Errorf("trusted root %s: %w", digest, err)
	}
	if root, err = ParseRoot(data); err != nil {
		return nil, fmt.Errorf("trusted root %s: %w", digest, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.roots[digest] = root
	return root, nil
}
