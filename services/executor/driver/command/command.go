package command

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/blackdice/shipwarden/internal/argv"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/artifact"
	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/driver/fence"
)

// The places at which a crash leaves something different behind.
const (
	PointAdmitted = "command.admitted"
	PointTicket   = "command.ticket"
	PointStarted  = "command.started"
	PointRan      = "command.ran"
	PointEnded    = "command.ended"
)

// Points are all places, in order.
var Points = []string{PointAdmitted, PointTicket, PointStarted, PointRan, PointEnded}

// Options are what a driver needs besides its configuration.
type Options struct {
	// Target is the target's id.
	Target string
	// Now tells the time for the markers. Absent: time.Now.
	Now func() time.Time
	// At is called with each of Points as it is passed, for tests that crash there.
	At func(point string)
}

// Driver runs commands. It implements driver.Driver.
type Driver struct {
	target   string
	folder   string
	deploy   *argv.Command
	rollback *argv.Command // nil: no way back
	preview  *argv.Command // nil: nobody is asked what would change
	rehearse *argv.Command // the dry run of the way back; nil: none
	allow    []string
	store    fence.File
	now      func() time.Time
	at       func(point string)
}

var _ driver.Driver = (*Driver)(nil)

// placeholders are what argument vectors may have. {digest} and {version} are of
// what the target is to carry: of a rollback, those of before.
var placeholders = []string{"target", "digest", "version", "name", "location", "param"}

// New checks the configuration and makes the driver; it does not touch the marker
// folder. The error names every field at fault.
func New(c *configv1.CommandDriver, o Options) (*Driver, error) {
	d := &Driver{
		target: o.Target, folder: c.GetMarkerFolder(), allow: c.GetAllow(),
		store: fence.File{Folder: c.GetMarkerFolder()}, now: o.Now, at: o.At,
	}
	var problems []error
	if !filepath.IsAbs(d.folder) || filepath.Clean(d.folder) != d.folder || d.folder == "/" {
		problems = append(problems, errors.New("marker_folder: must be a clean absolute path, and not the root"))
	}
	if len(d.allow) == 0 {
		problems = append(problems, errors.New("allow: required"))
	}
	for i, path := range d.allow {
		if !filepath.IsAbs(path) || filepath.Clean(path) != path {
			problems = append(problems, fmt.Errorf("allow[%d]: must be a clean absolute path", i))
		}
	}
	var err error
	if d.deploy, err = d.command(c.GetDeploy()); err != nil {
		problems = append(problems, driver.InField("deploy", err))
	}
	if c.GetRollback() != nil {
		if d.rollback, err = d.command(c.GetRollback()); err != nil {
			problems = append(problems, driver.InField("rollback", err))
		}
	}
	if c.GetPreview() != nil {
		if d.preview, err = d.command(c.GetPreview()); err != nil {
			problems = append(problems, driver.InField("preview", err))
		}
	}
	if c.GetRollbackDryRun() != nil {
		if d.rehearse, err = d.command(c.GetRollbackDryRun()); err != nil {
			problems = append(problems, driver.InField("rollback_dry_run", err))
		}
		if c.GetRollback() == nil {
			problems = append(problems, errors.New("rollback_dry_run: there is no rollback whose dry run it could be"))
		}
	}
	if d.now == nil {
		d.now = time.Now
	}
	if d.at == nil {
		d.at = func(string) {}
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	return d, nil
}

func (d *Driver) command(c *configv1.Command) (*argv.Command, error) {
	command, err := argv.New(c, placeholders, nil)
	if err != nil {
		return nil, err
	}
	if _, err := d.executable(command); err != nil {
		return nil, fmt.Errorf("argv[0]: %w", err)
	}
	return command, nil
}

// executable is the file that is run: the configured path after all its links,
// which must be one of the allowed files after all theirs.
func (d *Driver) executable(c *argv.Command) (string, error) {
	path, err := filepath.EvalSymlinks(c.Path())
	if err != nil {
		return "", err
	}
	allowed := slices.ContainsFunc(d.allow, func(a string) bool {
		resolved, err := filepath.EvalSymlinks(a)
		return err == nil && resolved == path
	})
	if !allowed {
		return "", fmt.Errorf("%s leads to %s, which is not allowed", c.Path(), path)
	}
	return path, argv.CheckExecutable(path)
}

// Class implements driver.Driver.
func (d *Driver) Class() releasev1.DriverClass {
	return releasev1.DriverClass_DRIVER_CLASS_OPAQUE
}

// Running implements driver.Driver: what the newest command that ended well was
// told to place. ErrUnknown while a later one did not.
func (d *Driver) Running(ctx context.Context) (string, error) {
	record, err := d.store.Load(ctx)
	open := notStarted
	if err == nil {
		open, err = d.open(record)
	}
	if err != nil {
		return "", fmt.Errorf("look at target %s: %w", d.target, err)
	}
	if record.Pending || open >= started {
		return "", fmt.Errorf("look at target %s: %s did not end well: %w", d.target, record.Key, driver.ErrUnknown)
	}
	return record.Carries, nil
}

// Probe implements driver.Driver: what the markers say.
func (d *Driver) Probe(_ context.Context, key driver.Key) (driver.Status, error) {
	if err := key.Validate(); err != nil {
		return driver.StatusUnknown, err
	}
	m := d.marker(key)
	end, found, err := m.readEnd()
	switch {
	case err != nil:
		return driver.StatusUnknown, fmt.Errorf("probe target %s: %w", d.target, err)
	case found:
		return end.Status.probe(), nil
	}
	how, err := m.progress()
	if err != nil {
		return driver.StatusUnknown, fmt.Errorf("probe target %s: %w", d.target, err)
	}
	return how.probe(), nil
}

// Seal implements driver.Driver. It takes no lock of the target, for whoever holds
// that may be asleep: the marker of a start that never was, put where only one can
// be, keeps the command from being begun, and where it was begun, the ticket that is
// gone keeps it from being executed.
func (d *Driver) Seal(_ context.Context, key driver.Key, f driver.Fence) (driver.Status, error) {
	if err := errors.Join(key.Validate(), f.Validate()); err != nil {
		return driver.StatusUnknown, err
	}
	m := d.marker(key)
	file, err := m.begin(start{Key: key, Fence: f, Target: d.target, Time: d.now().UTC(), Pid: os.Getpid(), Sealed: true})
	if err == nil {
		return driver.StatusNotStarted, file.Close()
	}
	var how progress
	if errors.Is(err, fs.ErrExist) {
		how, err = m.progress()
	}
	switch {
	case err != nil:
		return driver.StatusUnknown, fmt.Errorf("seal %s on target %s: %w", key, d.target, err)
	case how == sealed:
		return how.probe(), nil
	}
	if err := m.void(); err != nil {
		return driver.StatusUnknown, fmt.Errorf("seal %s on target %s: %w", key, d.target, err)
	}
	return d.Probe(context.Background(), key)
}

// Preview implements driver.Driver (PD-3.5). That a way back works cannot be
// shown without going it; the preview says so. What the change does only a command can
// say, which Diff asks.
func (d *Driver) Preview(ctx context.Context, plan driver.Plan) (driver.Preview, error) {
	fail := func(err error) (driver.Preview, error) {
		return driver.Preview{}, fmt.Errorf("preview target %s: %w", d.target, err)
	}
	if _, err := artifact.Hex(plan.Artifact.Digest); err != nil {
		return fail(fmt.Errorf("%w: %w", driver.ErrInvalid, err))
	}
	expanded, err := d.expand(d.deploy, plan, plan.Artifact.Digest, plan.Version)
	if err != nil {
		return fail(err)
	}
	record, err := d.store.Load(ctx)
	if err != nil {
		return fail(err)
	}
	before, p := record.Carries, driver.Preview{Bound: d.deploy.Timeout()}
	if d.rollback != nil {
		p.Bound = max(p.Bound, d.rollback.Timeout())
	}
	if open, err := d.open(record); before == "" || record.Pending || err != nil || open >= started {
		before = "unknown"
	}
	run, back, err := d.dryRun(ctx, plan)
	if err != nil {
		return fail(err)
	}
	p.RollbackReady, p.RollbackReason = run.Possible, run.Reason
	p.Summary = fmt.Sprintf("%s -> %s by command", before, plan.Artifact.Digest)
	p.Detail = fmt.Sprintf("target:   %s\ncurrent:  %s\nnew:      %s\nversion:  %s\ndeploy:   %q\nrollback: %q\n          %s\n",
		d.target, before, plan.Artifact.Digest, plan.Version, expanded, back, p.RollbackReason)
	return p, nil
}

func (d *Driver) expand(c *argv.Command, plan driver.Plan, digest, version string) ([]string, error) {
	expanded, err := c.Expand(map[string]string{
		"target": d.target, "digest": digest, "version": version,
		"name": plan.Artifact.Name, "location": plan.Artifact.Location,
	}, plan.Parameters)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", driver.ErrInvalid, err)
	}
	return expanded, nil
}
