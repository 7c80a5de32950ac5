package host

import (
	"context"
	"fmt"
	"strings"

	"github.com/blackdice/shipwarden/services/executor/driver"
)

// Diff implements driver.Driver: what would change, the preview says by itself.
func (d *Driver) Diff(context.Context, driver.Plan) (driver.Diff, error) { return driver.Diff{}, nil }

// Preview implements driver.Driver (PD-3.5): current and new digest, what would be
// restarted, and whether the release of the way back is there and intact.
func (d *Driver) Preview(_ context.Context, plan driver.Plan) (driver.Preview, error) {
	p, err := d.preview(plan)
	if err != nil {
		return driver.Preview{}, fmt.Errorf("preview target %s: %w", d.target, err)
	}
	return p, nil
}

func (d *Driver) preview(plan driver.Plan) (driver.Preview, error) {
	if err := check(plan); err != nil {
		return driver.Preview{}, err
	}
	current, err := d.current()
	if err != nil {
		return driver.Preview{}, err
	}
	argv, err := d.restart.Expand(d.values(plan.Artifact.Digest, plan.Version), nil)
	if err != nil {
		return driver.Preview{}, fmt.Errorf("restart: %w: %w", driver.ErrInvalid, err)
	}
	var p driver.Preview
	before := current
	if current == "" {
		before = "nothing"
	}
	back := d.dryRun(plan)
	p.RollbackReady, p.RollbackReason = back.Possible, back.Reason
	p.Summary = fmt.Sprintf("%s -> %s, restart", before, plan.Artifact.Digest)
	if current == plan.Artifact.Digest {
		p.Summary = fmt.Sprintf("carries %s already, restart", current)
	}
	kind := "one file"
	if plan.Artifact.IsArchive() {
		kind = "an archive"
	}
	var detail strings.Builder
	fmt.Fprintf(&detail, "target:   %s\nfolder:   %s\ncurrent:  %s\nnew:      %s\nversion:  %s\nartifact: %s from %s, %s\nrestart:  %q\nrollback: %s\n",
		d.target, d.folder, before, plan.Artifact.Digest, plan.Version, plan.Artifact.Name, plan.Artifact.Location, kind, argv, p.RollbackReason)
	p.Detail = detail.String()
	return p, nil
}
