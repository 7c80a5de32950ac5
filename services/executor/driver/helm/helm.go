package helm

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"helm.sh/helm/v4/pkg/kube"

	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/driver/cluster"
	"github.com/blackdice/shipwarden/services/executor/driver/helm/apart"
)

const (
	// defaultTimeout is how long a release may take where the configuration is silent.
	defaultTimeout = 5 * time.Minute
	// maxHistory is how many revisions Helm keeps.
	maxHistory = 10
	// maxName is the longest name that Helm takes for a release.
	maxName = 53
)

// Points are the places at which a crash leaves something different behind, in the order in
// which a call passes them.
var Points = []string{PointAdmitted, PointBegun, PointPending, PointPartly, PointDeployed, PointDone}

// The places, one by one.
const (
	PointAdmitted = "helm.admitted"
	PointBegun    = "helm.begun"
	// PointPending is where Helm's history has the revision, and nothing else is changed.
	PointPending = "helm.pending"
	// PointPartly is where the first object has been written.
	PointPartly = "helm.partly"
	// PointDeployed is where Helm is through, and the record does not say so.
	PointDeployed = "helm.deployed"
	PointDone     = "helm.done"
)

// By default the name of the program is who owns fields: another name of it would be another owner.
func init() { kube.ManagedFieldsManager = cluster.Manager }

// Options are what a driver needs besides its configuration.
type Options struct {
	// Target is the target's id.
	Target string
	// At is called with each of Points as it is passed, for tests that crash there.
	At func(point string)
	// Wrap stands between the driver and the server, for tests that lose answers.
	Wrap func(http.RoundTripper) http.RoundTripper
	// Limits are what a chart may take; apart.Default where there are none.
	Limits apart.Limits
}

// Driver makes one release of Helm carry what is released. It implements driver.Driver; Running, Probe
// and Seal are those of every target that lies in a namespace.
type Driver struct {
	*cluster.Namespace
	release   string
	values    values
	timeout   time.Duration
	tolerated cluster.Tolerated
	at        func(point string)
	limits    apart.Limits
	// lookups are the Secrets that charts may look up.
	lookups []string
}

var _ driver.Driver = (*Driver)(nil)

// New checks the configuration and makes the driver; it reaches nobody. The error names every
// field at fault.
func New(c *configv1.HelmDriver, o Options) (*Driver, error) {
	namespace, err := cluster.New(o.Target, c.GetNamespace(), c.GetKubeconfigFile(), c.GetInstallation(), o.Wrap)
	problems := []error{err}
	if t := c.GetTimeout(); t != nil && (!t.IsValid() || t.AsDuration() <= 0) {
		problems = append(problems, errors.New("timeout: must be positive"))
	}
	release := c.GetRelease()
	if release == "" {
		release = o.Target
	}
	if !releaseName.MatchString(release) || len(release) > maxName {
		problems = append(problems, fmt.Errorf("release: %q is no name of a release, of at most %d letters", release, maxName))
	}
	v, err := configuredValues(c)
	if err := errors.Join(append(problems, err)...); err != nil {
		return nil, err
	}
	d := &Driver{
		Namespace: namespace, release: release, values: v, timeout: c.GetTimeout().AsDuration(), at: o.At,
		tolerated: cluster.Tolerated{Managers: c.GetOtherManagers(), Workloads: true},
		limits:    o.Limits, lookups: c.GetLookupSecrets(),
	}
	if d.limits == (apart.Limits{}) {
		d.limits = apart.Default
	}
	if d.timeout == 0 {
		d.timeout = defaultTimeout
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

// Place is what no two targets may have for their own.
func (d *Driver) Place() string { return fmt.Sprintf("release %s of namespace %s", d.release, d.Name) }

// Apply implements driver.Driver.
func (d *Driver) Apply(ctx context.Context, key driver.Key, f driver.Fence, plan driver.Plan) (driver.Result, error) {
	result, err := d.apply(ctx, key, f, plan)
	if err != nil {
		return result, fmt.Errorf("apply to target %s: %w", d.Target, cluster.Told(err))
	}
	return result, nil
}

// Rollback implements driver.Driver.
func (d *Driver) Rollback(ctx context.Context, key driver.Key, f driver.Fence, plan driver.Plan) (driver.Result, error) {
	result, err := d.rollback(ctx, key, f, plan)
	if err != nil {
		return result, fmt.Errorf("roll back target %s: %w", d.Target, cluster.Told(err))
	}
	return result, nil
}
