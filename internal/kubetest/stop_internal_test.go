package kubetest

import (
	"errors"
	"io/fs"
	"os"
	"testing"

	"github.com/blackdice/shipwarden/internal/dirlock"
)

// TestAStartThatFailsBeforeItsKeysLeavesNothing, and hides no cause behind a panic.
func TestAStartThatFailsBeforeItsKeysLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	lock, err := dirlock.Acquire(dir)
	if err != nil {
		t.Fatal(err)
	}
	c := &Cluster{dir: dir, lock: lock}
	c.Stop()
	c.Stop()
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("its folder: %v", err)
	}
}
