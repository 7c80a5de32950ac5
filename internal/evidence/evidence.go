// Package evidence keeps documents that decided something, by their content.
//
// Events carry the SHA-256 of a document and never the document: events stay
// small, the record proves which document it was, and the document itself can be
// deleted when its retention ends without touching the record. The store is the
// JetStream object store EVIDENCE. Its name for a document is the digest, so that
// the same document is kept once however often it is put, and nobody can replace
// one unnoticed: Get computes the digest anew (PD-6.2).
package evidence

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"regexp"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/blackdice/shipwarden/internal/eventstore"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

const (
	// MaxSize bounds one document, in bytes.
	MaxSize = 8 << 20
	// chunkSize keeps a chunk and its headers below what the server takes.
	chunkSize = 64 << 10
	// settleTime is how long a document that an event names may take to show:
	// reads of the object store may be answered by a server that lags.
	settleTime = 5 * time.Second
	// readTime bounds one attempt to read: where the chunks of a document were taken
	// away, whoever is reading them would wait for ever.
	readTime = 2 * time.Second
	// putTime bounds one put. Where another put came in between, the client asks for a
	// purge of its chunks, and waits as long as it may for an answer: services have no
	// right to purge what is kept.
	putTime = 10 * time.Second
	// maxChanged is how often other bytes must be read before they are believed to
	// be what is stored: a read can meet a second put of the same content.
	maxChanged = 3
	// maxKept bounds how many documents are kept in memory, maxKeptSize the bytes of one.
	maxKept     = 256
	maxKeptSize = 16 << 10

	prefix        = "sha256:"
	mediaHeader   = "Content-Type"
	nameHeader    = "Shipwarden-Name"
	maxNameLength = 256
)

var (
	// ErrNotFound says that there is no document with that digest.
	ErrNotFound = errors.New("evidence is not there")
	// ErrDigest says that a digest is not "sha256:" and 64 hexadecimal digits.
	ErrDigest = errors.New("digest is malformed")
	// ErrTooLarge says that a document is larger than MaxSize.
	ErrTooLarge = errors.New("evidence is too large")
	// ErrTampered says that the stored bytes are not those that the digest names.
	ErrTampered = errors.New("evidence was changed")
	// ErrFull says that the store has no room for a document.
	ErrFull = errors.New("the evidence store is full")
)

var (
	digestPattern = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)
	// unfit is what may not stand in a header.
	unfit = regexp.MustCompile(`[^ -~]`)
)

// Store puts and gets evidence. It is safe for concurrent use.
type Store struct {
	js jetstream.JetStream
	// put are documents that this process put itself, by their digest: the step that
	// reads one mostly runs beside the one that put it.
	put *lru.Cache[string, []byte]
	// metrics are nil where nobody counts.
	metrics *metrics

	mu     sync.Mutex // guards bucket, which is bound on first use
	bucket jetstream.ObjectStore
}

// New returns a store over the bucket that eventstore.Provision makes. The bucket
// is looked for when it is first needed.
func New(js jetstream.JetStream) *Store {
	put, _ := lru.New[string, []byte](maxKept) // Only a size below one is refused.
	return &Store{js: js, put: put}
}

// Digest is the digest of a document, "sha256:…".
func Digest(content []byte) string {
	sum := sha256.Sum256(content)
	return prefix + hex.EncodeToString(sum[:])
}

// Put stores the document, unless it is there, and returns how events refer to
// it. The media type and the name are the caller's words and not part of the
// digest. Secrets must have been removed. It takes ten seconds at most. Errors wrap
// ErrTooLarge, ErrFull or the client's. A store that has no room is not even tried: what
// was stored of a document by then would stay, and fill it further.
func (s *Store) Put(ctx context.Context, mediaType, name string, content []byte) (*releasev1.EvidenceRef, error) {
	ref, err := s.keepNew(ctx, mediaType, name, content)
	if err != nil && !errors.Is(err, context.Canceled) {
		s.metrics.unkept(err)
	}
	return ref, err
}

// refTo is how events refer to a document.
func refTo(mediaType, name string, content []byte) *releasev1.EvidenceRef {
	return &releasev1.EvidenceRef{Digest: Digest(content), MediaType: mediaType, Size: int64(len(content)), Name: name}
}

func (s *Store) keepNew(ctx context.Context, mediaType, name string, content []byte) (*releasev1.EvidenceRef, error) {
	ref := refTo(mediaType, name, content)
	if len(content) > MaxSize {
		return nil, fmt.Errorf("put evidence %q: %d of %d bytes: %w", name, len(content), MaxSize, ErrTooLarge)
	}
	ctx, cancel := context.WithTimeout(ctx, putTime)
	defer cancel()
	bucket, err := s.bind(ctx)
	if err != nil {
		return nil, fmt.Errorf("put evidence %q: %w", name, err)
	}
	info, err := bucket.GetInfo(ctx, ref.GetDigest()[len(prefix):])
	if err == nil && info.Size == uint64(len(content)) {
		s.keep(ref.GetDigest(), content)
		return ref, nil
	}
	if err != nil && !errors.Is(err, jetstream.ErrObjectNotFound) {
		return nil, fmt.Errorf("put evidence %q: %w", name, err)
	}
	if err := s.room(ctx, len(content)); err != nil {
		return nil, fmt.Errorf("put evidence %q: %w", name, err)
	}
	_, err = bucket.Put(ctx, jetstream.ObjectMeta{
		Name: ref.GetDigest()[len(prefix):],
		Headers: nats.Header{
			mediaHeader: {header(mediaType)},
			nameHeader:  {header(name)},
		},
		// The client makes room for a whole chunk.
		Opts: &jetstream.ObjectMetaOptions{ChunkSize: uint32(min(max(len(content), 1), chunkSize))},
	}, bytes.NewReader(content))
	if refusedForRoom(err) {
		err = fmt.Errorf("%w: %w", ErrFull, err)
	}
	if err != nil {
		return nil, fmt.Errorf("put evidence %q: %w", name, err)
	}
	s.keep(ref.GetDigest(), content)
	return ref, nil
}

func (s *Store) keep(digest string, content []byte) {
	if len(content) <= maxKeptSize {
		s.put.Add(digest, bytes.Clone(content))
	}
}

// header makes a text fit for a header.
func header(text string) string {
	return unfit.ReplaceAllString(text[:min(len(text), maxNameLength)], "?")
}

// Get returns the document with that digest, having computed the digest again. A
// document that was put a moment ago, by whomever, is waited for; one that this store
// has put itself need not be asked for. Errors wrap ErrDigest, ErrNotFound, ErrTampered
// or the client's.
func (s *Store) Get(ctx context.Context, digest string) ([]byte, error) {
	if !digestPattern.MatchString(digest) {
		return nil, fmt.Errorf("get evidence %.80q: %w", digest, ErrDigest)
	}
	if content, kept := s.put.Get(digest); kept {
		return bytes.Clone(content), nil
	}
	bucket, err := s.bind(ctx)
	if err != nil {
		return nil, fmt.Errorf("get evidence %s: %w", digest, err)
	}
	ctx, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	var last error
	for changed := 0; ; {
		content, err := read(ctx, bucket, digest)
		if err == nil {
			return content, nil
		}
		if ctx.Err() == nil {
			last = err // What the end of the wait interrupted says nothing.
		}
		if errors.Is(err, ErrTampered) {
			if changed++; changed == maxChanged {
				return nil, fmt.Errorf("get evidence %s: %w", digest, err)
			}
		}
		select {
		case <-ctx.Done():
			if last == nil {
				last = ctx.Err() // Nobody has said that it is not there.
			}
			return nil, fmt.Errorf("get evidence %s: %w", digest, last)
		case <-ticker.C:
			// Not there yet, or replaced by the same content while it was read.
		}
	}
}

func read(ctx context.Context, bucket jetstream.ObjectStore, digest string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, readTime)
	defer cancel()
	object, err := bucket.Get(ctx, digest[len(prefix):])
	if errors.Is(err, jetstream.ErrObjectNotFound) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = object.Close() }() // Everything was read, or failed already.
	content, err := io.ReadAll(io.LimitReader(object, MaxSize+1))
	if errors.Is(err, jetstream.ErrDigestMismatch) {
		return nil, fmt.Errorf("%w: %w", ErrTampered, err)
	}
	if err != nil {
		return nil, err
	}
	if Digest(content) != digest {
		return nil, ErrTampered
	}
	return content, nil
}

func (s *Store) bind(ctx context.Context) (jetstream.ObjectStore, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bucket != nil {
		return s.bucket, nil
	}
	bucket, err := s.js.ObjectStore(ctx, eventstore.BucketEvidence)
	if err != nil {
		return nil, fmt.Errorf("open bucket %s: %w", eventstore.BucketEvidence, err)
	}
	s.bucket = bucket
	return bucket, nil
}
