package command

import (
	"context"
	"fmt"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/artifact"
	"github.com/blackdice/shipwarden/services/executor/driver"
)

// DryRunRollback implements driver.Driver. The rollback command is not run: what it does
// nobody knows but the command. That it is configured, may be run, is a program, and can be
// given its arguments is what a look can show; more is known where a command is configured
// that tries the way back. Where it gets what it places from is its own affair, so that this
// has to be where the release took it from that placed it.
func (d *Driver) DryRunRollback(ctx context.Context, plan driver.Plan) (driver.DryRun, error) {
	out, _, err := d.dryRun(ctx, plan)
	if err != nil {
		return driver.DryRun{}, fmt.Errorf("dry run of the way back of target %s: %w", d.target, err)
	}
	return out, nil
}

// dryRun returns the argument vector as well; nil where the command cannot be run. An error
// means that ctx ended.
func (d *Driver) dryRun(ctx context.Context, plan driver.Plan) (driver.DryRun, []string, error) {
	if err := ctx.Err(); err != nil {
		return driver.DryRun{}, nil, err
	}
	out := driver.DryRun{Source: releasev1.RollbackProof_SOURCE_ORIGIN}
	not := func(format string, args ...any) (driver.DryRun, []string, error) {
		out.Reason = fmt.Sprintf(format, args...)
		return out, nil, nil
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
	steps := fmt.Sprintf("run:     %q\nwithin:  %s\n", expanded, d.rollback.Timeout())
	out.Reason = "a rollback command is configured; whether it works shows when it runs"
	if d.rehearse != nil {
		tried, err := d.expand(d.rehearse, plan, plan.Previous, plan.PreviousVersion)
		if err != nil {
			return not("the dry run of the rollback command cannot be run: %v", err)
		}
		said, why, err := d.ask(ctx, d.rehearse, tried)
		if err != nil {
			return driver.DryRun{}, nil, err
		}
		out.Output = string(said.Text)
		if why != "" {
			return not("the dry run of the rollback command says no: %s", why)
		}
		steps += fmt.Sprintf("tried:   %q\n", tried)
		out.Reason = "the dry run of the rollback command went through"
	}
	out.Possible, out.Steps = true, steps
	return out, expanded, nil
}
