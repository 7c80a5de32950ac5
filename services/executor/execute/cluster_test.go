//go:build kubernetes

package execute_test

import (
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/driver/configured"
	"github.com/blackdice/shipwarden/services/executor/driver/helm/apart"
	"github.com/blackdice/shipwarden/services/executor/site/sitetest"
)

// What is released to a cluster has drivers that no other test links.
func init() {
	apart.Obey() // This may be the process that reads a chart.
	sitetest.Others = func(target *configv1.TargetDriver, at func(string)) (driver.Driver, error) {
		all, err := configured.Drivers([]*configv1.TargetDriver{target}, configured.Options{At: at})
		return all[target.GetTarget()], err
	}
}
