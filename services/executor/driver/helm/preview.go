package helm

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/driver/cluster"
)

// lookTime bounds a question that changes nothing: a chart is rendered with what a server says.
const lookTime = 2 * cluster.LookTime

// Preview implements driver.Driver (PD-3.5).
func (d *Driver) Preview(ctx context.Context, plan driver.Plan) (driver.Preview, error) {
	return d.questions().Preview(ctx, plan)
}

// DryRunRollback implements driver.Driver: the chart and the values of the way back are in the namespace
// as they were placed, the server would take each of their objects, and delete what they do without.
func (d *Driver) DryRunRollback(ctx context.Context, plan driver.Plan) (driver.DryRun, error) {
	return d.questions().DryRunRollback(ctx, plan)
}

func (d *Driver) questions() cluster.Questions {
	return cluster.Questions{
		Namespace: d.Namespace, Release: d.release, Time: lookTime, Ready: d.timeout, Check: check, Back: d.dryRun,
	}
}

func (d *Driver) dryRun(ctx context.Context, s *cluster.Server, r cluster.Record, plan driver.Plan, out driver.DryRun) (driver.DryRun, error) {
	if plan.Previous == plan.Artifact.Digest {
		wanted, err := d.values.plain(plan.Parameters)
		if err != nil {
			return out, err
		}
		part, err := sum(wanted)
		if placed, ok := r.Placed[plan.Previous]; err == nil && ok && !sameValues(part, placed.Part) {
			err = errValues
		}
		if err != nil {
			out.Reason = fmt.Sprintf("%s cannot be placed again: %v", plan.Previous, err)
			return out, ctx.Err()
		}
	}
	steps, reason, err := d.wayBack(ctx, s, r, plan.Previous)
	if err != nil || ctx.Err() != nil {
		return cluster.NotBack(ctx, out, plan.Previous, err)
	}
	out.Possible, out.Steps, out.Reason = true, steps, reason
	return out, nil
}

func (d *Driver) wayBack(ctx context.Context, s *cluster.Server, r cluster.Record, digest string) (steps, reason string, err error) {
	m, version, err := d.former(ctx, s, r, digest)
	if err != nil {
		return "", "", err
	}
	all, err := d.revisions(ctx, s)
	if err != nil {
		return "", "", err
	}
	target := d.revisionOf(all, r, digest)
	c, hidden, err := d.contentFor(ctx, s, m, all, target)
	if err != nil {
		return "", "", err
	}
	overrules, err := d.try(ctx, s, c, true)
	if err == nil {
		err = d.TryDeletes(ctx, s, r, c.all(), c.stays)
	}
	if err != nil {
		return "", "", scrubbed{err, hidden}
	}
	var out strings.Builder
	fmt.Fprintf(&out, "version: %s\n", version)
	if target != 0 {
		fmt.Fprintf(&out, "helm:    rollback of release %s to revision %d\n", d.release, target)
	} else {
		fmt.Fprintf(&out, "helm:    upgrade of release %s with the chart that is kept\n", d.release)
	}
	for _, o := range c.objects.Refs() {
		fmt.Fprintf(&out, "apply:   %s\n", o)
	}
	for i, o := range c.hooks.Refs() {
		fmt.Fprintf(&out, "run:     %s (%s)\n", o, c.events[i])
	}
	for _, old := range r.Objects {
		if !cluster.Has(cluster.Union(c.all().Refs(), c.others), old) {
			fmt.Fprintf(&out, "delete:  %s\n", old)
		}
	}
	reason = fmt.Sprintf("%s is kept in the namespace, and the server would take each of its %d objects", digest, len(c.objects))
	for _, line := range overrules {
		fmt.Fprintf(&out, "takes back: %s\n", scrub(line, hidden))
	}
	if n := len(overrules); n > 0 {
		reason += fmt.Sprintf("; it takes back %d changes of somebody else", n)
	}
	return out.String(), reason, nil
}

// Diff implements driver.Driver: the server says what each object of the chart would be (a dry run),
// and the answer is what differs from what is there. It needs the content of the plan's artifact.
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
	m, err := d.material(ctx, plan)
	if err != nil {
		return driver.Diff{}, err
	}
	text, err := d.differences(ctx, m, cluster.NewVeil(plan))
	return cluster.Diff(ctx, text, err)
}

func (d *Driver) differences(ctx context.Context, m material, veil *cluster.Veil) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	s, err := d.Open()
	if err != nil {
		return "", err
	}
	all, err := d.revisions(ctx, s)
	if err != nil {
		return "", err
	}
	c, hidden, err := d.render(ctx, s, m, all)
	if err != nil {
		return "", err
	}
	again, _, err := d.render(ctx, s, m, all)
	if err != nil {
		return "", err
	}
	if again.text != c.text {
		return "", fmt.Errorf("the chart makes something else each time, as one that makes up passwords does: give it the values: %w", driver.ErrUnsupported)
	}
	for _, o := range c.hooks {
		if err := d.tryHook(ctx, s, o); err != nil {
			return "", scrubbed{fmt.Errorf("hook: %w", err), hidden}
		}
	}
	eyes := cluster.Eyes{
		Veil: veil, Secrets: hidden, Others: true,
		Stays: func(o *unstructured.Unstructured) bool {
			return c.stays(o) || cluster.Has(c.hooks.Refs(), cluster.RefOf(o))
		},
	}
	// Before the rest, whose end has the digest of all that is hidden.
	var hooks strings.Builder
	for i, o := range c.hooks {
		fmt.Fprintf(&hooks, "run %s (%s)\n%s", cluster.RefOf(o), c.events[i], eyes.Shown(o))
	}
	text, err := d.Differences(ctx, c.objects, eyes)
	if err != nil {
		return "", scrubbed{err, hidden}
	}
	// The number of all is the last line.
	first, rest, _ := strings.Cut(text, "\n")
	var out strings.Builder
	fmt.Fprintf(&out, "%s\nrelease %s\n", first, d.release)
	for _, one := range all {
		if one.pending() {
			fmt.Fprintf(&out, "repair revision %d, which was left %s by a run that was lost\n", one.number, one.status)
		}
	}
	out.WriteString(hooks.String() + rest)
	return scrub(out.String(), hidden), nil
}
