// Package fence decides which of several executors may change a target, and
// keeps what the decision needs where the target is (PD-5.2).
//
// The decision, Record.Admit, is a pure function of what the target has seen. A
// Store keeps the record: File for processes that share a machine, Memory for
// one process.
package fence

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/blackdice/shipwarden/services/executor/driver"
)

const (
	// Lower sequences of the same epoch are refused anyway, so only the newest
	// superseded keys decide anything.
	keepKeys   = 256
	keepEpochs = 64
)

// Record is what a target remembers.
type Record struct {
	// Fence is the newest fence that the target has seen.
	driver.Fence
	// Key is the newest admitted key.
	Key driver.Key `json:"key"`
	// Digest is what that key is to make the target carry.
	Digest string `json:"digest"`
	// Done says that the effect of Key is complete.
	Done bool `json:"done"`
	// Pending says that a change was begun and not completed, by Key or one before
	// it: what runs may differ from what was placed.
	Pending bool `json:"pending,omitempty"`
	// Carries is what the newest complete effect made the target carry, for drivers
	// that cannot see it.
	Carries string `json:"carries,omitempty"`
	// PastKeys are keys that others superseded or sealed, the newest last.
	PastKeys []driver.Key `json:"past_keys,omitempty"`
	// SealedKeys are those of PastKeys that were sealed before they had begun.
	SealedKeys []driver.Key `json:"sealed_keys,omitempty"`
	// PastEpochs are epochs that were left, the newest last.
	PastEpochs []string `json:"past_epochs,omitempty"`
}

// Admit decides whether a call may change the target. The record that it returns
// must be kept before anything is changed. repeated says that the effect is
// complete already, by this key or by an earlier attempt at the same effect. The
// errors wrap driver.ErrStaleFence, driver.ErrConflict or driver.ErrInvalid.
func (r Record) Admit(key driver.Key, f driver.Fence, digest string) (next Record, repeated bool, err error) {
	if err := key.Validate(); err != nil {
		return r, false, err
	}
	if err := f.Validate(); err != nil {
		return r, false, err
	}
	switch {
	case f.Epoch == r.Epoch && f.Sequence < r.Sequence, slices.Contains(r.PastEpochs, f.Epoch):
		return r, false, fmt.Errorf("key %s with fence %s: the target has seen %s: %w", key, f, r.Fence, driver.ErrStaleFence)
	case slices.Contains(r.PastKeys, key):
		return r, false, fmt.Errorf("key %s: superseded by %s: %w", key, r.Key, driver.ErrStaleFence)
	case f == r.Fence && r.Key.IsRollback() && !key.IsRollback():
		return r, false, fmt.Errorf("key %s: taken back by %s under the same fence: %w", key, r.Key, driver.ErrStaleFence)
	case key == r.Key && digest != r.Digest:
		return r, false, fmt.Errorf("key %s: was %s, is now %s: %w", key, r.Digest, digest, driver.ErrConflict)
	}
	repeated = r.Done && key.Effect() == r.Key.Effect() && digest == r.Digest
	next = r
	next.PastKeys, next.PastEpochs = slices.Clone(r.PastKeys), slices.Clone(r.PastEpochs)
	if r.Key != "" && key != r.Key && !slices.Contains(next.PastKeys, r.Key) {
		next.PastKeys = newest(append(next.PastKeys, r.Key), keepKeys)
	}
	if r.Epoch != "" && f.Epoch != r.Epoch {
		next.PastEpochs = newest(append(next.PastEpochs, r.Epoch), keepEpochs)
	}
	next.Fence, next.Key, next.Digest, next.Done = f, key, digest, repeated
	return next, repeated, nil
}

// Seal returns the record by which the key is refused, and every fence older than f
// is, and what had become of the key; the record must be kept. What is complete is
// left as it is.
func (r Record) Seal(key driver.Key, f driver.Fence) (next Record, was driver.Status, err error) {
	if err := errors.Join(key.Validate(), f.Validate()); err != nil {
		return r, driver.StatusUnknown, err
	}
	was = r.Status(key)
	if was == driver.StatusDone {
		return r, was, nil
	}
	next = r
	next.PastKeys, next.PastEpochs = slices.Clone(r.PastKeys), slices.Clone(r.PastEpochs)
	if !slices.Contains(next.PastKeys, key) {
		next.PastKeys = newest(append(next.PastKeys, key), keepKeys)
	}
	if was == driver.StatusNotStarted {
		next.SealedKeys = newest(append(slices.Clone(r.SealedKeys), key), keepKeys)
	}
	switch {
	case slices.Contains(r.PastEpochs, f.Epoch), f.Epoch == r.Epoch && f.Sequence <= r.Sequence:
		// Somebody newer has the target; the fence is refused already.
	case r.Epoch != "" && f.Epoch != r.Epoch:
		next.PastEpochs = newest(append(next.PastEpochs, r.Epoch), keepEpochs)
		next.Fence = f
	default:
		next.Fence = f
	}
	return next, was, nil
}

// Seal seals a key in a store.
func Seal(ctx context.Context, store Store, key driver.Key, f driver.Fence) (driver.Status, error) {
	held, err := store.Lock(ctx)
	if err != nil {
		return driver.StatusUnknown, err
	}
	defer held.Unlock()
	record, err := held.Load()
	if err != nil {
		return driver.StatusUnknown, err
	}
	next, was, err := record.Seal(key, f)
	if err != nil {
		return driver.StatusUnknown, err
	}
	return was, held.Keep(next)
}

// Holds returns an error that wraps driver.ErrStaleFence unless key and f are
// still the newest that the target has admitted, and nobody sealed the key.
func (r Record) Holds(key driver.Key, f driver.Fence) error {
	if r.Key != key || r.Fence != f || slices.Contains(r.PastKeys, key) {
		return fmt.Errorf("key %s with fence %s: superseded by %s with fence %s: %w", key, f, r.Key, r.Fence, driver.ErrStaleFence)
	}
	return nil
}

// Status is what the record knows of a key.
func (r Record) Status(key driver.Key) driver.Status {
	switch {
	case slices.Contains(r.SealedKeys, key):
		return driver.StatusSealed
	case slices.Contains(r.PastKeys, key):
		return driver.StatusSuperseded
	case r.Key != key:
		return driver.StatusNotStarted
	case r.Done:
		return driver.StatusDone
	}
	return driver.StatusStarted
}

func newest[T any](list []T, n int) []T {
	return list[max(0, len(list)-n):]
}
