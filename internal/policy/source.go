package policy

import (
	"context"
	"fmt"
	"sync"

	"github.com/blackdice/shipwarden/internal/policy/strictyaml"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
)

// maxCached bounds the versions that are kept in memory. A handful is in use at
// a time: the active one, and those of releases that began before it.
const maxCached = 32

// Fetch returns the bytes of a document by their digest ("sha256:…"), or the
// error of whatever keeps them.
type Fetch func(ctx context.Context, digest string) ([]byte, error)

// Source finds versions of the procedure document by digest. A version never
// changes, so that it is fetched once. It is safe for concurrent use; two calls
// at the same time may fetch the same version twice.
type Source struct {
	fetch Fetch

	mu     sync.Mutex
	cached map[string]*Index // owned by mu
}

// NewSource returns a source that reads with fetch.
func NewSource(fetch Fetch) *Source {
	return &Source{fetch: fetch, cached: make(map[string]*Index)}
}

// ByDigest returns the version with this digest. The error is that of the fetch
// (worth another try, as far as that one says so), ErrDigest where other bytes
// came back, or ErrInvalid where they are no document at all. The rules of Check
// are not applied: the version was checked when it came into force.
func (s *Source) ByDigest(ctx context.Context, digest string) (*Index, error) {
	s.mu.Lock()
	index := s.cached[digest]
	s.mu.Unlock()
	if index != nil {
		return index, nil
	}
	data, err := s.fetch(ctx, digest)
	if err != nil {
		return nil, fmt.Errorf("fetch procedure document %s: %w", digest, err)
	}
	if got := Digest(data); got != digest {
		return nil, fmt.Errorf("%w: wanted %s, got %s", ErrDigest, digest, got)
	}
	document := &policyv1.Procedure{}
	if err := strictyaml.Decode(data, digest, document); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	index = NewIndex(document)
	s.keep(digest, index)
	return index, nil
}

// keep stores a version, and drops another one where there are too many; which
// one does not matter, since it can be fetched again.
func (s *Source) keep(digest string, index *Index) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for other := range s.cached {
		if len(s.cached) < maxCached {
			break
		}
		delete(s.cached, other)
	}
	s.cached[digest] = index
}
