package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"regexp"
	"sync"
	"time"

	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/driver"
)

const (
	// manager is who owns the fields that are applied.
	manager = "shipwarden"
	// defaultTimeout is how long objects may take to become ready where the configuration is
	// silent.
	defaultTimeout = 5 * time.Minute
	// keepReleases is how many sets of manifests are kept for the way back.
	keepReleases = 10
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

// label is what a name of a target and of a namespace is made of (RFC 1123).
var label = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// Options are what a driver needs besides its configuration.
type Options struct {
	// Target is the target's id.
	Target string
	// At is called with each of Points as it is passed, for tests that crash there.
	At func(point string)
	// Wrap stands between the driver and the server, for tests that lose answers.
	Wrap func(http.RoundTripper) http.RoundTripper
}

// Driver makes one namespace carry what is released. It implements driver.Driver.
type Driver struct {
	target     string
	namespace  string
	kubeconfig string
	timeout    time.Duration
	at         func(point string)
	wrap       func(http.RoundTripper) http.RoundTripper

	mu    sync.Mutex
	known *cluster
	seen  [32]byte
}

var _ driver.Driver = (*Driver)(nil)

// New checks the configuration and makes the driver; it reaches nobody. The error names every
// field at fault.
func New(c *configv1.KubernetesDriver, o Options) (*Driver, error) {
	var problems []error
	if !filepath.IsAbs(c.GetKubeconfigFile()) {
		problems = append(problems, errors.New("kubeconfig_file: must be an absolute path"))
	}
	if !label.MatchString(c.GetNamespace()) {
		problems = append(problems, fmt.Errorf("namespace: %q is no name of a namespace", c.GetNamespace()))
	}
	if !label.MatchString(o.Target) || len(o.Target) > 63 {
		problems = append(problems, fmt.Errorf("target: %q is no name of an object of Kubernetes", o.Target))
	}
	if t := c.GetTimeout(); t != nil && (!t.IsValid() || t.AsDuration() <= 0) {
		problems = append(problems, errors.New("timeout: must be positive"))
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	d := &Driver{
		target: o.Target, namespace: c.GetNamespace(), kubeconfig: c.GetKubeconfigFile(), timeout: c.GetTimeout().AsDuration(),
		at: o.At, wrap: o.Wrap,
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

// Running implements driver.Driver: what the newest complete change placed. While a change is
// pending nobody can tell.
func (d *Driver) Running(ctx context.Context) (string, error) {
	r, err := d.look(ctx)
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
	r, err := d.look(ctx)
	if err != nil {
		return driver.StatusUnknown, fmt.Errorf("probe target %s: %w", d.target, err)
	}
	return r.Status(key), nil
}

// look reads the record.
func (d *Driver) look(ctx context.Context) (record, error) {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	c, err := d.open()
	if err != nil {
		return record{}, err
	}
	return d.load(ctx, c)
}
