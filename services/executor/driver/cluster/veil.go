package cluster

import (
	"crypto/sha256"
	"fmt"
	"hash"

	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/driver/veil"
)

// Veil is what a difference does not show. All of it is in one digest, so that another secret is
// another difference and approvals hold for the values that were looked at (PD-2.5), while who
// reads a difference learns of a secret no more than that it changes.
//
// A digest of each value would say more: which values are equal, here and in other releases, and
// what a short one is, because all short ones can be tried in a moment. So it is one digest of all
// of them, in their places, by a function that is slow and takes memory (package veil), salted with
// the release and the target. No key is in it: an executor has none that all of them share and
// that lasts from the preview to the start, as a kubeconfig is replaced in between. The same values
// in the same release are the same digest in every executor. Who knows all other values that change
// along with a secret can still try it, at some hundredths of a second and 32 MiB for each guess:
// that is long for a password and short for a number of four digits.
//
// It is not safe for concurrent use.
type Veil struct {
	salt   []byte
	hidden hash.Hash
	count  int
}

// NewVeil is that of the difference that a plan makes.
func NewVeil(plan driver.Plan) *Veil {
	v := &Veil{hidden: sha256.New()}
	salt := sha256.New()
	for _, of := range []string{"shipwarden difference", plan.Release, plan.Target, plan.Version, plan.Artifact.Digest} {
		veil.Prefixed(salt, of)
	}
	v.salt = salt.Sum(nil)
	return v
}

// Hide takes a value in, with what tells it apart from others: where it is, and on which side. The
// order counts.
func (v *Veil) Hide(parts ...string) {
	v.count++
	veil.Prefixed(v.hidden, fmt.Sprint(len(parts)))
	for _, part := range parts {
		veil.Prefixed(v.hidden, part)
	}
}

// Sum is the digest of what was hidden so far; "" where nothing was.
func (v *Veil) Sum() string {
	if v.count == 0 {
		return ""
	}
	return veil.Sum(v.hidden.Sum(nil), v.salt, veil.Memory)
}

// line says how much is hidden; "" where nothing is.
func (v *Veil) line() string {
	if v.count == 0 {
		return ""
	}
	return fmt.Sprintf("hidden: %d values, together %s\n", v.count, v.Sum())
}
