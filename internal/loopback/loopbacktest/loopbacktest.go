// Package loopbacktest gives tests addresses for the servers that they start.
package loopbacktest

import (
	"testing"

	"github.com/blackdice/shipwarden/internal/loopback"
)

// Address is a loopback address that nobody else is given until the test has ended, and all that
// was registered with Cleanup after this call.
func Address(t testing.TB) string {
	t.Helper()
	address, release, err := loopback.Reserve()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(release)
	return address
}
