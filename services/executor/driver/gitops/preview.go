package gitops

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/artifact"
	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/driver/cluster"
	"github.com/blackdice/shipwarden/services/executor/driver/gitrepo"
)

// Preview implements driver.Driver (PD-3.5). What would change in the files says Diff; here is
// where, what follows it, and whether there is a way back. A resource that does not follow the
// repository is refused.
func (d *Driver) Preview(ctx context.Context, plan driver.Plan) (driver.Preview, error) {
	ctx, cancel := context.WithTimeout(ctx, cluster.LookTime)
	defer cancel()
	p, err := d.preview(ctx, plan)
	if err != nil {
		return driver.Preview{}, fmt.Errorf("preview target %s: %w", d.target, cluster.Told(err))
	}
	return p, nil
}

func (d *Driver) preview(ctx context.Context, plan driver.Plan) (driver.Preview, error) {
	if err := check(plan); err != nil {
		return driver.Preview{}, err
	}
	if err := d.repo.CheckKey(); err != nil {
		return driver.Preview{}, wrong(err)
	}
	s, err := d.load(ctx)
	if err == nil {
		err = errors.Join(d.forgotten(s, plan), d.remembers(s, plan.Mark))
	}
	if err != nil {
		return driver.Preview{}, err
	}
	if _, err := d.resource.Look(ctx); err != nil {
		return driver.Preview{}, err
	}
	back, err := d.dryRun(ctx, s, plan)
	if err != nil {
		return driver.Preview{}, err
	}
	before := orNothing(s.carries())
	var detail strings.Builder
	fmt.Fprintf(&detail, "target:     %s\nrepository: %s\nfolder:     %s\nfollowed by: %s\ncurrent:    %s\nnew:        %s\nversion:    %s\nartifact:   %s from %s\nhealthy in: %s\nrollback:   %s\n",
		d.target, d.repo, d.path, d.resource, before, plan.Artifact.Digest, plan.Version, plan.Artifact.Name, plan.Artifact.Location, d.timeout, back.Reason)
	if !s.ours() && s.sum != "" {
		detail.WriteString("the files that are there were put there by somebody else, and are replaced\n")
	}
	p := driver.Preview{
		Summary: fmt.Sprintf("%s -> %s in folder %s of %s", before, plan.Artifact.Digest, d.path, d.repo), Detail: detail.String(),
		RollbackReady: back.Possible, RollbackReason: back.Reason,
	}
	if s.carries() == plan.Artifact.Digest {
		p.Summary = fmt.Sprintf("carries %s already, in folder %s of %s", plan.Artifact.Digest, d.path, d.repo)
	}
	return p, nil
}

// DryRunRollback implements driver.Driver: the files of the way back are in a commit on the branch,
// as they were placed.
func (d *Driver) DryRunRollback(ctx context.Context, plan driver.Plan) (driver.DryRun, error) {
	ctx, cancel := context.WithTimeout(ctx, cluster.LookTime)
	defer cancel()
	s, err := d.load(ctx)
	var out driver.DryRun
	if err == nil {
		out, err = d.dryRun(ctx, s, plan)
	}
	if err != nil {
		return driver.DryRun{}, fmt.Errorf("dry run of the way back of target %s: %w", d.target, cluster.Told(err))
	}
	return out, nil
}

func (d *Driver) dryRun(ctx context.Context, s state, plan driver.Plan) (driver.DryRun, error) {
	out := driver.DryRun{Source: releasev1.RollbackProof_SOURCE_TARGET}
	if plan.Previous == "" {
		out.Reason = "nothing was placed before: there is nothing to go back to"
		return out, ctx.Err()
	}
	if _, err := artifact.Hex(plan.Previous); err != nil {
		out.Reason = err.Error()
		return out, ctx.Err()
	}
	files, from, err := d.found(ctx, s, plan.Previous)
	switch {
	case ctx.Err() != nil:
		return out, context.Cause(ctx)
	case errors.Is(err, driver.ErrNoWayBack):
		out.Reason = err.Error()
		return out, nil
	case err != nil:
		return out, err
	}
	place := "commit " + short(from)
	if from == s.Commit().ID {
		// Others push to the branch, and what is said here stays the same.
		place = "the branch as it is"
	}
	var steps strings.Builder
	fmt.Fprintf(&steps, "version: %s\ncommit:  %s to %s, with the files of %s\n", plan.PreviousVersion, d.path, d.repo, place)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		fmt.Fprintf(&steps, "file:    %s\n", printable(name))
	}
	fmt.Fprintf(&steps, "wait:    until %s is healthy\n", d.resource)
	out.Possible, out.Steps = true, steps.String()
	out.Reason = fmt.Sprintf("%s is in %s, as it was placed", plan.Previous, place)
	return out, nil
}

// Diff implements driver.Driver: what would change in each file of the folder. It needs the content
// of the plan's artifact, and no tool: what Git has is known.
func (d *Driver) Diff(ctx context.Context, plan driver.Plan) (driver.Diff, error) {
	ctx, cancel := context.WithTimeout(ctx, cluster.LookTime)
	defer cancel()
	out, err := d.diff(ctx, plan)
	if err != nil {
		return driver.Diff{}, fmt.Errorf("ask what would change on target %s: %w", d.target, cluster.Told(err))
	}
	return out, nil
}

func (d *Driver) diff(ctx context.Context, plan driver.Plan) (driver.Diff, error) {
	if err := errors.Join(ctx.Err(), check(plan)); err != nil {
		return driver.Diff{}, err
	}
	files, err := d.content(ctx, plan.Artifact)
	if err != nil {
		return driver.Diff{}, err
	}
	s, err := d.load(ctx)
	if errors.Is(err, gitrepo.ErrUnavailable) {
		return cluster.Diff(ctx, "", err)
	}
	if err != nil {
		return driver.Diff{}, err
	}
	return cluster.Diff(ctx, d.difference(plan, s.files, files), nil)
}
