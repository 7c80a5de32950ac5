// Package noop is a driver that changes nothing (class FENCED): it keeps the
// promises of its class and counts, so that everything around a driver can be
// measured and tested without one.
package noop

import (
	"context"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"time"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/artifact"
	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/driver/fence"
	"github.com/blackdice/shipwarden/services/executor/driver/ledger"
)

// LedgerName is the name of the ledger in Options.Folder, and TouchedName that of what
// the driver did before it looked there, for whoever judges the driver itself.
const (
	LedgerName  = "ledger.jsonl"
	TouchedName = "touched.jsonl"
)

// done is the action of a line that says that an effect is complete.
const done = "done"

// The places at which a crash leaves something different behind.
const (
	PointAdmitted = "noop.admitted"
	PointCounted  = "noop.counted"
	PointDone     = "noop.done"
)

// Points are all places, in order.
var Points = []string{PointAdmitted, PointCounted, PointDone}

// Options are what a driver needs. The zero value keeps everything in memory.
type Options struct {
	// Target is the target's id, for the ledger.
	Target string
	// Folder keeps fence and ledger for several processes. Absent: memory, which
	// ends with the process.
	Folder string
	// Now tells the time for the ledger. Absent: time.Now.
	Now func() time.Time
	// At is called with each of Points as it is passed, for tests that crash there.
	At func(point string)
}

// Driver implements driver.Driver.
type Driver struct {
	options Options
	store   fence.Store
	effects atomic.Int64
}

var _ driver.Driver = (*Driver)(nil)

// New makes the driver.
func New(o Options) *Driver {
	d := &Driver{options: o, store: &fence.Memory{}}
	if o.Folder != "" {
		d.store = fence.File{Folder: o.Folder}
	}
	if o.Now == nil {
		d.options.Now = time.Now
	}
	if o.At == nil {
		d.options.At = func(string) {}
	}
	return d
}

// Effects counts the effects that this driver had in this process.
func (d *Driver) Effects() int64 { return d.effects.Load() }

// Class implements driver.Driver.
func (d *Driver) Class() releasev1.DriverClass {
	return releasev1.DriverClass_DRIVER_CLASS_FENCED
}

// Running implements driver.Driver. What is kept in memory other processes do not see,
// so that none can tell what the target carries.
func (d *Driver) Running(ctx context.Context) (string, error) {
	if d.options.Folder == "" {
		return "", fmt.Errorf("look at target %s: its effects are kept in memory: %w", d.options.Target, driver.ErrUnknown)
	}
	record, err := d.store.Load(ctx)
	return record.Carries, err
}

// Probe implements driver.Driver.
func (d *Driver) Probe(ctx context.Context, key driver.Key) (driver.Status, error) {
	if err := key.Validate(); err != nil {
		return driver.StatusUnknown, err
	}
	record, err := d.store.Load(ctx)
	if err != nil {
		return driver.StatusUnknown, fmt.Errorf("probe target %s: %w", d.options.Target, err)
	}
	return record.Status(key), nil
}

// Seal implements driver.Driver.
func (d *Driver) Seal(ctx context.Context, key driver.Key, f driver.Fence) (driver.Status, error) {
	status, err := fence.Seal(ctx, d.store, key, f)
	if err != nil {
		return status, fmt.Errorf("seal %s on target %s: %w", key, d.options.Target, err)
	}
	return status, nil
}

// Diff implements driver.Driver: nothing would change.
func (d *Driver) Diff(context.Context, driver.Plan) (driver.Diff, error) { return driver.Diff{}, nil }

// Preview implements driver.Driver.
func (d *Driver) Preview(ctx context.Context, plan driver.Plan) (driver.Preview, error) {
	record, err := d.store.Load(ctx)
	if err == nil {
		_, err = artifact.Hex(plan.Artifact.Digest)
	}
	if err != nil {
		return driver.Preview{}, fmt.Errorf("preview target %s: %w", d.options.Target, err)
	}
	back, before := dryRun(plan), record.Carries
	p := driver.Preview{RollbackReady: back.Possible, RollbackReason: back.Reason}
	if before == "" {
		before = "nothing"
	}
	p.Summary = fmt.Sprintf("%s -> %s, in name only", before, plan.Artifact.Digest)
	p.Detail = p.Summary + "\n"
	return p, nil
}

// DryRunRollback implements driver.Driver: the way back places nothing.
func (d *Driver) DryRunRollback(ctx context.Context, plan driver.Plan) (driver.DryRun, error) {
	if err := ctx.Err(); err != nil {
		return driver.DryRun{}, fmt.Errorf("dry run of the way back of target %s: %w", d.options.Target, err)
	}
	return dryRun(plan), nil
}

func dryRun(plan driver.Plan) driver.DryRun {
	out := driver.DryRun{Source: releasev1.RollbackProof_SOURCE_NONE}
	if plan.Previous == "" {
		out.Reason = "nothing was placed before: there is no release to go back to"
		return out
	}
	if _, err := artifact.Hex(plan.Previous); err != nil {
		out.Reason = err.Error()
		return out
	}
	out.Possible, out.Reason = true, "nothing is changed, so nothing needs undoing"
	out.Steps = "note that it carries " + plan.Previous + "\n"
	return out
}

// Apply implements driver.Driver.
func (d *Driver) Apply(ctx context.Context, key driver.Key, f driver.Fence, plan driver.Plan) (driver.Result, error) {
	return d.change(ctx, key, f, plan.Artifact.Digest, ledger.Apply)
}

// Rollback implements driver.Driver.
func (d *Driver) Rollback(ctx context.Context, key driver.Key, f driver.Fence, plan driver.Plan) (driver.Result, error) {
	if plan.Previous == "" {
		return driver.Result{}, fmt.Errorf("roll back target %s: nothing was there before: %w", d.options.Target, driver.ErrNoWayBack)
	}
	return d.change(ctx, key, f, plan.Previous, ledger.Rollback)
}

func (d *Driver) change(ctx context.Context, key driver.Key, f driver.Fence, digest, action string) (driver.Result, error) {
	fail := func(err error) (driver.Result, error) {
		return driver.Result{}, fmt.Errorf("%s on target %s: %w", action, d.options.Target, err)
	}
	if _, err := artifact.Hex(digest); err != nil {
		return fail(fmt.Errorf("%w: %w", driver.ErrInvalid, err))
	}
	if key.IsRollback() != (action == ledger.Rollback) {
		return fail(fmt.Errorf("key %s: %w", key, driver.ErrInvalid))
	}
	if err := ctx.Err(); err != nil {
		return fail(err)
	}
	held, err := d.store.Lock(ctx)
	if err != nil {
		return fail(err)
	}
	defer held.Unlock()
	record, err := held.Load()
	if err != nil {
		return fail(err)
	}
	record, repeated, err := record.Admit(key, f, digest)
	if err != nil {
		return fail(err)
	}
	// The way back from where nobody went is no effect.
	never := action == ledger.Rollback && record.Carries == digest && !record.Pending
	record.Done = repeated || never
	record.Pending = record.Pending || !record.Done
	if err := held.Keep(record); err != nil {
		return fail(err)
	}
	result := driver.Result{Digest: digest, Message: "carries " + digest, Repeated: record.Done}
	if record.Done {
		return result, nil
	}
	d.options.At(PointAdmitted)
	if err := d.count(key, f, digest, action); err != nil {
		return fail(err)
	}
	d.options.At(PointCounted)
	record.Done, record.Pending, record.Carries = true, false, digest
	if err := held.Keep(record); err != nil {
		return fail(err)
	}
	if err := d.touch(key, f, digest, done); err != nil {
		return fail(err)
	}
	d.options.At(PointDone)
	return result, nil
}

// count is the effect. Where it outlives a crash, it finds itself again.
func (d *Driver) count(key driver.Key, f driver.Fence, digest, action string) error {
	if err := d.touch(key, f, digest, action); err != nil {
		return err
	}
	if d.options.Folder != "" {
		path := filepath.Join(d.options.Folder, LedgerName)
		last, err := ledger.LastEffect(path, "")
		if err != nil {
			return err
		}
		// Counted before a crash; or back to where the target was all the while.
		if last.Digest == digest && (last.Effect == key.Effect() || action == ledger.Rollback) {
			return nil
		}
		if err := ledger.Append(path, ledger.Entry{
			Time: d.options.Now().UTC(), Target: d.options.Target, Key: key, Fence: f, Digest: digest, Action: action,
		}); err != nil {
			return err
		}
	}
	d.effects.Add(1)
	return nil
}

// touch writes down what is done, whether or not it had been done before.
func (d *Driver) touch(key driver.Key, f driver.Fence, digest, action string) error {
	if d.options.Folder == "" {
		return nil
	}
	return ledger.Append(filepath.Join(d.options.Folder, TouchedName), ledger.Entry{
		Time: d.options.Now().UTC(), Target: d.options.Target, Key: key, Fence: f, Digest: digest, Action: action,
	})
}
