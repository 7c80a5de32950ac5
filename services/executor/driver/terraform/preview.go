package terraform

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/blackdice/shipwarden/internal/argv"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/driver"
)

// Diff implements driver.Driver: the plan, as a text without values. It needs the content of
// the plan's artifact.
func (d *Driver) Diff(ctx context.Context, plan driver.Plan) (driver.Diff, error) {
	if err := errors.Join(ctx.Err(), check(plan)); err != nil {
		return driver.Diff{}, fmt.Errorf("ask what would change on target %s: %w", d.target, err)
	}
	text, err := d.differences(ctx, plan)
	switch {
	case ctx.Err() != nil:
		return driver.Diff{}, fmt.Errorf("ask what would change on target %s: %w", d.target, context.Cause(ctx))
	case err != nil:
		return driver.Diff{Asked: true, Failed: err.Error(), Busy: errors.Is(err, driver.ErrBusy)}, nil
	}
	said := argv.Cut([]byte(text))
	if strings.Contains(string(said.Text), "[redacted private key]") {
		// Whatever comes after it would be left out as well, and not be a part of the digest.
		return driver.Diff{Asked: true, Failed: "an address has what looks like a private key in it, so that the plan cannot be shown"}, nil
	}
	return driver.Diff{Asked: true, Text: string(said.Text), Last: said.LastLine(), LeftOut: said.Total > argv.MaxOutput}, nil
}

func (d *Driver) differences(ctx context.Context, plan driver.Plan) (string, error) {
	r, err := d.open(ctx, d.content(plan), plan.Artifact.Digest, plan.Version)
	if err != nil {
		return "", err
	}
	defer r.close()
	p, err := r.plan(ctx)
	if err == nil {
		err = d.spare(p)
	}
	return p.say(d, err)
}

func (p planned) say(d *Driver, err error) (string, error) {
	if err != nil {
		return "", err
	}
	return p.text(d), nil
}

// DryRunRollback implements driver.Driver: the artifact of the way back is kept, byte for byte,
// and what was there before can be planned against the state as it is. Before the release that
// plan has nothing to do, or what somebody else changed; what it will have to do after the
// release nobody can plan yet.
func (d *Driver) DryRunRollback(ctx context.Context, plan driver.Plan) (driver.DryRun, error) {
	out, err := d.dryRun(ctx, plan)
	if err != nil {
		return driver.DryRun{}, fmt.Errorf("dry run of the way back of target %s: %w", d.target, err)
	}
	return out, nil
}

func (d *Driver) dryRun(ctx context.Context, plan driver.Plan) (driver.DryRun, error) {
	out := driver.DryRun{Source: releasev1.RollbackProof_SOURCE_TARGET}
	if plan.Previous == "" {
		out.Reason = "nothing was placed before: there is nothing to go back to"
		return out, ctx.Err()
	}
	text, err := d.planBack(ctx, plan.Previous)
	switch {
	case ctx.Err() != nil:
		return out, context.Cause(ctx)
	case errors.Is(err, driver.ErrBusy), errors.Is(err, driver.ErrNoTime):
		return out, err // Nobody knows.
	case err != nil:
		out.Reason = fmt.Sprintf("%s cannot be applied again: %v", plan.Previous, err)
		return out, nil
	}
	out.Possible, out.Steps = true, text
	out.Reason = fmt.Sprintf("%s is kept beside the state, and can be planned against it", plan.Previous)
	return out, nil
}

func (d *Driver) planBack(ctx context.Context, digest string) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	file, version, err := d.kept(digest)
	if err != nil {
		return "", err
	}
	_ = file.Close()
	r, err := d.open(ctx, d.back(digest), digest, version)
	if err != nil {
		return "", err
	}
	defer r.close()
	p, err := r.plan(ctx)
	if err == nil {
		err = d.spare(p)
	}
	return p.say(d, err)
}

// Preview implements driver.Driver (PD-3.5). What would change is in Diff; here is where it
// would, with which program, and whether there is a way back.
func (d *Driver) Preview(ctx context.Context, plan driver.Plan) (driver.Preview, error) {
	p, err := d.preview(ctx, plan)
	if err != nil {
		return driver.Preview{}, fmt.Errorf("preview target %s: %w", d.target, err)
	}
	return p, nil
}

func (d *Driver) preview(ctx context.Context, plan driver.Plan) (driver.Preview, error) {
	if err := check(plan); err != nil {
		return driver.Preview{}, err
	}
	if err := d.tool.check(ctx); err != nil {
		return driver.Preview{}, err
	}
	record, err := d.store.Load(ctx)
	if err != nil {
		return driver.Preview{}, err
	}
	back, err := d.dryRun(ctx, plan)
	if err != nil {
		return driver.Preview{}, err
	}
	before := record.Carries
	switch {
	case record.Pending:
		before = "unknown"
	case before == "":
		before = "nothing"
	}
	p := driver.Preview{
		Summary:       fmt.Sprintf("%s -> %s by %s %s", before, plan.Artifact.Digest, d.tool.path, d.tool.version),
		RollbackReady: back.Possible, RollbackReason: back.Reason,
	}
	var detail strings.Builder
	fmt.Fprintf(&detail, "target:    %s\nfolder:    %s\nprogram:   %s, version %s\nstate:     %s\ncurrent:   %s\nnew:       %s\nversion:   %s\nartifact:  %s from %s\n",
		d.target, d.folder, d.tool.path, d.tool.version, d.where(), before, plan.Artifact.Digest, plan.Version, plan.Artifact.Name, plan.Artifact.Location)
	for _, name := range slices.Sorted(maps.Keys(d.config.GetVariables())) {
		fmt.Fprintf(&detail, "variable:  %s = %q\n", name, d.config.GetVariables()[name])
	}
	for _, entry := range d.config.GetProtect() {
		fmt.Fprintf(&detail, "protected: %s\n", entry)
	}
	fmt.Fprintf(&detail, "rollback:  %s\n", back.Reason)
	p.Detail = detail.String()
	return p, nil
}

// where is where the state is, for people.
func (d *Driver) where() string {
	b := d.config.GetBackend()
	if b == nil {
		return "in the folder"
	}
	var out strings.Builder
	out.WriteString(b.GetType())
	for _, name := range slices.Sorted(maps.Keys(b.GetSettings())) {
		fmt.Fprintf(&out, " %s=%q", name, b.GetSettings()[name])
	}
	return out.String()
}
