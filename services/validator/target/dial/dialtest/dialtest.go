// Package dialtest is a DNS server for tests of what the validator looks at.
package dialtest

import (
	"net"
	"testing"

	"github.com/blackdice/shipwarden/internal/dnstest"
)

// Resolver is dnstest.Resolver.
func Resolver(t testing.TB, names map[string][]string) *net.Resolver {
	t.Helper()
	return dnstest.Resolver(t, names)
}
