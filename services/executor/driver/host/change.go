package host

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/blackdice/shipwarden/internal/argv"
	"github.com/blackdice/shipwarden/services/executor/artifact"
	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/driver/fence"
	"github.com/blackdice/shipwarden/services/executor/driver/ledger"
)

// stagingAge is how old what crashes left of staging is when it is removed.
const stagingAge = time.Hour

// change is one call of Apply or Rollback.
type change struct {
	key     driver.Key
	fence   driver.Fence
	digest  string // what the target is to carry
	version string
	action  string
	plan    driver.Plan
}

// Apply implements driver.Driver.
func (d *Driver) Apply(ctx context.Context, key driver.Key, f driver.Fence, plan driver.Plan) (driver.Result, error) {
	if err := check(plan); err != nil {
		return driver.Result{}, fmt.Errorf("apply to target %s: %w", d.target, err)
	}
	result, err := d.change(ctx, change{
		key: key, fence: f, digest: plan.Artifact.Digest, version: plan.Version, action: ledger.Apply, plan: plan,
	})
	if err != nil {
		return result, fmt.Errorf("apply to target %s: %w", d.target, err)
	}
	return result, nil
}

// Rollback implements driver.Driver.
func (d *Driver) Rollback(ctx context.Context, key driver.Key, f driver.Fence, plan driver.Plan) (driver.Result, error) {
	c := change{
		key: key, fence: f, digest: plan.Previous, version: plan.PreviousVersion, action: ledger.Rollback, plan: plan,
	}
	result, err := d.rollback(ctx, c)
	if err != nil {
		return result, fmt.Errorf("roll back target %s: %w", d.target, err)
	}
	return result, nil
}

func (d *Driver) rollback(ctx context.Context, c change) (driver.Result, error) {
	if c.digest == "" {
		return driver.Result{}, fmt.Errorf("nothing was there before: %w", driver.ErrNoWayBack)
	}
	hex, err := artifact.Hex(c.digest)
	if err != nil {
		return driver.Result{}, fmt.Errorf("previous: %w: %w", driver.ErrInvalid, err)
	}
	if err := d.intact(c.digest); err != nil {
		return driver.Result{}, fmt.Errorf("%s: %w: %w", c.digest, driver.ErrNoWayBack, err)
	}
	if m, err := d.readManifest(hex); err == nil && c.version == "" {
		c.version = m.Version
	}
	return d.change(ctx, c)
}

func (d *Driver) change(ctx context.Context, c change) (driver.Result, error) {
	if c.key.IsRollback() != (c.action == ledger.Rollback) {
		return driver.Result{}, fmt.Errorf("key %s for %s: %w", c.key, c.action, driver.ErrInvalid)
	}
	expanded, err := d.restart.Expand(d.values(c.digest, c.version), nil)
	if err != nil {
		return driver.Result{}, fmt.Errorf("restart: %w: %w", driver.ErrInvalid, err)
	}
	finished, err := d.admit(ctx, c)
	if err != nil {
		return driver.Result{}, err
	}
	if finished {
		return driver.Result{Digest: c.digest, Message: "carries " + c.digest + " already", Repeated: true}, nil
	}
	d.at(PointAdmitted)
	staged := ""
	if c.action == ledger.Apply {
		if staged, err = d.stage(ctx, c.plan); err != nil {
			return driver.Result{}, err
		}
		defer func() { _ = os.RemoveAll(staged) }()
		d.at(PointStaged)
	}
	held, err := d.store.Lock(ctx)
	if err != nil {
		return driver.Result{}, err
	}
	defer held.Unlock()
	record, err := held.Load()
	if err == nil {
		err = record.Holds(c.key, c.fence)
	}
	if err != nil {
		return driver.Result{}, err
	}
	if err := d.switchTo(held, &record, c, staged); err != nil {
		return driver.Result{}, err
	}
	return d.finish(ctx, held, record, c, expanded)
}

// admit lets the call in or not, and says whether there is nothing left to do.
func (d *Driver) admit(ctx context.Context, c change) (finished bool, err error) {
	held, err := d.store.Lock(ctx)
	if err != nil {
		return false, err
	}
	defer held.Unlock()
	record, err := held.Load()
	if err != nil {
		return false, err
	}
	next, repeated, err := record.Admit(c.key, c.fence, c.digest)
	if err != nil {
		return false, err
	}
	current, err := d.current()
	if err != nil {
		return false, err
	}
	inPlace := current == c.digest && !record.Pending
	switch {
	case c.action == ledger.Apply:
		finished = repeated && inPlace
	case current == c.digest:
		// Back where it was, or never left: then the new version never ran.
		finished = inPlace
	case current != "" && current != c.plan.Artifact.Digest:
		return false, fmt.Errorf("carries %s, neither the release nor what was before it: %w", current, driver.ErrConflict)
	}
	next.Done = finished
	return finished, held.Keep(next)
}

// switchTo makes current point to the release, and counts the effect. Each of its
// parts, done before, changes nothing.
func (d *Driver) switchTo(held fence.Held, record *fence.Record, c change, staged string) error {
	record.Pending = true
	if err := held.Keep(*record); err != nil {
		return err
	}
	d.at(PointPending)
	if err := d.install(staged, c.plan); err != nil {
		return err
	}
	if err := d.intact(c.digest); err != nil {
		return fmt.Errorf("release %s: %w", c.digest, err)
	}
	current, err := d.current()
	if err != nil {
		return err
	}
	if current != c.digest {
		next := filepath.Join(d.folder, ".current-next")
		_ = os.Remove(next) // of a crash; we hold the lock
		if err := os.Symlink(filepath.Join("releases", strings.TrimPrefix(c.digest, "sha256:")), next); err != nil {
			return fmt.Errorf("switch current: %w", err)
		}
		if err := os.Rename(next, filepath.Join(d.folder, "current")); err != nil {
			return fmt.Errorf("switch current: %w", err)
		}
		if err := fence.SyncFolder(d.folder); err != nil {
			return fmt.Errorf("switch current: %w", err)
		}
	}
	d.at(PointSwitched)
	last, err := ledger.LastEffect(d.Ledger(), "")
	if err != nil {
		return err
	}
	// Counted before a crash; or back to where the target was all the while.
	counted := last.Digest == c.digest && (last.Effect == c.key.Effect() || c.action == ledger.Rollback)
	if !counted {
		if err := d.count(c, c.action); err != nil {
			return err
		}
	}
	d.at(PointCounted)
	return nil
}

// finish restarts the application and says that all is done. The lock is held all
// the while: a newer executor that restarted the application in between would be
// undone by this one.
func (d *Driver) finish(ctx context.Context, held fence.Held, record fence.Record, c change, expanded []string) (driver.Result, error) {
	output, err := d.restart.Run(ctx, argv.Run{Argv: expanded, Folder: d.folder, DieWithUs: true})
	result := driver.Result{Digest: c.digest, Output: output.Text, Redacted: output.Redacted}
	if err != nil {
		result.Message = output.LastLine()
		return result, fmt.Errorf("restart: %w", err)
	}
	d.at(PointRestarted)
	if err := d.count(c, ledger.Restart); err != nil {
		return result, err
	}
	record.Pending, record.Done = false, true
	if err := held.Keep(record); err != nil {
		return result, err
	}
	d.at(PointDone)
	// What was there before stays, whether or not the plan names it.
	if before, err := ledger.LastEffect(d.Ledger(), c.digest); err == nil {
		d.prune(c.digest, c.plan.Previous, c.plan.Artifact.Digest, before.Digest)
	}
	result.Message = "carries " + c.digest + ", restarted"
	return result, nil
}

func (d *Driver) count(c change, action string) error {
	return ledger.Append(d.Ledger(), ledger.Entry{
		Time: d.now().UTC(), Target: d.target, Key: c.key, Fence: c.fence, Digest: c.digest, Action: action,
	})
}
