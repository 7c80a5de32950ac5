package sigstore_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/blackdice/shipwarden/internal/sigstore"
	"github.com/blackdice/shipwarden/internal/sigstore/sigstoretest"
)

// TestNobodyWaitsForTheRootOfSomebodyElse: a store is silent about one root, and another one is
// found all the same, once; what cannot be read is asked for again.
func TestNobodyWaitsForTheRootOfSomebodyElse(t *testing.T) {
	data, reads := sigstoretest.New(t).Root(t), 0
	asked := make(chan struct{})
	shelf := sigstore.NewShelf(func(ctx context.Context, digest string) ([]byte, error) {
		switch {
		case strings.HasSuffix(digest, "silent"):
			close(asked)
			<-ctx.Done()
			return nil, ctx.Err()
		case reads == 0:
			reads++
			return nil, errors.New("not now")
		}
		reads++
		return data, nil
	})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		_, err := shelf.Root(ctx, "sha256:silent")
		ended <- err
	}()
	<-asked
	if _, err := shelf.Root(ctx, "sha256:there"); err == nil {
		t.Error("there is a root that could not be read")
	}
	for range 2 {
		if root, err := shelf.Root(ctx, "sha256:there"); err != nil || root == nil {
			t.Fatal(root, err)
		}
	}
	if reads != 2 || ctx.Err() != nil {
		t.Errorf("%d reads, %v", reads, ctx.Err())
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
