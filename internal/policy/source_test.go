package policy_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/blackdice/shipwarden/internal/policy"
)

// shelf keeps documents by digest and counts how often each is fetched.
type shelf struct {
	mu        sync.Mutex
	documents map[string][]byte
	fetched   map[string]int
	err       error
}

func newShelf() *shelf {
	return &shelf{documents: make(map[string][]byte), fetched: make(map[string]int)}
}

func (s *shelf) put(text string) string {
	digest := policy.Digest([]byte(text))
	s.documents[digest] = []byte(text)
	return digest
}

func (s *shelf) fetch(_ context.Context, digest string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fetched[digest]++
	return s.documents[digest], s.err
}

func TestVersionIsFetchedOnce(t *testing.T) {
	shelf := newShelf()
	digest := shelf.put(string(readExample(t)))
	source := policy.NewSource(shelf.fetch)
	for range 3 {
		index, err := source.ByDigest(t.Context(), digest)
		if err != nil {
			t.Fatal(err)
		}
		if index.Document().GetId() != "PROC-DEPLOY-001" {
			t.Errorf("got %s", index.Document().GetId())
		}
	}
	if shelf.fetched[digest] != 1 {
		t.Errorf("fetched %d times", shelf.fetched[digest])
	}
}

func TestOldVersionIsReadThoughTodaysRulesWouldRefuseIt(t *testing.T) {
	shelf := newShelf()
	digest := shelf.put(strings.Replace(string(readExample(t)), "operators_group: sre", "operators_group: gone", 1))
	if _, err := policy.NewSource(shelf.fetch).ByDigest(t.Context(), digest); err != nil {
		t.Error(err)
	}
}

func TestFailuresAreTold(t *testing.T) {
	shelf := newShelf()
	other := shelf.put("id: X\n")
	shelf.documents["sha256:swapped"] = shelf.documents[other]
	broken := shelf.put("id: [\n")
	source := policy.NewSource(shelf.fetch)
	if _, err := source.ByDigest(t.Context(), "sha256:swapped"); !errors.Is(err, policy.ErrDigest) {
		t.Errorf("swapped bytes: %v", err)
	}
	if _, err := source.ByDigest(t.Context(), broken); !errors.Is(err, policy.ErrInvalid) {
		t.Errorf("broken document: %v", err)
	}
	shelf.err = context.DeadlineExceeded
	if _, err := source.ByDigest(t.Context(), other); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("fetch that fails: %v", err)
	}
	shelf.err = nil
	if _, err := source.ByDigest(t.Context(), other); err != nil {
		t.Errorf("a failure was kept: %v", err)
	}
}

func TestManyVersionsAtTheSameTime(t *testing.T) {
	shelf := newShelf()
	var digests []string
	for i := range 100 {
		digests = append(digests, shelf.put(fmt.Sprintf("id: X\nversion: \"%d\"\n", i)))
	}
	source := policy.NewSource(shelf.fetch)
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for i, digest := range digests {
				index, err := source.ByDigest(t.Context(), digest)
				if err != nil || index.Document().GetVersion() != fmt.Sprint(i) {
					t.Errorf("version %d: %v, %v", i, index, err)
				}
			}
		})
	}
	group.Wait()
}
