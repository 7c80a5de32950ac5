package rig

import "github.com/blackdice/shipwarden/internal/loopback"

// address is a loopback address with that port or, where that is 0, with one that this
// rig alone uses until it stops.
func (r *Rig) address(port int) (string, error) {
	if port != 0 {
		return loopback.Free(port)
	}
	address, release, err := loopback.Reserve()
	if err == nil {
		r.undo(release)
	}
	return address, err
}
