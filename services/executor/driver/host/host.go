package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/blackdice/shipwarden/internal/argv"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/artifact"
	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/driver/fence"
)

// LedgerName is the name of the ledger in the target's folder.
const LedgerName = "ledger.jsonl"

// defaultKeep is how many releases are kept where the configuration is silent.
const defaultKeep = 5

// Points are the places at which a crash leaves something different behind, in
// the order in which Apply passes them. Rollback passes all but PointStaged.
var Points = []string{
	PointAdmitted, PointStaged, PointPending, PointSwitched, PointCounted, PointRestarted, PointDone,
}

// The places, one by one.
const (
	PointAdmitted  = "host.admitted"
	PointStaged    = "host.staged"
	PointPending   = "host.pending"
	PointSwitched  = "host.switched"
	PointCounted   = "host.counted"
	PointRestarted = "host.restarted"
	PointDone      = "host.done"
)

// Options are what a driver needs besides its configuration.
type Options struct {
	// Target is the target's id, for the ledger.
	Target string
	// Now tells the time for the ledger. Absent: time.Now.
	Now func() time.Time
	// At is called with each of Points as it is passed, for tests that crash there.
	At func(point string)
}

// Driver places one application on this machine. It implements driver.Driver.
type Driver struct {
	target  string
	folder  string
	restart *argv.Command
	keep    int
	store   fence.File
	now     func() time.Time
	at      func(point string)
}

var _ driver.Driver = (*Driver)(nil)

// New checks the configuration and makes the driver; it does not touch the
// folder. The error names every field at fault.
func New(c *configv1.HostDriver, o Options) (*Driver, error) {
	var problems []error
	folder := c.GetFolder()
	if !filepath.IsAbs(folder) || filepath.Clean(folder) != folder || folder == "/" {
		problems = append(problems, errors.New("folder: must be a clean absolute path, and not the root"))
	}
	restart, err := argv.New(c.GetRestart(), []string{"current", "digest", "version", "folder"}, []string{"current", "folder"})
	if err != nil {
		problems = append(problems, driver.InField("restart", err))
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	d := &Driver{
		target: o.Target, folder: folder, restart: restart, keep: int(c.GetKeep()),
		store: fence.File{Folder: folder}, now: o.Now, at: o.At,
	}
	if d.keep == 0 {
		d.keep = defaultKeep
	}
	if d.now == nil {
		d.now = time.Now
	}
	if d.at == nil {
		d.at = func(string) {}
	}
	return d, nil
}

// Class implements driver.Driver.
func (d *Driver) Class() releasev1.DriverClass {
	return releasev1.DriverClass_DRIVER_CLASS_FENCED
}

// Running implements driver.Driver: the digest that current points to.
func (d *Driver) Running(context.Context) (string, error) { return d.current() }

// Probe implements driver.Driver.
func (d *Driver) Probe(ctx context.Context, key driver.Key) (driver.Status, error) {
	if err := key.Validate(); err != nil {
		return driver.StatusUnknown, err
	}
	record, err := d.store.Load(ctx)
	if err != nil {
		return driver.StatusUnknown, fmt.Errorf("probe target %s: %w", d.target, err)
	}
	return record.Status(key), nil
}

// Seal implements driver.Driver.
func (d *Driver) Seal(ctx context.Context, key driver.Key, f driver.Fence) (driver.Status, error) {
	status, err := fence.Seal(ctx, d.store, key, f)
	if err != nil {
		return status, fmt.Errorf("seal %s on target %s: %w", key, d.target, err)
	}
	return status, nil
}

// Ledger is the path of the target's ledger.
func (d *Driver) Ledger() string { return filepath.Join(d.folder, LedgerName) }

func (d *Driver) releases() string { return filepath.Join(d.folder, "releases") }

// place is the folder of a release, and manifest the file that tells what is in
// it. hex has been checked.
func (d *Driver) place(hex string) string    { return filepath.Join(d.releases(), hex) }
func (d *Driver) manifest(hex string) string { return d.place(hex) + ".json" }

// current is the digest that current points to; "" where there is none.
func (d *Driver) current() (string, error) {
	link, err := os.Readlink(filepath.Join(d.folder, "current"))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read current of target %s: %w", d.target, err)
	}
	digest := "sha256:" + filepath.Base(link)
	if _, err := artifact.Hex(digest); err != nil || filepath.Dir(link) != "releases" {
		return "", fmt.Errorf("read current of target %s: it points to %q, which is no release: %w", d.target, link, driver.ErrConflict)
	}
	return digest, nil
}

// check refuses what this driver cannot place.
func check(plan driver.Plan) error {
	if !takes(plan.Artifact) {
		return fmt.Errorf("artifact %s: kind %s, a host takes files, tar.gz archives and configuration documents: %w",
			plan.Artifact.Name, plan.Artifact.Kind, driver.ErrUnsupported)
	}
	if name := plan.Artifact.Name; name == "" || name == ".." || strings.ContainsAny(name, "/\\\x00") || !filepath.IsLocal(name) {
		return fmt.Errorf("artifact name %q: %w", name, driver.ErrInvalid)
	}
	if _, err := artifact.Hex(plan.Artifact.Digest); err != nil {
		return fmt.Errorf("artifact %s: %w: %w", plan.Artifact.Name, driver.ErrInvalid, err)
	}
	return nil
}

// takes reports whether the artifact is a file, or an archive that this driver unpacks.
func takes(a artifact.Artifact) bool {
	switch a.Kind { //nolint:exhaustive // The kinds that are placed as they are.
	case releasev1.ArtifactKind_ARTIFACT_KIND_FILE, releasev1.ArtifactKind_ARTIFACT_KIND_CONFIGURATION:
		return true
	case releasev1.ArtifactKind_ARTIFACT_KIND_ARCHIVE:
		return a.IsArchive()
	}
	return false
}

// values are what the placeholders of the restart stand for.
func (d *Driver) values(digest, version string) map[string]string {
	return map[string]string{
		"current": d.place(strings.TrimPrefix(digest, "sha256:")),
		"digest":  digest,
		"version": version,
		"folder":  d.folder,
	}
}
