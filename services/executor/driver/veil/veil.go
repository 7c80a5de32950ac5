// Package veil makes digests of what nobody is to guess by them. A plain digest of a short secret
// says what it is, because all short ones can be tried in a moment; these are made by a function
// that is slow and takes memory (Argon2id, RFC 9106), so that every guess costs as much as the
// digest did. That is long for a password and short for a number of four digits.
package veil

import (
	"encoding/binary"
	"fmt"
	"hash"
	"sync"

	"golang.org/x/crypto/argon2"
)

// What one digest costs: passes over Memory (in KiB), on one core. It is bounded by what an
// executor may have: one at a time is made.
const (
	passes = 2
	Memory = 32 << 10
	size   = 16
)

// one has one digest at a time made, because of its memory.
var one sync.Mutex

// Sum is the digest of what is hidden, under a salt, with so much memory (in KiB).
func Sum(hidden, salt []byte, memory uint32) string {
	one.Lock()
	defer one.Unlock()
	return fmt.Sprintf("argon2id:%x", argon2.IDKey(hidden, salt, passes, memory, 1, size))
}

// Prefixed writes a text so that no two lists of them are the same bytes.
func Prefixed(into hash.Hash, text string) {
	var length [8]byte
	binary.BigEndian.PutUint64(length[:], uint64(len(text)))
	into.Write(length[:])
	into.Write([]byte(text))
}
