package eventstoretest

import (
	"testing"

	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/natstest"
)

// Full leaves the store of evidence no room for anything, as a real one has none that nobody
// looked after; what is in it stays. Room gives it back.
func Full(t testing.TB, n natstest.Server) { limit(t, n, 0) }

// Room lets the store of evidence take what it takes in other tests.
func Room(t testing.TB, n natstest.Server) { limit(t, n, Quota) }

// limit bounds the store of evidence; 0 is what it holds now.
func limit(t testing.TB, n natstest.Server, most int64) {
	t.Helper()
	at, err := n.JetStream().Stream(t.Context(), "OBJ_"+eventstore.BucketEvidence)
	if err != nil {
		t.Fatal(err)
	}
	cfg := at.CachedInfo().Config
	if cfg.MaxBytes = most; most == 0 {
		cfg.MaxBytes = max(int64(at.CachedInfo().State.Bytes), 1) //nolint:gosec // A test holds less.
	}
	if _, err := n.JetStream().UpdateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
}
