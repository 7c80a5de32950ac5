package postgres

import (
	"os"
	"testing"
)

// openDir is a temporary directory that other users may pass through. That of
// the testing package is closed to them, and as root the server is another user.
func openDir(t *testing.T) string {
	t.Helper()
	//nolint:usetesting // see above
	dir, err := os.MkdirTemp("", "postgres-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})

	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	return dir
}
