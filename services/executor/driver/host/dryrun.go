package host

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/driver"
)

// mayWrite asks access(2) whether this process may change a folder.
const mayWrite = 2

// DryRunRollback implements driver.Driver: the release of the way back is on the machine
// and every byte of it is what was placed, the folder can be changed, and the restart is
// a program that can be run. What current points to is no question of it: a Rollback that
// finds something else there refuses, and says so.
func (d *Driver) DryRunRollback(ctx context.Context, plan driver.Plan) (driver.DryRun, error) {
	if err := ctx.Err(); err != nil {
		return driver.DryRun{}, fmt.Errorf("dry run of the way back of target %s: %w", d.target, err)
	}
	return d.dryRun(plan), nil
}

func (d *Driver) dryRun(plan driver.Plan) driver.DryRun {
	out := driver.DryRun{Source: releasev1.RollbackProof_SOURCE_TARGET}
	not := func(format string, args ...any) driver.DryRun {
		out.Reason = fmt.Sprintf(format, args...)
		return out
	}
	if plan.Previous == "" {
		return not("nothing was placed before: there is no release to go back to")
	}
	if err := d.intact(plan.Previous); err != nil {
		return not("%s cannot be placed again: %v", plan.Previous, err)
	}
	if err := syscall.Access(d.folder, mayWrite); err != nil {
		return not("%s is on the machine, and current cannot be changed to it: %v", plan.Previous, err)
	}
	argv, err := d.restart.Expand(d.values(plan.Previous, plan.PreviousVersion), nil)
	if err == nil {
		err = runnable(argv[0])
	}
	if err != nil {
		return not("%s is on the machine, and it cannot be restarted: %v", plan.Previous, err)
	}
	out.Possible = true
	out.Steps = fmt.Sprintf("switch:  %s -> releases/%s\nversion: %s\nrestart: %q\n",
		filepath.Join(d.folder, "current"), strings.TrimPrefix(plan.Previous, "sha256:"), plan.PreviousVersion, argv)
	out.Reason = fmt.Sprintf("%s is on the machine and intact", plan.Previous)
	return out
}

// runnable says why a program cannot be run; nil where it can, as far as a look can tell.
func runnable(path string) error {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return err
	case !info.Mode().IsRegular() || info.Mode()&0o111 == 0:
		return fmt.Errorf("%s is not an executable file", path)
	}
	return nil
}
