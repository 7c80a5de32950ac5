package command

import (
	"context"
	"fmt"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/artifact"
	"github.com/blackdice/shipwarden/services/executor/driver"
)

// DryRunRollback implements driver.Driver. Nothing is run: what a command does nobody
// knows but the command. That it is configured, may be run, is a program, and can be given
// its arguments is what a look can show; where it gets what it places from is its own
// affair, so that this has to be where the release took it from that placed it.
func (d *Driver) DryRunRollback(ctx context.Context, plan driver.Plan) (driver.DryRun, error) {
	if err := ctx.Err(); err != nil {
		return driver.DryRun{}, fmt.Errorf("dry run of the way back of target %s: %w", d.target, err)
	}
	out, _ := d.dryRun(plan)
	return out, nil
}

// dryRun returns the argument vector as well; nil where the command cannot be run.
func (d *Driver) dryRun(plan driver.Plan) (driver.DryRun, []string) {
	out := driver.DryRun{Source: releasev1.RollbackProof_SOURCE_ORIGIN}
	not := func(format string, args ...any) (driver.DryRun, []string) {
		out.Reason = fmt.Sprintf(format, args...)
		return out, nil
	}
	switch {
	case d.rollback == nil:
		return not("no rollback command is configured")
	case plan.Previous == "":
		return not("nothing is known to have been placed before: there is no release to go back to")
	}
	const cannot = "the rollback command cannot be run: %v"
	if _, err := artifact.Hex(plan.Previous); err != nil {
		return not(cannot, err)
	}
	expanded, err := d.expand(d.rollback, plan, plan.Previous, plan.PreviousVersion)
	if err != nil {
		return not(cannot, err)
	}
	path, err := d.executable(d.rollback)
	if err == nil {
		_, _, err = binary(path, expanded)
	}
	if err != nil {
		return not(cannot, fmt.Errorf("argv[0]: %w", err))
	}
	out.Possible = true
	out.Steps = fmt.Sprintf("run:     %q\nwithin:  %s\n", expanded, d.rollback.Timeout())
	out.Reason = "a rollback command is configured; whether it works shows when it runs"
	return out, expanded
}
