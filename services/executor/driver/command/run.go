package command

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/blackdice/shipwarden/internal/argv"
	"github.com/blackdice/shipwarden/services/executor/artifact"
	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/driver/fence"
)

// run is one call of Apply or Rollback.
type run struct {
	command *argv.Command
	path    string   // the executable, for people
	binary  string   // what the system loads: the executable, or its interpreter
	argv    []string // for the binary
	key     driver.Key
	fence   driver.Fence
	digest  string
}

// Apply implements driver.Driver. A repetition answers what the first run did.
func (d *Driver) Apply(ctx context.Context, key driver.Key, f driver.Fence, plan driver.Plan) (driver.Result, error) {
	result, err := d.change(ctx, key, f, plan, false)
	if err != nil {
		return result, fmt.Errorf("apply to target %s: %w", d.target, err)
	}
	return result, nil
}

// Rollback implements driver.Driver. Where the wave was never begun on this
// target, nothing is run.
func (d *Driver) Rollback(ctx context.Context, key driver.Key, f driver.Fence, plan driver.Plan) (driver.Result, error) {
	result, err := d.change(ctx, key, f, plan, true)
	if err != nil {
		return result, fmt.Errorf("roll back target %s: %w", d.target, err)
	}
	return result, nil
}

func (d *Driver) change(ctx context.Context, key driver.Key, f driver.Fence, plan driver.Plan, rollback bool) (driver.Result, error) {
	c, digest, version := d.deploy, plan.Artifact.Digest, plan.Version
	if rollback {
		c, digest, version = d.rollback, plan.Previous, plan.PreviousVersion
	}
	switch {
	case key.Validate() != nil:
		return driver.Result{}, key.Validate()
	case key.IsRollback() != rollback:
		return driver.Result{}, fmt.Errorf("key %s is for the other way: %w", key, driver.ErrInvalid)
	case c == nil:
		return driver.Result{}, fmt.Errorf("no rollback command is configured: %w", driver.ErrNoWayBack)
	case rollback && digest == "":
		return driver.Result{}, fmt.Errorf("nothing is known to have been there before: %w", driver.ErrNoWayBack)
	}
	if _, err := artifact.Hex(digest); err != nil {
		return driver.Result{}, fmt.Errorf("%w: %w", driver.ErrInvalid, err)
	}
	expanded, err := d.expand(c, plan, digest, version)
	if err != nil {
		return driver.Result{}, err
	}
	path, err := d.executable(c)
	if err != nil {
		return driver.Result{}, fmt.Errorf("argv[0]: %w: %w", driver.ErrInvalid, err)
	}
	if err := ctx.Err(); err != nil {
		return driver.Result{}, err
	}
	loaded, vector, err := binary(path, expanded)
	if err != nil {
		return driver.Result{}, fmt.Errorf("argv[0]: %w: %w", driver.ErrInvalid, err)
	}
	r := run{command: c, path: path, binary: loaded, argv: vector, key: key, fence: f, digest: digest}
	started, result, err := d.begin(ctx, r)
	if err != nil || started == nil {
		return result, err
	}
	defer func() { _ = started.Close() }()
	return d.execute(ctx, r)
}

// begin lets the run in or not. It returns the held start marker, or nil with the
// answer where nothing is to be run.
func (d *Driver) begin(ctx context.Context, r run) (*os.File, driver.Result, error) {
	held, err := d.store.Lock(ctx)
	if err != nil {
		return nil, driver.Result{}, err
	}
	defer held.Unlock()
	record, err := held.Load()
	if err != nil {
		return nil, driver.Result{}, err
	}
	m := d.marker(r.key)
	how, err := m.progress()
	switch {
	case err != nil:
		return nil, driver.Result{}, err
	case how == sealed:
		return nil, driver.Result{}, fmt.Errorf("%s: %w", r.key, driver.ErrSealed)
	case how == notStarted:
		if err := d.inTime(ctx, r); err != nil {
			return nil, driver.Result{}, err
		}
	}
	open, err := d.open(record)
	if err != nil {
		return nil, driver.Result{}, err
	}
	next, _, err := record.Admit(r.key, r.fence, r.digest)
	if err != nil {
		return nil, driver.Result{}, err
	}
	if record.Key != r.key {
		// A newer fence cannot stop what runs; it has to wait.
		if open == running {
			return nil, driver.Result{}, fmt.Errorf("%s is running: %w", record.Key, driver.ErrBusy)
		}
		next.Pending = next.Pending || open == started
	}
	// Of all attempts at an effect, a command knows this one alone.
	next.Done = record.Done && record.Key == r.key
	if err := held.Keep(next); err != nil {
		return nil, driver.Result{}, err
	}
	d.at(PointAdmitted)
	if how >= started {
		result, err := d.repeat(held, next, m, how == running)
		return nil, result, err
	}
	if r.key.IsRollback() {
		if applied, err := m.applied(); err != nil || !applied {
			next.Done = true
			return nil, driver.Result{Digest: r.digest, Message: "never touched, nothing to take back", Repeated: true}, errors.Join(err, held.Keep(next))
		}
	}
	if err := m.write(r.binary); err != nil {
		return nil, driver.Result{}, err
	}
	d.at(PointTicket)
	file, err := m.begin(start{Key: r.key, Fence: r.fence, Target: d.target, Digest: r.digest, Time: d.now().UTC(), Pid: os.Getpid()})
	if errors.Is(err, fs.ErrExist) {
		// Under the lock of the target, only who seals comes in between.
		err = errors.Join(fmt.Errorf("%s: %w", r.key, driver.ErrSealed), m.void())
	}
	return file, driver.Result{}, err
}

// inTime returns an error unless the command has all the time that it may take until
// the caller's deadline: what is cut off halfway would be an unknown outcome.
func (d *Driver) inTime(ctx context.Context, r run) error {
	left, bounded := driver.Left(ctx, d.now())
	if bounded && left < r.command.Timeout() {
		return fmt.Errorf("%s: %w: it may take %s, and %s are left", r.key, driver.ErrNoTime, r.command.Timeout(), max(left, 0).Truncate(time.Millisecond))
	}
	return nil
}

// repeat answers a call whose key has a start marker: never by running again.
func (d *Driver) repeat(held fence.Held, record fence.Record, m marker, running bool) (driver.Result, error) {
	e, found, err := m.readEnd()
	switch {
	case err != nil:
		return driver.Result{}, fmt.Errorf("%w: %w", driver.ErrUnknown, err)
	case running:
		return driver.Result{}, fmt.Errorf("%s is running: %w", record.Key, driver.ErrBusy)
	case !found:
		return driver.Result{}, fmt.Errorf("%s was begun and its end is not on record: %w", record.Key, driver.ErrUnknown)
	}
	if e.Status == endedDone && !record.Done {
		// The crash came between the end marker and the record.
		record.Done, record.Pending, record.Carries = true, false, e.Digest
		if err := held.Keep(record); err != nil {
			return driver.Result{}, err
		}
	}
	return e.answer(true)
}

// execute runs the command to its end, whatever becomes of ctx but its deadline.
func (d *Driver) execute(ctx context.Context, r run) (driver.Result, error) {
	d.at(PointStarted)
	uncanceled := context.WithoutCancel(ctx)
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		uncanceled, cancel = context.WithDeadlineCause(uncanceled, deadline, errors.New("the caller's deadline passed"))
		defer cancel()
	}
	m := d.marker(r.key)
	var output argv.Output
	// The clock is read here and not only before the marker, behind which lies a disk.
	failure := d.inTime(ctx, r)
	if failure == nil {
		output, failure = r.command.Run(uncanceled, argv.Run{Path: m.ticket(), Name: r.path, Argv: r.argv, Folder: "/"})
	}
	if errors.Is(failure, argv.ErrStart) && m.voided() {
		failure = fmt.Errorf("%s: %w", r.key, driver.ErrSealed)
	}
	d.at(PointRan)
	e := end{
		Key: r.key, Digest: r.digest, Status: endedDone, Message: output.LastLine(),
		Output: output.Text, Redacted: output.Redacted, Time: d.now().UTC(),
	}
	switch {
	case failure == nil:
	case errors.Is(failure, argv.ErrKilled):
		e.Status, e.Message = endedUnknown, failure.Error()
	default:
		e.Status, e.Message = endedFailed, failure.Error()
	}
	if err := errors.Join(m.finish(e), m.void()); err != nil {
		return driver.Result{}, fmt.Errorf("%w: %w", driver.ErrUnknown, err)
	}
	d.at(PointEnded)
	if errors.Is(failure, driver.ErrSealed) || errors.Is(failure, driver.ErrNoTime) {
		return driver.Result{}, failure
	}
	if e.Status == endedDone {
		if err := d.done(context.WithoutCancel(ctx), r); err != nil {
			return driver.Result{}, err
		}
	}
	return e.answer(false)
}

// done says in the record what the markers say already.
func (d *Driver) done(ctx context.Context, r run) error {
	held, err := d.store.Lock(ctx)
	if err != nil {
		return err
	}
	defer held.Unlock()
	record, err := held.Load()
	if err != nil || record.Key != r.key {
		return err
	}
	record.Done, record.Pending, record.Carries = true, false, r.digest
	return held.Keep(record)
}

func (e end) answer(repeated bool) (driver.Result, error) {
	result := driver.Result{
		Digest: e.Digest, Message: e.Message, Output: e.Output, Redacted: e.Redacted, Repeated: repeated,
	}
	switch e.Status {
	case endedDone:
		return result, nil
	case endedFailed:
		result.Digest = ""
		return result, fmt.Errorf("%s: %w", e.Message, errFailed)
	case endedUnknown:
	}
	result.Digest = ""
	return result, fmt.Errorf("%s: %w", e.Message, driver.ErrUnknown)
}

var errFailed = errors.New("the command failed")
