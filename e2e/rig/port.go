package rig

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"

	"github.com/blackdice/shipwarden/internal/dirlock"
)

// Ports that services and targets are told to listen on are chosen long before these
// start, and kept when one is restarted. The system never gives a port below its ephemeral range
// (32768 on Linux, 49152 on macOS) to somebody who asks for any: nothing takes one of
// these in between but another rig, and a lock keeps that away.
const firstPort, lastPort = 20_000, 21_999

var errNoPort = errors.New("no free port")

// Reserve returns a loopback address that nobody else is given until it is released.
func Reserve() (address string, release func(), err error) { return reserve(firstPort, lastPort) }

// address is a loopback address with that port or, where that is 0, with one that this
// rig alone uses until it stops.
func (r *Rig) address(port int) (string, error) {
	if port != 0 {
		return free(port)
	}
	address, release, err := Reserve()
	if err == nil {
		r.undo(release)
	}
	return address, err
}

// reserve takes the first port that is free, from anywhere in the range on.
func reserve(first, last int) (address string, release func(), err error) {
	size := last - first + 1
	start := rand.IntN(size) //nolint:gosec // It only spreads rigs over the range.
	for i := range size {
		port := first + (start+i)%size
		// Of the user, because nobody may lock out another one.
		dir := filepath.Join(os.TempDir(), fmt.Sprintf("shipwarden-ports-%d", os.Getuid()), strconv.Itoa(port))
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return "", nil, fmt.Errorf("reserve a port: %w", err)
		}
		lock, err := dirlock.Acquire(dir)
		if errors.Is(err, dirlock.ErrLocked) {
			continue
		}
		if err != nil {
			return "", nil, fmt.Errorf("reserve a port: %w", err)
		}
		address, err := free(port)
		if err != nil {
			lock.Release() // somebody else's program
			continue
		}
		return address, lock.Release, nil
	}
	return "", nil, fmt.Errorf("%w from %d to %d", errNoPort, first, last)
}

// free returns the address where nobody listens on the port.
func free(port int) (string, error) {
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}
