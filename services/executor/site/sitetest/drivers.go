package sitetest

import (
	"fmt"
	"path/filepath"

	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/driver/command"
	"github.com/blackdice/shipwarden/services/executor/driver/host"
	"github.com/blackdice/shipwarden/services/executor/driver/noop"
)

// Others makes the driver of a target that is none of the kinds Noop, Host and Command; nil where
// tests have no such target. Tests that have set it before any other runs: to link all drivers
// into every test of the executor takes longer than to run it.
var Others func(target *configv1.TargetDriver, at func(point string)) (driver.Driver, error)

// open makes the drivers of targets, as configured.Drivers does.
func open(targets []*configv1.TargetDriver, folder string, at func(point string)) (map[string]driver.Driver, error) {
	drivers := make(map[string]driver.Driver, len(targets))
	for _, t := range targets {
		d, err := one(t, folder, at)
		if err != nil {
			return nil, fmt.Errorf("target %s: %w", t.GetTarget(), err)
		}
		drivers[t.GetTarget()] = d
	}
	return drivers, nil
}

func one(t *configv1.TargetDriver, folder string, at func(point string)) (driver.Driver, error) {
	switch {
	case t.GetHost() != nil:
		return host.New(t.GetHost(), host.Options{Target: t.GetTarget(), At: at})
	case t.GetCommand() != nil:
		return command.New(t.GetCommand(), command.Options{Target: t.GetTarget(), At: at})
	case t.GetNoop() != nil:
		return noop.New(noop.Options{Target: t.GetTarget(), Folder: filepath.Join(folder, "noop", t.GetTarget()), At: at}), nil
	case Others != nil:
		return Others(t, at)
	}
	return nil, fmt.Errorf("no test of this package has targets of the kind %T", t.GetDriver())
}
