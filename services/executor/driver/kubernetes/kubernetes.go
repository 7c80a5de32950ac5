package kubernetes

import (
	"errors"
	"net/http"
	"time"

	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/driver/cluster"
)

const (
	// defaultTimeout is how long objects may take to become ready where the configuration is
	// silent.
	defaultTimeout = 5 * time.Minute
)

// Points are the places at which a crash leaves something different behind, in the order in
// which a call passes them.
var Points = []string{PointAdmitted, PointBegun, PointPartly, PointPlaced, PointReady, PointDone}

// The places, one by one.
const (
	PointAdmitted = "kubernetes.admitted"
	PointBegun    = "kubernetes.begun"
	PointPartly   = "kubernetes.partly"
	PointPlaced   = "kubernetes.placed"
	PointReady    = "kubernetes.ready"
	PointDone     = "kubernetes.done"
)

// Options are what a driver needs besides its configuration.
type Options struct {
	// Target is the target's id.
	Target string
	// At is called with each of Points as it is passed, for tests that crash there.
	At func(point string)
	// Wrap stands between the driver and the server, for tests that lose answers.
	Wrap func(http.RoundTripper) http.RoundTripper
}

// Driver makes one namespace carry what is released. It implements driver.Driver; Running, Probe and
// Seal are those of every target that lies in a namespace.
type Driver struct {
	*cluster.Namespace
	timeout   time.Duration
	tolerated cluster.Tolerated
	at        func(point string)
}

var _ driver.Driver = (*Driver)(nil)

// New checks the configuration and makes the driver; it reaches nobody. The error names every
// field at fault.
func New(c *configv1.KubernetesDriver, o Options) (*Driver, error) {
	namespace, err := cluster.New(o.Target, c.GetNamespace(), c.GetKubeconfigFile(), c.GetInstallation(), o.Wrap)
	if t := c.GetTimeout(); t != nil && (!t.IsValid() || t.AsDuration() <= 0) {
		err = errors.Join(err, errors.New("timeout: must be positive"))
	}
	if err != nil {
		return nil, err
	}
	d := &Driver{
		Namespace: namespace, timeout: c.GetTimeout().AsDuration(), at: o.At,
		tolerated: cluster.Tolerated{Managers: c.GetOtherManagers(), Workloads: !c.GetWholeNamespace()},
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
