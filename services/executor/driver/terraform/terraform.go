package terraform

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"github.com/hashicorp/terraform-exec/tfexec"

	"github.com/blackdice/shipwarden/internal/argv"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/artifact"
	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/driver/fence"
)

const (
	// LedgerName is the name of the ledger in the target's folder.
	LedgerName = "ledger.jsonl"

	// Where the configuration is silent.
	defaultTimeout = 10 * time.Minute
	defaultGrace   = 30 * time.Second
	defaultPause   = 10 * time.Second
)

// Points are the places at which a crash leaves something different behind, in the order in
// which Apply passes them. Rollback passes all but PointKept.
var Points = []string{
	PointAdmitted, PointKept, PointPlanned, PointBegun, PointApplied, PointCounted, PointDone,
}

// The places, one by one.
const (
	PointAdmitted = "terraform.admitted"
	PointKept     = "terraform.kept"
	PointPlanned  = "terraform.planned"
	PointBegun    = "terraform.begun"
	PointApplied  = "terraform.applied"
	PointCounted  = "terraform.counted"
	PointDone     = "terraform.done"
)

// Options are what a driver needs besides its configuration.
type Options struct {
	// Target is the target's id.
	Target string
	// Now tells the time for the ledger. Absent: time.Now.
	Now func() time.Time
	// At is called with each of Points as it is passed, for tests that crash there.
	At func(point string)
	// LockWait is how long a lock of the state is waited for. Absent: 10 s.
	LockWait time.Duration
}

// Driver applies one configuration. It implements driver.Driver.
type Driver struct {
	target  string
	folder  string
	config  *configv1.TerraformDriver
	protect []guard
	exempt  []exempt
	tool    *tool
	timeout time.Duration
	look    time.Duration
	grace   time.Duration
	wait    time.Duration
	store   fence.File
	now     func() time.Time
	at      func(point string)
}

var _ driver.Driver = (*Driver)(nil)

// own are the variables that the driver sets by itself.
var own = regexp.MustCompile(`^(TF_CLI_CONFIG_FILE|TERRAFORM_CONFIG|TF_DATA_DIR|TF_PLUGIN_CACHE_.*|TF_STATE_.*|TF_ENCRYPTION|SHIPWARDEN_.*)$`)

// New checks the configuration and makes the driver; it neither touches the folder nor runs
// the program. The error names every field at fault.
func New(c *configv1.TerraformDriver, o Options) (*Driver, error) {
	var problems []error
	refuse := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	for name, path := range map[string]string{"folder": c.GetFolder(), "binary": c.GetBinary(), "provider_folder": c.GetProviderFolder()} {
		if name == "provider_folder" && path == "" {
			continue
		}
		if !filepath.IsAbs(path) || filepath.Clean(path) != path || path == "/" {
			refuse("%s: must be a clean absolute path, and not the root", name)
		}
	}
	if c.GetVersion() == "" {
		refuse("version: required")
	}
	problems = append(problems, environment(c)...)
	protect, err := guards(c.GetProtect())
	problems = append(problems, err)
	exempt, err := exempts(c.GetLook().GetLeaveOut())
	problems = append(problems, err)
	for name, value := range map[string]time.Duration{
		"timeout": c.GetTimeout().AsDuration(), "grace": c.GetGrace().AsDuration(), "look.timeout": c.GetLook().GetTimeout().AsDuration(),
	} {
		if value < 0 {
			refuse("%s: must be more than nothing", name)
		}
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	d := &Driver{
		target: o.Target, folder: c.GetFolder(), config: c, protect: protect, exempt: exempt,
		tool:    &tool{path: c.GetBinary(), version: c.GetVersion()},
		timeout: c.GetTimeout().AsDuration(), grace: c.GetGrace().AsDuration(), wait: o.LockWait, look: c.GetLook().GetTimeout().AsDuration(),
		store: fence.File{Folder: c.GetFolder()}, now: o.Now, at: o.At,
	}
	for value, otherwise := range map[*time.Duration]time.Duration{&d.timeout: defaultTimeout, &d.grace: defaultGrace, &d.wait: defaultPause, &d.look: defaultLook} {
		if *value == 0 {
			*value = otherwise
		}
	}
	if d.now == nil {
		d.now = time.Now
	}
	if d.at == nil {
		d.at = func(string) {}
	}
	return d, nil
}

// environment names the variables that must not be set.
func environment(c *configv1.TerraformDriver) []error {
	var problems []error
	look := func(field, name, value string) {
		err := argv.CheckEnv(name, value)
		if err == nil && (own.MatchString(name) || len(tfexec.ProhibitedEnv(map[string]string{name: value})) > 0) {
			err = errors.New("refused: it is set by the driver, or changes what was approved")
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", field, err))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.GetEnv())) {
		look("env["+name+"]", name, c.GetEnv()[name])
	}
	for list, credentials := range map[string][]*configv1.TerraformCredential{"plan_credentials": c.GetPlanCredentials(), "apply_credentials": c.GetApplyCredentials()} {
		for i, credential := range credentials {
			look(fmt.Sprintf("%s[%d].env", list, i), credential.GetEnv(), "")
			if !filepath.IsAbs(credential.GetFile()) {
				problems = append(problems, fmt.Errorf("%s[%d].file: must be an absolute path", list, i))
			}
		}
	}
	return problems
}

// Class implements driver.Driver: the fence lies beside the state, or it does not.
func (d *Driver) Class() releasev1.DriverClass {
	if d.config.GetBackend() != nil {
		return releasev1.DriverClass_DRIVER_CLASS_PROBEABLE
	}
	return releasev1.DriverClass_DRIVER_CLASS_FENCED
}

// Running implements driver.Driver: what the newest complete change placed. While a change is
// pending nobody can tell.
func (d *Driver) Running(ctx context.Context) (string, error) {
	r, err := d.store.Load(ctx)
	if err != nil {
		return "", fmt.Errorf("ask what target %s carries: %w", d.target, err)
	}
	if r.Pending {
		return "", fmt.Errorf("target %s: %s has begun and is not complete: %w", d.target, r.Key, driver.ErrUnknown)
	}
	return r.Carries, nil
}

// Probe implements driver.Driver.
func (d *Driver) Probe(ctx context.Context, key driver.Key) (driver.Status, error) {
	if err := key.Validate(); err != nil {
		return driver.StatusUnknown, err
	}
	r, err := d.store.Load(ctx)
	if err != nil {
		return driver.StatusUnknown, fmt.Errorf("probe target %s: %w", d.target, err)
	}
	return r.Status(key), nil
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

// check refuses what this driver cannot place.
func check(plan driver.Plan) error {
	a := plan.Artifact
	if _, err := artifact.Hex(a.Digest); err != nil {
		return fmt.Errorf("artifact %s: %w: %w", a.Name, driver.ErrInvalid, err)
	}
	switch a.Kind {
	case releasev1.ArtifactKind_ARTIFACT_KIND_TERRAFORM_MODULE, releasev1.ArtifactKind_ARTIFACT_KIND_ARCHIVE:
	default:
		return fmt.Errorf("artifact %s: kind %s, Terraform takes modules and archives: %w", a.Name, a.Kind, driver.ErrUnsupported)
	}
	if !a.IsArchive() {
		return fmt.Errorf("artifact %s: its location %s does not end with .tar.gz or .tgz: %w", a.Name, a.Location, driver.ErrUnsupported)
	}
	return nil
}
