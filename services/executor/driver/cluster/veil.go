package cluster

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"sync"

	"golang.org/x/crypto/argon2"

	"github.com/blackdice/shipwarden/services/executor/driver"
)

// What one try at what is hidden costs: passes over so much memory (in KiB), on one core. It is
// bounded by what an executor may have: one sum at a time is made, and one for a difference.
const (
	veilPasses = 2
	veilMemory = 32 << 10
	veilSum    = 16
)

// veiling has one sum at a time made, because of its memory.
var veiling sync.Mutex

// Veil is what a difference does not show. All of it is in one digest, so that another secret is
// another difference and approvals hold for the values that were looked at (PD-2.5), while who
// reads a difference learns of a secret no more than that it changes.
//
// A digest of each value would say more: which values are equal, here and in other releases, and
// what a short one is, because all short ones can be tried in a moment. So it is one digest of all
// of them, in their places, by a function that is slow and takes memory (Argon2id, RFC 9106), salted
// with the release and the target. No key is in it: an executor has none that all of them share and
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
		prefixed(salt, of)
	}
	v.salt = salt.Sum(nil)
	return v
}

// Hide takes a value in, with what tells it apart from others: where it is, and on which side. The
// order counts.
func (v *Veil) Hide(parts ...string) {
	v.count++
	prefixed(v.hidden, fmt.Sprint(len(parts)))
	for _, part := range parts {
		prefixed(v.hidden, part)
	}
}

// Sum is the digest of what was hidden so far; "" where nothing was.
func (v *Veil) Sum() string {
	if v.count == 0 {
		return ""
	}
	veiling.Lock()
	defer veiling.Unlock()
	return fmt.Sprintf("argon2id:%x", argon2.IDKey(v.hidden.Sum(nil), v.salt, veilPasses, veilMemory, 1, veilSum))
}

// line says how much is hidden; "" where nothing is.
func (v *Veil) line() string {
	if v.count == 0 {
		return ""
	}
	return fmt.Sprintf("hidden: %d values, together %s\n", v.count, v.Sum())
}

// prefixed writes a text so that no two lists of them are the same bytes.
func prefixed(into hash.Hash, text string) {
	var length [8]byte
	binary.BigEndian.PutUint64(length[:], uint64(len(text)))
	into.Write(length[:])
	into.Write([]byte(text))
}
