package terraform

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/driver/fence"
)

// erroredName is what Terraform calls a state that it could not write where it belongs: in the
// folder that it runs in, and in the target's folder, where it stays until people push it.
const erroredName = "errored.tfstate"

// errUnwritten says that something was done that the state knows nothing of.
var errUnwritten = errors.New("the state could not be written where it belongs")

func (d *Driver) errored() string { return filepath.Join(d.folder, erroredName) }

// written refuses a run while there is a state that was not written: whatever is planned
// against the one before would be made a second time, and there would be nothing left to tell
// which of the two is which.
func (d *Driver) written() error {
	switch _, err := os.Lstat(d.errored()); {
	case err == nil:
		return fmt.Errorf("%w: push %s to it by hand, and remove the file: %w", errUnwritten, d.errored(), driver.ErrConflict)
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("look for %s: %w", erroredName, err)
	}
	return nil
}

// rescue takes such a state out of the folder of a run that has failed, before that is removed.
func (r *run) rescue(failed error) error {
	err := os.Rename(filepath.Join(r.inner, erroredName), r.errored())
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return failed
	case err == nil:
		err = errors.Join(os.Chmod(r.errored(), 0o600), fence.SyncFolder(r.folder))
	}
	if err != nil {
		return fmt.Errorf("%w; keep %s: %w", failed, erroredName, err)
	}
	return fmt.Errorf("%w; %w", failed, r.written())
}
