package kubernetes

import (
	"context"
	"fmt"

	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/driver/cluster"
)

// change is one call of Apply or Rollback.
type change struct {
	cluster.Change
	driver *Driver
}

// Apply implements driver.Driver.
func (d *Driver) Apply(ctx context.Context, key driver.Key, f driver.Fence, plan driver.Plan) (driver.Result, error) {
	result, err := d.apply(ctx, key, f, plan)
	if err != nil {
		return result, fmt.Errorf("apply to target %s: %w", d.Target, cluster.Told(err))
	}
	return result, nil
}

func (d *Driver) apply(ctx context.Context, key driver.Key, f driver.Fence, plan driver.Plan) (driver.Result, error) {
	if err := check(plan); err != nil {
		return driver.Result{}, err
	}
	c, err := d.Open()
	if err != nil {
		return driver.Result{}, err
	}
	objects, err := d.manifests(ctx, plan)
	if err != nil {
		return driver.Result{}, err
	}
	return change{driver: d, Change: cluster.Change{
		Namespace: d.Namespace, Server: c, Key: key, Fence: f, Digest: plan.Artifact.Digest, Objects: objects, Timeout: d.timeout,
	}}.do(ctx, plan)
}

// Rollback implements driver.Driver.
func (d *Driver) Rollback(ctx context.Context, key driver.Key, f driver.Fence, plan driver.Plan) (driver.Result, error) {
	result, err := d.rollback(ctx, key, f, plan)
	if err != nil {
		return result, fmt.Errorf("roll back target %s: %w", d.Target, cluster.Told(err))
	}
	return result, nil
}

func (d *Driver) rollback(ctx context.Context, key driver.Key, f driver.Fence, plan driver.Plan) (driver.Result, error) {
	if plan.Previous == "" {
		return driver.Result{}, fmt.Errorf("nothing was there before: %w", driver.ErrNoWayBack)
	}
	c, err := d.Open()
	if err != nil {
		return driver.Result{}, err
	}
	objects, _, err := d.kept(ctx, c, plan.Previous)
	if err != nil {
		return driver.Result{}, fmt.Errorf("%s: %w", plan.Previous, err)
	}
	return change{driver: d, Change: cluster.Change{
		Namespace: d.Namespace, Server: c, Key: key, Fence: f, Back: true, Digest: plan.Previous, Other: plan.Artifact.Digest,
		Objects: objects, Timeout: d.timeout,
	}}.do(ctx, plan)
}

func (c change) do(ctx context.Context, plan driver.Plan) (driver.Result, error) {
	finished, err := c.Admit(ctx)
	if err != nil {
		return driver.Result{}, err
	}
	if finished {
		return driver.Result{Digest: c.Digest, Message: "carries " + c.Digest + " already", Repeated: true}, nil
	}
	c.driver.at(PointAdmitted)
	trials, err := c.Try(ctx, c.Server, c.Objects)
	if err != nil {
		return driver.Result{}, err
	}
	if !c.Back {
		if err := c.driver.keep(ctx, c.Server, c.Digest, plan.Version, c.Objects); err != nil {
			return driver.Result{}, err
		}
	}
	r, err := c.Begin(ctx, c.Objects.Refs())
	if err != nil {
		return driver.Result{}, err
	}
	stop := c.Beat(ctx)
	defer stop()
	c.driver.at(PointBegun)
	for i, o := range c.Objects {
		if err := c.Put(ctx, o, r.Stamp(), trials[i].Known); err != nil {
			return driver.Result{}, err
		}
		if i == 0 {
			c.driver.at(PointPartly)
		}
	}
	c.driver.at(PointPlaced)
	if why, err := c.Ready(ctx); err != nil {
		return driver.Result{Message: why}, err
	}
	c.driver.at(PointReady)
	pruned, missing, err := c.Prune(ctx, r)
	if err != nil {
		return driver.Result{}, err
	}
	stop()
	if err := c.Finish(ctx, c.Objects.Refs(), missing, nil); err != nil {
		return driver.Result{}, err
	}
	c.driver.at(PointDone)
	c.Forget(ctx, c.Server, c.Digest, plan.Previous, plan.Artifact.Digest)
	return driver.Result{
		Digest: c.Digest, Message: fmt.Sprintf("carries %s: %d objects are ready, %d deleted", c.Digest, len(c.Objects), pruned),
	}, nil
}
