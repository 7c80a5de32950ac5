package gitops

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/blackdice/shipwarden/services/executor/artifact"
	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/driver/cluster"
	"github.com/blackdice/shipwarden/services/executor/driver/gitrepo"
)

const (
	// again is the pause before a branch is read again that somebody pushed to at the same time.
	again = 20 * time.Millisecond
	// patience is how long a call goes on asking a repository that does not answer, beside the
	// time that the resource may take.
	patience = time.Minute
)

// change is one call of Apply or Rollback.
type change struct {
	key      driver.Key
	fence    driver.Fence
	digest   string // what the target is to carry
	rollback bool
	plan     driver.Plan
	// files are what the folder is to have, as soon as that is known, and from the commit of the
	// way back that has them.
	files map[string][]byte
	from  string
	// sent is the error of a push of which nobody knows yet what became of it.
	sent error
	// pushed says that a commit of this call has changed the files.
	pushed bool
	// passed are the points that were passed before the branch was read again.
	passed []string
}

// pass tells of a point, the first time.
func (d *Driver) pass(c *change, point string) {
	if !slices.Contains(c.passed, point) {
		c.passed = append(c.passed, point)
		d.at(point)
	}
}

// Apply implements driver.Driver.
func (d *Driver) Apply(ctx context.Context, key driver.Key, f driver.Fence, plan driver.Plan) (driver.Result, error) {
	result, err := d.apply(ctx, &change{key: key, fence: f, digest: plan.Artifact.Digest, plan: plan})
	if err != nil {
		return result, fmt.Errorf("apply to target %s: %w", d.target, cluster.Told(err))
	}
	return result, nil
}

func (d *Driver) apply(ctx context.Context, c *change) (driver.Result, error) {
	if err := errors.Join(ctx.Err(), check(c.plan)); err != nil {
		return driver.Result{}, err
	}
	var err error
	if c.files, err = d.content(ctx, c.plan.Artifact); err != nil {
		return driver.Result{}, err
	}
	return d.change(ctx, c)
}

// Rollback implements driver.Driver: a commit that puts back what was there before.
func (d *Driver) Rollback(ctx context.Context, key driver.Key, f driver.Fence, plan driver.Plan) (driver.Result, error) {
	result, err := d.rollback(ctx, &change{key: key, fence: f, digest: plan.Previous, rollback: true, plan: plan})
	if err != nil {
		return result, fmt.Errorf("roll back target %s: %w", d.target, cluster.Told(err))
	}
	return result, nil
}

func (d *Driver) rollback(ctx context.Context, c *change) (driver.Result, error) {
	if c.digest == "" {
		return driver.Result{}, fmt.Errorf("nothing was there before: %w", driver.ErrNoWayBack)
	}
	if _, err := artifact.Hex(c.digest); err != nil {
		return driver.Result{}, fmt.Errorf("previous: %w: %w", driver.ErrInvalid, err)
	}
	return d.change(ctx, c)
}

// change brings the commit onto the branch, and waits until the resource has it.
func (d *Driver) change(ctx context.Context, c *change) (driver.Result, error) {
	if c.key.IsRollback() != c.rollback {
		return driver.Result{}, fmt.Errorf("key %s: %w", c.key, driver.ErrInvalid)
	}
	s, finished, err := d.push(ctx, c)
	if err != nil {
		return driver.Result{}, err
	}
	d.pass(c, PointPushed)
	result := driver.Result{Digest: c.digest}
	if c.pushed && d.ask {
		// It looks by itself, only later.
		if err := d.resource.Ask(ctx, d.now()); err != nil {
			result.Output = fmt.Append(nil, cluster.Told(err), "\n")
		}
	}
	w := wait{driver: d, change: c, state: s}
	at, err := w.done(ctx)
	if err != nil {
		result.Message = w.why
		return result, err
	}
	d.pass(c, PointHealthy)
	result.Repeated = finished
	result.Message = fmt.Sprintf("carries %s: %s is healthy at commit %s", c.digest, d.resource, short(at))
	return result, nil
}

// push reads, judges and pushes until the branch says what it should, and returns it. It is
// finished where the files were there, by this effect.
func (d *Driver) push(ctx context.Context, c *change) (s state, finished bool, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("the repository did not take it within %s", patience))
	defer cancel()
	for {
		through, there, err := d.attempt(ctx, c, &s)
		if err != nil {
			return s, false, c.unsure(err)
		}
		if through {
			return s, there && !c.pushed, nil
		}
		timer := time.NewTimer(again)
		select {
		case <-ctx.Done():
			timer.Stop()
		case <-timer.C:
		}
	}
}

// unsure says what an error means after a push of which nobody knows what became: it may be there,
// or come.
func (c *change) unsure(err error) error {
	switch {
	case c.sent != nil && !errors.Is(err, driver.ErrStaleFence):
		return fmt.Errorf("%w: %w (%w)", driver.ErrUnknown, c.sent, err)
	case errors.Is(err, gitrepo.ErrUnavailable):
		return fmt.Errorf("%w: %w", driver.ErrBusy, err)
	}
	return err
}

// attempt reads the branch once and pushes once at most. It is through where the branch says what
// it should, and finished where the files are there by the same effect.
func (d *Driver) attempt(ctx context.Context, c *change, into *state) (through, finished bool, err error) {
	s, err := d.load(ctx)
	if err != nil {
		return false, false, err
	}
	*into = s
	d.pass(c, PointRead)
	next, finished, err := d.judge(ctx, s, c)
	if err != nil {
		return false, false, err
	}
	d.pass(c, PointAdmitted)
	if next.same(s.note) {
		c.sent = nil
		return true, finished, nil
	}
	if err := d.begin(ctx, s, c); err != nil {
		return false, false, err
	}
	changes := s.note.Change != next.Change
	err = d.write(ctx, s, next, c)
	switch {
	case errors.Is(err, gitrepo.ErrUnanswered):
		c.sent, c.pushed = err, changes
		return false, finished, nil
	case errors.Is(err, gitrepo.ErrRaced), errors.Is(err, gitrepo.ErrUnavailable) && ctx.Err() == nil:
		return false, finished, nil
	case err != nil:
		return false, false, wrong(err)
	}
	// What is on the branch now is read again: it says by itself what it carries.
	c.sent, c.pushed = nil, changes
	return false, finished, nil
}
