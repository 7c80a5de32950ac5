package gitops

import (
	"context"
	"errors"
	"fmt"

	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/driver/cluster"
)

// begin looks, before anything is pushed, whether anything will come of it. The way back is pushed
// all the same: what is in Git is what there will be when the resource follows again.
func (d *Driver) begin(ctx context.Context, s state, c *change) error {
	if c.rollback || s.sum == sum(c.files) {
		return nil
	}
	_, err := d.resource.Look(ctx)
	return err
}

// judge decides by what was read whether the call may change the folder, and what is noted of it
// then.
func (d *Driver) judge(ctx context.Context, s state, c *change) (next note, finished bool, err error) {
	if err := errors.Join(d.forgotten(s, c.plan), d.remembers(s, c.plan.Mark)); err != nil {
		return next, false, err
	}
	record, _, err := s.note.Admit(c.key, c.fence, c.digest)
	if err != nil {
		return next, false, err
	}
	if c.files == nil {
		if c.files, c.from, err = d.found(ctx, s, c.digest); err != nil {
			return next, false, err
		}
	}
	wanted := sum(c.files)
	effect := s.note.Key != "" && s.note.Key.Effect() == c.key.Effect() && s.note.Digest == c.digest
	if s.sum != wanted {
		if err := d.mayReplace(ctx, s, c, effect); err != nil {
			return next, false, err
		}
	}
	next = s.note
	next.Record, next.Target, next.Installation, next.Sum = record, d.target, d.installation, wanted
	next.Done = false
	if s.sum != wanted {
		next.Change = fmt.Sprintf("%s on %s", c.key, s.Commit().ID)
		next.Before = past{Digest: s.carries(), Sum: s.sum, Commit: s.Commit().ID}
	}
	next.Serial++
	return next, s.sum == wanted && (effect || c.rollback), nil
}

// mayReplace refuses to replace what somebody else has put there, and what those who approved have
// not seen.
func (d *Driver) mayReplace(ctx context.Context, s state, c *change, effect bool) error {
	switch {
	case s.ours() && c.rollback && s.note.Digest != c.plan.Artifact.Digest:
		return fmt.Errorf("folder %s carries %s, which is neither the release nor what was before it: %w", d.path, s.note.Digest, driver.ErrConflict)
	case !s.ours() && (c.rollback || effect):
		return d.byHand(ctx, s)
	case !s.ours() && s.sum != "" && c.plan.Approved == "" && s.sum != c.plan.Previous:
		return d.byHand(ctx, s)
	case !c.rollback && c.plan.Approved != "":
		shown, err := cluster.Diff(ctx, d.difference(c.plan, s.files, c.files), nil)
		if err != nil {
			return err
		}
		if shown.Digest() == c.plan.Approved {
			return nil
		}
		if !s.ours() {
			return d.byHand(ctx, s)
		}
		return fmt.Errorf("what would change in folder %s is not what was approved: %w", d.path, driver.ErrConflict)
	}
	return nil
}

// byHand is the error that names what somebody else has changed in the folder, and who.
func (d *Driver) byHand(ctx context.Context, s state) error {
	lines, err := d.foreign(ctx, s)
	if err != nil {
		return err
	}
	m := &driver.ManualChange{Object: "folder " + d.path + " of " + d.repo.String()}
	if len(lines) > 0 {
		m.Field, m.Manager = lines[0].file, lines[0].who
	}
	return m
}
