package driver

import (
	"fmt"
	"regexp"
	"strings"
)

// Key names one attempt at one effect on a target. It is safe as part of a file
// name once its slashes are replaced.
type Key string

var keyPattern = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,95}/[0-9]{1,4}/(rollback-)?[0-9]{1,9}$`)

// ApplyKey is the key of an attempt to bring a wave of a release forth. Waves
// count from 0, attempts from 1.
func ApplyKey(release string, wave, attempt uint32) Key {
	return Key(fmt.Sprintf("%s/%d/%d", release, wave, attempt))
}

// RollbackKey is the key of an attempt to take a wave of a release back.
func RollbackKey(release string, wave, attempt uint32) Key {
	return Key(fmt.Sprintf("%s/%d/rollback-%d", release, wave, attempt))
}

// Validate returns an error that wraps ErrInvalid for a malformed key.
func (k Key) Validate() error {
	if !keyPattern.MatchString(string(k)) {
		return fmt.Errorf("key %q: %w", string(k), ErrInvalid)
	}
	return nil
}

// IsRollback says whether the key is one of the way back.
func (k Key) IsRollback() bool {
	return strings.HasPrefix(k.attempt(), "rollback-")
}

// Effect is what all attempts at the same effect have in common.
func (k Key) Effect() string {
	effect := strings.TrimSuffix(string(k), "/"+k.attempt())
	if k.IsRollback() {
		return effect + "/rollback"
	}
	return effect + "/apply"
}

// Wave is the part that the way forth and the way back have in common:
// "<release>/<wave>".
func (k Key) Wave() string {
	return strings.TrimSuffix(string(k), "/"+k.attempt())
}

func (k Key) attempt() string {
	return string(k)[strings.LastIndexByte(string(k), '/')+1:]
}

// Fence is the place in the stream of the lock under which a call is made. Of two
// fences of one epoch, the one with the higher sequence is newer; epochs have no
// order, but one that was left never comes back.
type Fence struct {
	// Epoch is the random id of the stream's life.
	Epoch string `json:"epoch"`
	// Sequence is the sequence of the event that locked the target.
	Sequence uint64 `json:"sequence"`
}

// String is the fence for messages.
func (f Fence) String() string { return fmt.Sprintf("%s:%d", f.Epoch, f.Sequence) }

// Validate returns an error that wraps ErrInvalid for an empty fence.
func (f Fence) Validate() error {
	if f.Epoch == "" || f.Sequence == 0 {
		return fmt.Errorf("fence %q: epoch and sequence are required: %w", f.String(), ErrInvalid)
	}
	return nil
}
