package kubernetes

import (
	"context"
	"fmt"

	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/driver/ledger"
)

// change is one call of Apply or Rollback.
type change struct {
	*Driver
	cluster *cluster
	key     driver.Key
	fence   driver.Fence
	action  string
	// digest is what the target is to carry, other what it may carry before a rollback.
	digest, other string
	// objects are the set of digest.
	objects set
}

// Apply implements driver.Driver.
func (d *Driver) Apply(ctx context.Context, key driver.Key, f driver.Fence, plan driver.Plan) (driver.Result, error) {
	result, err := d.apply(ctx, key, f, plan)
	if err != nil {
		return result, fmt.Errorf("apply to target %s: %w", d.target, told{err})
	}
	return result, nil
}

func (d *Driver) apply(ctx context.Context, key driver.Key, f driver.Fence, plan driver.Plan) (driver.Result, error) {
	if err := check(plan); err != nil {
		return driver.Result{}, err
	}
	c, err := d.open()
	if err != nil {
		return driver.Result{}, err
	}
	objects, err := d.manifests(ctx, plan)
	if err != nil {
		return driver.Result{}, err
	}
	ch := change{Driver: d, cluster: c, key: key, fence: f, action: ledger.Apply, digest: plan.Artifact.Digest, objects: objects}
	return ch.do(ctx, plan)
}

// Rollback implements driver.Driver.
func (d *Driver) Rollback(ctx context.Context, key driver.Key, f driver.Fence, plan driver.Plan) (driver.Result, error) {
	result, err := d.rollback(ctx, key, f, plan)
	if err != nil {
		return result, fmt.Errorf("roll back target %s: %w", d.target, told{err})
	}
	return result, nil
}

func (d *Driver) rollback(ctx context.Context, key driver.Key, f driver.Fence, plan driver.Plan) (driver.Result, error) {
	if plan.Previous == "" {
		return driver.Result{}, fmt.Errorf("nothing was there before: %w", driver.ErrNoWayBack)
	}
	c, err := d.open()
	if err != nil {
		return driver.Result{}, err
	}
	objects, _, err := d.kept(ctx, c, plan.Previous)
	if err != nil {
		return driver.Result{}, fmt.Errorf("%s: %w", plan.Previous, err)
	}
	ch := change{
		Driver: d, cluster: c, key: key, fence: f, action: ledger.Rollback, digest: plan.Previous, other: plan.Artifact.Digest, objects: objects,
	}
	return ch.do(ctx, plan)
}

func (c change) do(ctx context.Context, plan driver.Plan) (driver.Result, error) {
	if c.key.IsRollback() != (c.action == ledger.Rollback) {
		return driver.Result{}, fmt.Errorf("key %s for %s: %w", c.key, c.action, driver.ErrInvalid)
	}
	finished, err := c.admit(ctx)
	if err != nil {
		return driver.Result{}, err
	}
	if finished {
		return driver.Result{Digest: c.digest, Message: "carries " + c.digest + " already", Repeated: true}, nil
	}
	c.at(PointAdmitted)
	trials, err := c.try(ctx, c.cluster, c.objects)
	if err != nil {
		return driver.Result{}, err
	}
	if c.action == ledger.Apply {
		if err := c.keep(ctx, c.cluster, c.digest, plan.Version, c.objects); err != nil {
			return driver.Result{}, err
		}
	}
	r, err := c.begin(ctx)
	if err != nil {
		return driver.Result{}, err
	}
	stop := c.beat(ctx)
	defer stop()
	c.at(PointBegun)
	for i, o := range c.objects {
		if err := c.put(ctx, o, r.stamp(), trials[i].known); err != nil {
			return driver.Result{}, err
		}
		if i == 0 {
			c.at(PointPartly)
		}
	}
	c.at(PointPlaced)
	if why, err := c.ready(ctx); err != nil {
		return driver.Result{Message: why}, err
	}
	c.at(PointReady)
	pruned, missing, err := c.prune(ctx, r)
	if err != nil {
		return driver.Result{}, err
	}
	stop()
	if err := c.finish(ctx, missing); err != nil {
		return driver.Result{}, err
	}
	c.at(PointDone)
	c.forget(ctx, c.cluster, c.digest, plan.Previous, plan.Artifact.Digest)
	return driver.Result{
		Digest: c.digest, Message: fmt.Sprintf("carries %s: %d objects are ready, %d deleted", c.digest, len(c.objects), pruned),
	}, nil
}

// admit lets the call in or not, and says whether there is nothing left to do.
func (c change) admit(ctx context.Context) (finished bool, err error) {
	_, err = c.update(ctx, c.cluster, func(r record) (record, error) {
		next, repeated, err := r.Admit(c.key, c.fence, c.digest)
		if err != nil {
			return r, err
		}
		inPlace := r.Carries == c.digest && !r.Pending
		switch {
		case c.action == ledger.Apply:
			finished = repeated && inPlace
		case r.Carries == c.digest:
			// Back where it was, or never left.
			finished = inPlace
		case r.Carries != "" && r.Carries != c.other && !r.Pending:
			return r, fmt.Errorf("carries %s, neither the release nor what was before it: %w", r.Carries, driver.ErrConflict)
		default:
			finished = false
		}
		next.Done = finished
		r.Record = next
		return r, nil
	})
	return finished, err
}

// begin keeps what the change may place, before it does.
func (c change) begin(ctx context.Context) (record, error) {
	return c.update(ctx, c.cluster, func(r record) (record, error) {
		if err := r.Holds(c.key, c.fence); err != nil {
			return r, err
		}
		r.Pending = true
		r.Objects = union(r.Objects, c.objects.refs())
		return r, nil
	})
}

// finish says that all is done, and which objects were not there to be deleted.
func (c change) finish(ctx context.Context, missing []ref) error {
	_, err := c.update(ctx, c.cluster, func(r record) (record, error) {
		if err := r.Holds(c.key, c.fence); err != nil {
			return r, err
		}
		r.Pending, r.Done, r.Carries = false, true, c.digest
		r.Objects, r.Doubtful = c.objects.refs(), missing
		return r, nil
	})
	return err
}

// holds says whether the call still has the target.
func (c change) holds(ctx context.Context) error {
	r, err := c.load(ctx, c.cluster)
	if err != nil {
		return err
	}
	return r.Holds(c.key, c.fence)
}
