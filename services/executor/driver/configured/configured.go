// Package configured makes the drivers of the executor's configuration.
package configured

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"time"

	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/driver/command"
	"github.com/blackdice/shipwarden/services/executor/driver/config"
	"github.com/blackdice/shipwarden/services/executor/driver/gitops"
	"github.com/blackdice/shipwarden/services/executor/driver/helm"
	"github.com/blackdice/shipwarden/services/executor/driver/host"
	"github.com/blackdice/shipwarden/services/executor/driver/kubernetes"
	"github.com/blackdice/shipwarden/services/executor/driver/noop"
	"github.com/blackdice/shipwarden/services/executor/driver/terraform"
)

// Options are what every driver is given besides its configuration.
type Options struct {
	// Now tells the time. Absent: time.Now.
	Now func() time.Time
	// At is called at every place at which a crash of a driver matters, with its
	// name (host.Points, command.Points, config.Points, kubernetes.Points, helm.Points,
	// terraform.Points, gitops.Points, noop.Points), for tests that crash there.
	At func(point string)
	// NoopFolder keeps the fences and ledgers of noop targets, each in a folder with
	// its id, so that several processes share them. Absent: each process for itself.
	NoopFolder string
}

// Close lets go of the connections that drivers hold.
func Close(drivers map[string]driver.Driver) {
	for _, d := range drivers {
		if c, ok := d.(io.Closer); ok {
			_ = c.Close()
		}
	}
}

// Drivers makes a driver for every target. It touches no target. The error names
// every field at fault, such as targets[1].host.restart.
func Drivers(targets []*configv1.TargetDriver, o Options) (map[string]driver.Driver, error) {
	drivers := make(map[string]driver.Driver, len(targets))
	places := make(map[string]string)
	var problems []error
	for i, t := range targets {
		field := fmt.Sprintf("targets[%d]", i)
		if t.GetTarget() == "" {
			problems = append(problems, fmt.Errorf("%s.target: required", field))
			continue
		}
		if drivers[t.GetTarget()] != nil {
			problems = append(problems, fmt.Errorf("%s.target: %s is there already", field, t.GetTarget()))
			continue
		}
		d, place, err := one(t, field, o)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		// Two targets in one place would take each other's fence for their own.
		if other := places[place]; place != "" && other != "" {
			problems = append(problems, fmt.Errorf("%s: %s is that of target %s", field, place, other))
			continue
		}
		if err := nested(d, field, drivers); err != nil {
			problems = append(problems, err)
			continue
		}
		places[place] = t.GetTarget()
		drivers[t.GetTarget()] = d
	}
	return drivers, errors.Join(problems...)
}

// nested refuses a folder of a repository that lies in another target's, or has it in it.
func nested(d driver.Driver, field string, drivers map[string]driver.Driver) error {
	folder, ok := d.(*gitops.Driver)
	if !ok {
		return nil
	}
	for _, target := range slices.Sorted(maps.Keys(drivers)) {
		other, ok := drivers[target].(*gitops.Driver)
		switch {
		case !ok:
		case folder.Has(other):
			return fmt.Errorf("%s: %s has that of target %s in it", field, folder.Place(), target)
		case other.Has(folder):
			return fmt.Errorf("%s: %s lies in that of target %s", field, folder.Place(), target)
		}
	}
	return nil
}

// one makes a driver, and says where the target keeps what must be its own.
func one(t *configv1.TargetDriver, field string, o Options) (d driver.Driver, place string, err error) {
	folder := ""
	switch {
	case t.GetHost() != nil:
		field, folder = field+".host", t.GetHost().GetFolder()
		d, err = host.New(t.GetHost(), host.Options{Target: t.GetTarget(), Now: o.Now, At: o.At})
	case t.GetCommand() != nil:
		field, folder = field+".command", t.GetCommand().GetMarkerFolder()
		d, err = command.New(t.GetCommand(), command.Options{Target: t.GetTarget(), Now: o.Now, At: o.At})
	case t.GetConfig() != nil:
		made, err := config.New(t.GetConfig(), config.Options{Target: t.GetTarget(), Now: o.Now, At: o.At})
		if err != nil {
			return nil, "", driver.InField(field+".config", err)
		}
		return made, made.Place(), nil
	case t.GetKubernetes() != nil:
		field = field + ".kubernetes"
		d, err = kubernetes.New(t.GetKubernetes(), kubernetes.Options{Target: t.GetTarget(), At: o.At})
	case t.GetTerraform() != nil:
		field, folder = field+".terraform", t.GetTerraform().GetFolder()
		d, err = terraform.New(t.GetTerraform(), terraform.Options{Target: t.GetTarget(), Now: o.Now, At: o.At})
	case t.GetHelm() != nil:
		made, err := helm.New(t.GetHelm(), helm.Options{Target: t.GetTarget(), At: o.At})
		if err != nil {
			return nil, "", driver.InField(field+".helm", err)
		}
		return made, made.Place(), nil
	case t.GetGitops() != nil:
		made, err := gitops.New(t.GetGitops(), gitops.Options{Target: t.GetTarget(), Now: o.Now, At: o.At})
		if err != nil {
			return nil, "", driver.InField(field+".gitops", err)
		}
		return made, made.Place(), nil
	case t.GetNoop() != nil:
		if o.NoopFolder != "" {
			folder = filepath.Join(o.NoopFolder, t.GetTarget())
		}
		d = noop.New(noop.Options{Target: t.GetTarget(), Folder: folder, Now: o.Now, At: o.At})
	default:
		return nil, "", fmt.Errorf("%s: a driver is required: host, command, config, kubernetes, helm, terraform, gitops or noop", field)
	}
	if folder != "" {
		place = "folder " + folder
	}
	return d, place, driver.InField(field, err)
}
