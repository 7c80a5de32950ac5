package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/driver/cluster"
)

// Preview implements driver.Driver (PD-3.5).
func (d *Driver) Preview(ctx context.Context, plan driver.Plan) (driver.Preview, error) {
	return d.questions().Preview(ctx, plan)
}

// DryRunRollback implements driver.Driver: the manifests of the way back are in the namespace
// as they were placed, the server would take each of them, and delete what they do without.
func (d *Driver) DryRunRollback(ctx context.Context, plan driver.Plan) (driver.DryRun, error) {
	return d.questions().DryRunRollback(ctx, plan)
}

func (d *Driver) questions() cluster.Questions {
	return cluster.Questions{
		Namespace: d.Namespace, Time: cluster.LookTime, Ready: d.timeout, Check: check, Back: d.dryRun,
	}
}

func (d *Driver) dryRun(ctx context.Context, c *cluster.Server, r cluster.Record, plan driver.Plan, out driver.DryRun) (driver.DryRun, error) {
	objects, version, err := d.kept(ctx, c, plan.Previous)
	if err == nil {
		_, err = d.Try(ctx, c, objects)
	}
	if err == nil {
		err = d.TryDeletes(ctx, c, r, objects, nil)
	}
	if err != nil || ctx.Err() != nil {
		return cluster.NotBack(ctx, out, plan.Previous, err)
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
