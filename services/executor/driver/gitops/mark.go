package gitops

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/driver/cluster"
)

var _ driver.Marked = (*Driver)(nil)

// Mark implements driver.Marked: the newest record of the target on the branch.
func (d *Driver) Mark(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, cluster.LookTime)
	defer cancel()
	s, err := d.load(ctx)
	if err != nil {
		return "", fmt.Errorf("look at target %s: %w", d.target, err)
	}
	if !s.noted {
		return "", nil
	}
	text, err := json.Marshal(s.sight())
	if err != nil {
		return "", fmt.Errorf("look at target %s: %w", d.target, err)
	}
	return string(text), nil
}

// Remembers implements driver.Marked.
func (d *Driver) Remembers(ctx context.Context, mark string) error {
	ctx, cancel := context.WithTimeout(ctx, cluster.LookTime)
	defer cancel()
	s, err := d.load(ctx)
	if err == nil {
		err = d.remembers(s, mark)
	}
	if err != nil {
		return fmt.Errorf("look at target %s: %w", d.target, err)
	}
	return nil
}

// remembers compares with what an executor saw when the newest release let the target go, as load
// does with what this one has seen.
func (d *Driver) remembers(s state, mark string) error {
	if mark == "" {
		return nil
	}
	var before sight
	if err := json.Unmarshal([]byte(mark), &before); err != nil {
		return fmt.Errorf("what is on record of the branch cannot be read: %w", driver.ErrInvalid)
	}
	if s.note.word().After(before.word()) || s.note.Serial > before.Serial && s.note.Line == before.Line || s.note.Serial == before.Serial && s.at == before.Commit {
		return nil
	}
	return fmt.Errorf("commit %s, which has the newest record of the target that Shipwarden knows of, is not on the branch any more: it was set back or rewritten: %s: %w",
		short(before.Commit), d.anew(), driver.ErrConflict)
}
