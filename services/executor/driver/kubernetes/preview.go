package kubernetes

import (
	"context"
	"fmt"
	"strings"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/driver"
)

// Preview implements driver.Driver (PD-3.5). What would change the server is asked by Diff;
// here is where it would, what is there by the record, and whether there is a way back.
func (d *Driver) Preview(ctx context.Context, plan driver.Plan) (driver.Preview, error) {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	p, err := d.preview(ctx, plan)
	if err != nil {
		return driver.Preview{}, fmt.Errorf("preview target %s: %w", d.target, told{err})
	}
	return p, nil
}

func (d *Driver) preview(ctx context.Context, plan driver.Plan) (driver.Preview, error) {
	if err := check(plan); err != nil {
		return driver.Preview{}, err
	}
	c, err := d.open()
	if err != nil {
		return driver.Preview{}, err
	}
	r, err := d.load(ctx, c)
	if err != nil {
		return driver.Preview{}, err
	}
	back, err := d.dryRun(ctx, c, r, plan)
	if err != nil {
		return driver.Preview{}, err
	}
	before := r.Carries
	if before == "" {
		before = "nothing"
	}
	var detail strings.Builder
	fmt.Fprintf(&detail, "target:    %s\nserver:    %s\nnamespace: %s\ncurrent:   %s\nnew:       %s\nversion:   %s\nartifact:  %s from %s\nready in:  %s\nrollback:  %s\n",
		d.target, address(c.server), d.namespace, before, plan.Artifact.Digest, plan.Version, plan.Artifact.Name, plan.Artifact.Location, d.timeout, back.Reason)
	for _, o := range r.Objects {
		fmt.Fprintf(&detail, "there:     %s\n", o)
	}
	p := driver.Preview{
		Summary: fmt.Sprintf("%s -> %s in namespace %s", before, plan.Artifact.Digest, d.namespace), Detail: detail.String(),
		RollbackReady: back.Possible, RollbackReason: back.Reason,
	}
	if r.Carries == plan.Artifact.Digest && !r.Pending {
		p.Summary = fmt.Sprintf("carries %s already, in namespace %s", r.Carries, d.namespace)
	}
	return p, nil
}

// DryRunRollback implements driver.Driver: the manifests of the way back are in the namespace
// as they were placed, and the server would take each of them.
func (d *Driver) DryRunRollback(ctx context.Context, plan driver.Plan) (driver.DryRun, error) {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	out, err := d.askBack(ctx, plan)
	if err != nil {
		return driver.DryRun{}, fmt.Errorf("dry run of the way back of target %s: %w", d.target, told{err})
	}
	return out, nil
}

func (d *Driver) askBack(ctx context.Context, plan driver.Plan) (driver.DryRun, error) {
	c, err := d.open()
	if err != nil {
		return driver.DryRun{}, err
	}
	r, err := d.load(ctx, c)
	if err != nil {
		return driver.DryRun{}, err
	}
	return d.dryRun(ctx, c, r, plan)
}

func (d *Driver) dryRun(ctx context.Context, c *cluster, r record, plan driver.Plan) (driver.DryRun, error) {
	out := driver.DryRun{Source: releasev1.RollbackProof_SOURCE_TARGET}
	if plan.Previous == "" {
		out.Reason = "nothing was placed before: there is nothing to go back to"
		return out, ctx.Err()
	}
	objects, version, err := d.kept(ctx, c, plan.Previous)
	if err == nil {
		_, err = d.try(ctx, c, objects)
	}
	switch {
	case ctx.Err() != nil:
		return out, context.Cause(ctx)
	case err != nil && passes(err):
		return out, err // Nobody knows.
	case err != nil:
		out.Reason = fmt.Sprintf("%s cannot be placed again: %v", plan.Previous, told{err})
		return out, nil //nolint:nilerr // It is the answer.
	}
	var steps strings.Builder
	fmt.Fprintf(&steps, "version: %s\n", version)
	for _, o := range objects.refs() {
		fmt.Fprintf(&steps, "apply:   %s\n", o)
	}
	for _, old := range r.Objects {
		if !has(objects.refs(), old) {
			fmt.Fprintf(&steps, "delete:  %s\n", old)
		}
	}
	out.Possible, out.Steps = true, steps.String()
	out.Reason = fmt.Sprintf("%s is kept in the namespace, and the server would take each of its %d objects", plan.Previous, len(objects))
	return out, nil
}
