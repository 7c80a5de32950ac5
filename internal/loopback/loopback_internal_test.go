package loopback

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
)

// TestNobodyElseIsGivenTheAddressOfAService: between choosing and listening lies the
// start of everything else, and between two listenings the restart of a service.
func TestNobodyElseIsGivenTheAddressOfAService(t *testing.T) {
	taken, locked, left := lastPort+1, lastPort+2, lastPort+3
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: taken})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	_, unlock, err := reserve(locked, locked)
	if err != nil {
		t.Fatal(err)
	}
	got, release, err := reserve(taken, left)
	if err != nil || got != fmt.Sprintf("127.0.0.1:%d", left) {
		t.Fatalf("got %s, %v, want port %d", got, err, left)
	}
	defer release()
	if got, _, err := reserve(taken, left); !errors.Is(err, errNoPort) {
		t.Errorf("got %s, %v", got, err)
	}
	unlock()
	got, again, err := reserve(taken, left)
	if err != nil || got != fmt.Sprintf("127.0.0.1:%d", locked) {
		t.Fatalf("after it was released: %s, %v", got, err)
	}
	again()
}

func TestAddressesDiffer(t *testing.T) {
	var all sync.WaitGroup
	var seen sync.Map
	for range 8 {
		all.Go(func() {
			for range 20 {
				address, release, err := Reserve()
				if _, twice := seen.LoadOrStore(address, true); twice || err != nil {
					t.Errorf("%s, given before: %v, %v", address, twice, err)
					continue
				}
				t.Cleanup(release)
			}
		})
	}
	all.Wait()
}
