package chaos

import (
	"net"
	"strconv"
	"testing"
)

// A service that is killed comes back to the address that it was told to listen on. The
// system must not have given it to somebody else meanwhile, who asked for any.
func TestAddressesAreKeptWhileARunLasts(t *testing.T) {
	const ephemeral = 32768 // the first that the system gives away
	one, other := &plant{}, &plant{}
	seen := map[string]bool{}
	for range 8 {
		for _, p := range []*plant{one, other} {
			address, err := p.address()
			if err != nil {
				t.Fatal(err)
			}
			_, port, _ := net.SplitHostPort(address)
			if n, err := strconv.Atoi(port); err != nil || n >= ephemeral || seen[address] {
				t.Errorf("%s may be somebody else's", address)
			}
			seen[address] = true
		}
	}
	one.stop()
	other.stop()
	if len(one.release) != 8 || len(other.release) != 8 {
		t.Errorf("%d and %d addresses are given back", len(one.release), len(other.release))
	}
}
