package gitops

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/driver/cluster"
	"github.com/blackdice/shipwarden/services/executor/driver/gitops/delivery"
	"github.com/blackdice/shipwarden/services/executor/driver/gitrepo"
)

const (
	// defaultTimeout is how long a commit may take to become healthy where the configuration is
	// silent, and defaultFailed how long it must be said to have failed.
	defaultTimeout = 10 * time.Minute
	defaultFailed  = 15 * time.Second
)

// Points are the places at which a crash leaves something different behind, or might, in the order
// in which Apply and Rollback pass them.
var Points = []string{PointRead, PointAdmitted, PointPushed, PointHealthy}

// The places, one by one.
const (
	PointRead     = "gitops.read"
	PointAdmitted = "gitops.admitted"
	PointPushed   = "gitops.pushed"
	PointHealthy  = "gitops.healthy"
)

// Options are what a driver needs besides its configuration.
type Options struct {
	// Target is the target's id.
	Target string
	// Now tells the time that commits have. Absent: time.Now.
	Now func() time.Time
	// At is called with each of Points as it is passed, for tests that crash there.
	At func(point string)
	// Wrap stands between the driver and the API server, for tests that lose answers.
	Wrap func(http.RoundTripper) http.RoundTripper
}

// Driver commits to one folder of a repository. It implements driver.Driver and io.Closer.
type Driver struct {
	target       string
	installation string
	repo         *gitrepo.Repo
	path         string
	resource     *delivery.Resource
	timeout      time.Duration
	failedFor    time.Duration
	ask          bool
	now          func() time.Time
	at           func(point string)

	mu   sync.Mutex
	seen sight
}

var _ driver.Driver = (*Driver)(nil)

// New checks the configuration, reads the files that it names, and makes the driver; it reaches
// nobody. The error names every field at fault.
func New(c *configv1.GitopsDriver, o Options) (*Driver, error) {
	d := &Driver{
		target: o.Target, installation: c.GetInstallation(), path: c.GetPath(), timeout: defaultTimeout, failedFor: defaultFailed,
		ask: c.GetAsk(), now: o.Now, at: o.At,
	}
	var problems []error
	var err error
	if d.repo, err = gitrepo.New(c.GetRepository(), gitrepo.Options{Now: o.Now}); err != nil {
		problems = append(problems, driver.InField("repository", err))
	}
	if err := gitrepo.CheckPath(c.GetPath()); err != nil {
		problems = append(problems, fmt.Errorf("path: %w", err))
	}
	namespace, err := cluster.New(o.Target, c.GetNamespace(), c.GetKubeconfigFile(), c.GetInstallation(), o.Wrap)
	if err != nil {
		problems = append(problems, err)
	}
	d.resource, err = delivery.New(namespace, c.GetResource(), delivery.Source{
		URLs: append([]string{c.GetRepository().GetUrl()}, c.GetKnownAs()...), Branch: c.GetRepository().GetBranch(), Path: c.GetPath(),
	})
	if err != nil {
		problems = append(problems, driver.InField("resource", err))
	}
	if t := c.GetTimeout(); t != nil {
		if d.timeout = t.AsDuration(); d.timeout <= 0 {
			problems = append(problems, errors.New("timeout: must be more than nothing"))
		}
	}
	if t := c.GetFailedFor(); t != nil {
		if d.failedFor = t.AsDuration(); d.failedFor <= 0 {
			problems = append(problems, errors.New("failed_for: must be more than nothing"))
		}
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	if d.now == nil {
		d.now = time.Now
	}
	if d.at == nil {
		d.at = func(string) {}
	}
	return d, nil
}

// Close lets go of connections to the repository.
func (d *Driver) Close() error { return d.repo.Close() }

// Place tells targets apart: two with the same place would take each other's files.
func (d *Driver) Place() string { return "folder " + d.path + " of " + d.repo.Place() }

// Has says whether the folder of another driver lies in this one's, of the same branch: each would
// take the other's files for somebody else's.
func (d *Driver) Has(other *Driver) bool {
	return d.repo.Place() == other.repo.Place() && strings.HasPrefix(other.path, d.path+"/")
}

// Class implements driver.Driver.
func (d *Driver) Class() releasev1.DriverClass {
	return releasev1.DriverClass_DRIVER_CLASS_FENCED
}

// wrong says of an error of the repository what it means for a driver.
func wrong(err error) error {
	switch {
	case errors.Is(err, gitrepo.ErrRefused), errors.Is(err, gitrepo.ErrNoBranch), errors.Is(err, gitrepo.ErrTooLarge),
		errors.Is(err, gitrepo.ErrTooOld), errors.Is(err, gitrepo.ErrInvalid):
		return fmt.Errorf("%w: %w", driver.ErrInvalid, err)
	}
	return err
}
