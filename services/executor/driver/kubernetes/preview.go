package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"strings"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/driver/cluster"
)

// Preview implements driver.Driver (PD-3.5). What would change the server is asked by Diff;
// here is where it would, what is there by the record, and whether there is a way back.
func (d *Driver) Preview(ctx context.Context, plan driver.Plan) (driver.Preview, error) {
	ctx, cancel := context.WithTimeout(ctx, cluster.LookTime)
	defer cancel()
	p, err := d.preview(ctx, plan)
	if err != nil {
		return driver.Preview{}, fmt.Errorf("preview target %s: %w", d.Target, cluster.Told(err))
	}
	return p, nil
}

func (d *Driver) preview(ctx context.Context, plan driver.Plan) (driver.Preview, error) {
	if err := check(plan); err != nil {
		return driver.Preview{}, err
	}
	c, err := d.Open()
	if err != nil {
		return driver.Preview{}, err
	}
	r, err := d.Load(ctx, c)
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
		d.Target, cluster.Address(c.Address), d.Name, before, plan.Artifact.Digest, plan.Version, plan.Artifact.Name, plan.Artifact.Location, d.timeout, back.Reason)
	for _, o := range r.Objects {
		fmt.Fprintf(&detail, "there:     %s\n", o)
	}
	p := driver.Preview{
		Summary: fmt.Sprintf("%s -> %s in namespace %s", before, plan.Artifact.Digest, d.Name), Detail: detail.String(),
		RollbackReady: back.Possible, RollbackReason: back.Reason,
	}
	if r.Carries == plan.Artifact.Digest && !r.Pending {
		p.Summary = fmt.Sprintf("carries %s already, in namespace %s", r.Carries, d.Name)
	}
	return p, nil
}

// DryRunRollback implements driver.Driver: the manifests of the way back are in the namespace
// as they were placed, the server would take each of them, and delete what they do without.
func (d *Driver) DryRunRollback(ctx context.Context, plan driver.Plan) (driver.DryRun, error) {
	ctx, cancel := context.WithTimeout(ctx, cluster.LookTime)
	defer cancel()
	out, err := d.askBack(ctx, plan)
	if err != nil {
		return driver.DryRun{}, fmt.Errorf("dry run of the way back of target %s: %w", d.Target, cluster.Told(err))
	}
	return out, nil
}

func (d *Driver) askBack(ctx context.Context, plan driver.Plan) (driver.DryRun, error) {
	c, err := d.Open()
	if err != nil {
		return driver.DryRun{}, err
	}
	r, err := d.Load(ctx, c)
	if err != nil {
		return driver.DryRun{}, err
	}
	return d.dryRun(ctx, c, r, plan)
}

func (d *Driver) dryRun(ctx context.Context, c *cluster.Server, r cluster.Record, plan driver.Plan) (driver.DryRun, error) {
	out := driver.DryRun{Source: releasev1.RollbackProof_SOURCE_TARGET}
	if plan.Previous == "" {
		out.Reason = "nothing was placed before: there is nothing to go back to"
		return out, ctx.Err()
	}
	objects, version, err := d.kept(ctx, c, plan.Previous)
	if err == nil {
		_, err = d.Try(ctx, c, objects)
	}
	if err == nil {
		err = d.TryDeletes(ctx, c, r, objects, nil)
	}
	switch {
	case ctx.Err() != nil:
		return out, context.Cause(ctx)
	case err != nil && cluster.Passes(err):
		return out, err // Nobody knows.
	case err != nil:
		out.Reason = fmt.Sprintf("%s cannot be placed again: %v", plan.Previous, cluster.Told(err))
		return out, nil
	}
	var steps strings.Builder
	fmt.Fprintf(&steps, "version: %s\n", version)
	for _, o := range objects.Refs() {
		fmt.Fprintf(&steps, "apply:   %s\n", o)
	}
	for _, old := range r.Objects {
		if !cluster.Has(objects.Refs(), old) {
			fmt.Fprintf(&steps, "delete:  %s\n", old)
		}
	}
	out.Possible, out.Steps = true, steps.String()
	out.Reason = fmt.Sprintf("%s is kept in the namespace, and the server would take each of its %d objects", plan.Previous, len(objects))
	return out, nil
}

// Diff implements driver.Driver: the server says what each object would be (a dry run), and
// the answer is what differs from what is there. It needs the content of the plan's artifact.
func (d *Driver) Diff(ctx context.Context, plan driver.Plan) (driver.Diff, error) {
	out, err := d.diff(ctx, plan)
	if err != nil {
		return driver.Diff{}, fmt.Errorf("ask what would change on target %s: %w", d.Target, cluster.Told(err))
	}
	return out, nil
}

func (d *Driver) diff(ctx context.Context, plan driver.Plan) (driver.Diff, error) {
	if err := errors.Join(ctx.Err(), check(plan)); err != nil {
		return driver.Diff{}, err
	}
	objects, err := d.manifests(ctx, plan)
	if err != nil {
		return driver.Diff{}, err
	}
	text, err := d.Differences(ctx, objects, cluster.Eyes{Veil: cluster.NewVeil(plan)})
	return cluster.Diff(ctx, text, err)
}
