// Package loopback chooses the ports on which servers listen that are told where to: those of
// a whole that runs on one machine, and those that tests start. They are chosen long before
// these servers start, and kept when one is restarted.
package loopback

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

// The system never gives a port below its ephemeral range (32768 on Linux, 49152 on macOS) to
// somebody who asks for any: nothing takes one of these in between but who asks here, too, and
// a lock keeps that away.
const firstPort, lastPort = 20_000, 21_999

var errNoPort = errors.New("no free port")

// Reserve returns a loopback address that no process of this user is given here until it is
// released, or this process has ended. It may be called from several goroutines.
func Reserve() (address string, release func(), err error) { return reserve(firstPort, lastPort) }

// reserve takes the first port that is free, from anywhere in the range on.
func reserve(first, last int) (address string, release func(), err error) {
	folder, err := locks()
	if err != nil {
		return "", nil, fmt.Errorf("reserve a port: %w", err)
	}
	size := last - first + 1
	start := rand.IntN(size) //nolint:gosec // It only spreads them over the range.
	for i := range size {
		port := first + (start+i)%size
		dir := filepath.Join(folder, strconv.Itoa(port))
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
		address, err := Free(port)
		if err != nil {
			lock.Release() // somebody else's program
			continue
		}
		return address, lock.Release, nil
	}
	return "", nil, fmt.Errorf("%w from %d to %d", errNoPort, first, last)
}

// locks is the folder of the locks: of the user, because nobody may lock out another one, and, where
// they have a folder for what is kept, the same whatever TMPDIR is.
func locks() (string, error) {
	if kept, err := os.UserCacheDir(); err == nil {
		dir := filepath.Join(kept, "shipwarden", "ports")
		if os.MkdirAll(dir, 0o700) == nil {
			return dir, nil
		}
	}
	dir := filepath.Join(os.TempDir(), fmt.Sprintf("shipwarden-ports-%d", os.Getuid()))
	return dir, os.MkdirAll(dir, 0o700)
}

// Free returns the loopback address with a port on which nobody listens; the error is that of
// listening on it.
func Free(port int) (string, error) {
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}
