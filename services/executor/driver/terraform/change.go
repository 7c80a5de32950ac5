package terraform

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/hashicorp/terraform-exec/tfexec"

	"github.com/blackdice/shipwarden/internal/argv"
	"github.com/blackdice/shipwarden/services/executor/artifact"
	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/driver/fence"
	"github.com/blackdice/shipwarden/services/executor/driver/ledger"
)

// leftAge is how old what crashes left of runs is when it is removed.
const leftAge = 6 * time.Hour

// change is one call of Apply or Rollback.
type change struct {
	key     driver.Key
	fence   driver.Fence
	digest  string // what the target is to carry
	version string
	action  string
	plan    driver.Plan
	content func(ctx context.Context) (*os.File, error)
}

// Apply implements driver.Driver.
func (d *Driver) Apply(ctx context.Context, key driver.Key, f driver.Fence, plan driver.Plan) (driver.Result, error) {
	err := check(plan)
	var result driver.Result
	if err == nil {
		result, err = d.change(ctx, change{
			key: key, fence: f, digest: plan.Artifact.Digest, version: plan.Version, action: ledger.Apply, plan: plan, content: d.content(plan),
		})
	}
	if err != nil {
		return result, fmt.Errorf("apply to target %s: %w", d.target, err)
	}
	return result, nil
}

// Rollback implements driver.Driver: the configuration of before is planned against the state
// as it is, and applied. What is protected stays, also on the way back.
func (d *Driver) Rollback(ctx context.Context, key driver.Key, f driver.Fence, plan driver.Plan) (driver.Result, error) {
	result, err := d.rollback(ctx, change{
		key: key, fence: f, digest: plan.Previous, action: ledger.Rollback, plan: plan, content: d.back(plan.Previous),
	})
	if err != nil {
		return result, fmt.Errorf("roll back target %s: %w", d.target, err)
	}
	return result, nil
}

func (d *Driver) rollback(ctx context.Context, c change) (driver.Result, error) {
	if c.digest == "" {
		return driver.Result{}, fmt.Errorf("nothing was there before: %w", driver.ErrNoWayBack)
	}
	if _, err := artifact.Hex(c.digest); err != nil {
		return driver.Result{}, fmt.Errorf("previous: %w: %w", driver.ErrInvalid, err)
	}
	file, version, err := d.kept(c.digest)
	if err != nil {
		return driver.Result{}, fmt.Errorf("%s: %w: %w", c.digest, driver.ErrNoWayBack, err)
	}
	_ = file.Close()
	c.version = version
	return d.change(ctx, c)
}

func (d *Driver) change(ctx context.Context, c change) (driver.Result, error) {
	if c.key.IsRollback() != (c.action == ledger.Rollback) {
		return driver.Result{}, fmt.Errorf("key %s for %s: %w", c.key, c.action, driver.ErrInvalid)
	}
	finished, err := d.admit(ctx, c)
	if err != nil {
		return driver.Result{}, err
	}
	if finished {
		return driver.Result{Digest: c.digest, Message: "carries " + c.digest + " already", Repeated: true}, nil
	}
	d.at(PointAdmitted)
	if c.action == ledger.Apply {
		if err := d.put(ctx, c.plan); err != nil {
			return driver.Result{}, err
		}
		d.at(PointKept)
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
	// Whoever had the lock before is gone, and so must be what it started.
	sweep(markLocked + "=" + d.folder)
	d.tidy()
	return d.carry(ctx, held, record, c)
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
	inPlace := record.Carries == c.digest && !record.Pending
	switch {
	case c.action == ledger.Apply:
		finished = repeated && inPlace
	case record.Carries == c.digest:
		// Back where it was, or never left.
		finished = inPlace
	case record.Carries != "" && record.Carries != c.plan.Artifact.Digest && !record.Pending:
		return false, fmt.Errorf("carries %s, neither the release nor what was before it: %w", record.Carries, driver.ErrConflict)
	}
	next.Done = finished
	return finished, held.Keep(next)
}

// carry plans, judges and applies. The caller holds the lock.
func (d *Driver) carry(ctx context.Context, held fence.Held, record fence.Record, c change) (driver.Result, error) {
	r, err := d.open(ctx, c.content, c.digest, c.version)
	if err != nil {
		return driver.Result{}, err
	}
	defer r.close()
	r.locked = true
	p, err := r.plan(ctx)
	if err != nil {
		return driver.Result{}, err
	}
	d.at(PointPlanned)
	if err := d.judge(c, p, record.Pending); err != nil {
		return driver.Result{}, err
	}
	if left, ok := driver.Left(ctx, time.Now()); ok && left <= 2*d.grace {
		// It would be interrupted as soon as it has begun.
		return driver.Result{}, fmt.Errorf("%s are left: %w", left.Round(time.Second), driver.ErrNoTime)
	}
	record.Pending = true
	if err := held.Keep(record); err != nil {
		return driver.Result{}, err
	}
	d.at(PointBegun)
	result := driver.Result{Digest: c.digest}
	if p.changes() {
		output, err := r.apply(ctx, p)
		result.Output, result.Redacted = output.Text, output.Redacted
		if err != nil {
			return result, err
		}
	}
	d.at(PointApplied)
	if err := d.count(c); err != nil {
		return result, err
	}
	d.at(PointCounted)
	unread, err := r.leave(ctx, p, c.action == ledger.Apply && c.plan.Approved != "" && c.plan.Approved == p.shown(d))
	if err != nil {
		return result, err
	}
	record.Pending, record.Done, record.Carries = false, true, c.digest
	if err := held.Keep(record); err != nil {
		return result, err
	}
	d.at(PointDone)
	// What it might do it has done: nobody may do it again without asking.
	_ = os.Remove(d.leavePath(c.key.Effect()))
	d.prune(c)
	text := strings.TrimSpace(p.text(d))
	result.Message = "carries " + c.digest + ": " + text[strings.LastIndexByte(text, '\n')+1:]
	if unread != "" {
		result.Message += "; what is changed in the state by hand until the next release is not seen: " + unread
	}
	return result, nil
}

// judge refuses a plan that is not what people approved, or takes away what is protected, and
// keeps what the change may do before it is begun. Only while a change is pending is a part of
// what was approved enough; after it, and before, it is all of it or nothing.
func (d *Driver) judge(c change, p planned, pending bool) error {
	if err := d.spare(p); err != nil {
		return err
	}
	if c.action != ledger.Apply {
		return nil
	}
	before, begun, err := d.begun(c.key.Effect())
	if err != nil {
		return err
	}
	text := p.shown(d)
	switch {
	case pending && begun && before.Digest == c.digest && (c.plan.Approved == "" || c.plan.Approved == before.Text):
		return before.within(d, p)
	case c.plan.Approved != "" && c.plan.Approved != text:
		return fmt.Errorf("the plan is %s, and people approved %s: %w", text, c.plan.Approved, driver.ErrConflict)
	}
	return d.keep(leaveOf(c.key.Effect(), c.digest, text, p))
}

// shown is the digest of what people are shown of a plan.
func (p planned) shown(d *Driver) string {
	return driver.Diff{Asked: true, Text: string(argv.Cut([]byte(p.text(d))).Text)}.Digest()
}

// apply applies the very file that was judged.
func (r *run) apply(ctx context.Context, p planned) (argv.Output, error) {
	sum, err := fileSum(p.path)
	if err == nil && sum != p.sum {
		err = fmt.Errorf("the file of the plan was %s and is %s: %w", p.sum, sum, driver.ErrConflict)
	}
	if err != nil {
		return argv.Output{}, fmt.Errorf("apply: %w", err)
	}
	printed := argv.NewCollector()
	err = r.do(ctx, "apply", progress{printed}, func(ctx context.Context) error {
		return r.tf.Apply(ctx, tfexec.DirOrPlan(p.path), tfexec.LockTimeout(r.wait.String()))
	}, append(append(r.config.GetPlanCredentials()[:0:0], r.config.GetPlanCredentials()...), r.config.GetApplyCredentials()...)...)
	if err != nil {
		err = r.rescue(err)
	}
	return printed.Output(), err
}

// count writes the effect down, once.
func (d *Driver) count(c change) error {
	last, err := ledger.LastEffect(d.Ledger(), "")
	if err != nil {
		return err
	}
	// Counted before a crash; or back to where the target was all the while.
	if last.Digest == c.digest && (last.Effect == c.key.Effect() || c.action == ledger.Rollback) {
		return nil
	}
	return ledger.Append(d.Ledger(), ledger.Entry{
		Time: d.now().UTC(), Target: d.target, Key: c.key, Fence: c.fence, Digest: c.digest, Action: c.action,
	})
}

// prune removes artifacts that nobody goes back to.
func (d *Driver) prune(c change) {
	var needed []string
	before, _ := ledger.LastEffect(d.Ledger(), c.digest)
	for _, digest := range []string{c.digest, c.plan.Previous, c.plan.Artifact.Digest, before.Digest} {
		if hex, err := artifact.Hex(digest); err == nil {
			needed = append(needed, filepath.Base(d.archive(hex)), filepath.Base(d.notePath(hex)))
		}
	}
	d.forgetOld(d.placed(), 2*keepPlaced, needed...)
}

// tidy removes what crashes left of runs: plans hold values. What somebody is at work with is
// younger.
func (d *Driver) tidy() {
	work := filepath.Join(d.folder, "work")
	entries, err := os.ReadDir(work)
	if err != nil {
		return
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil && d.now().Sub(info.ModTime()) > leftAge {
			_ = os.RemoveAll(filepath.Join(work, e.Name()))
		}
	}
}
