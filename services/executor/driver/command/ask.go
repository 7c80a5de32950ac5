package command

import (
	"context"
	"errors"
	"fmt"

	"github.com/blackdice/shipwarden/internal/argv"
	"github.com/blackdice/shipwarden/services/executor/artifact"
	"github.com/blackdice/shipwarden/services/executor/driver"
)

// Diff implements driver.Driver: it runs the preview command.
func (d *Driver) Diff(ctx context.Context, plan driver.Plan) (driver.Diff, error) {
	if d.preview == nil {
		return driver.Diff{}, nil
	}
	if _, err := artifact.Hex(plan.Artifact.Digest); err != nil {
		return driver.Diff{}, fmt.Errorf("ask what would change on target %s: %w: %w", d.target, driver.ErrInvalid, err)
	}
	vector, err := d.expand(d.preview, plan, plan.Artifact.Digest, plan.Version)
	if err != nil {
		return driver.Diff{}, fmt.Errorf("ask what would change on target %s: %w", d.target, err)
	}
	out, why, err := d.ask(ctx, d.preview, vector)
	if err != nil {
		return driver.Diff{}, fmt.Errorf("ask what would change on target %s: %w", d.target, err)
	}
	return driver.Diff{Asked: true, Text: string(out.Text), Last: out.LastLine(), LeftOut: out.Total > argv.MaxOutput, Failed: why}, nil
}

// ask runs a command that is to look and to change nothing: without a marker, for it may be
// run as often as anybody likes, and no longer than this process lives. Why says in what it
// failed: it ended with another status than 0, not in time, or could not be started. An
// error means that ctx ended, so that nobody knows.
func (d *Driver) ask(ctx context.Context, c *argv.Command, vector []string) (out argv.Output, why string, err error) {
	if err := ctx.Err(); err != nil {
		return out, "", err
	}
	path, err := d.executable(c)
	if err != nil {
		return out, "argv[0]: " + err.Error(), nil //nolint:nilerr // It is the answer.
	}
	out, err = c.Run(ctx, argv.Run{Path: path, Argv: vector, Folder: "/", DieWithUs: true})
	switch {
	case ctx.Err() != nil:
		return out, "", context.Cause(ctx)
	case err == nil:
		return out, "", nil
	case errors.Is(err, argv.ErrExit) && out.LastLine() != "":
		return out, err.Error() + ": " + out.LastLine(), nil
	}
	return out, err.Error(), nil
}
