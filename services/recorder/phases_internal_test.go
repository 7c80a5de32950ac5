package recorder

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/blackdice/shipwarden/services/recorder/ledger"
)

// TestWhatIsOpenIsShownWhileItIs: no release is a label, and an environment in which
// nothing waits any more says so.
func TestWhatIsOpenIsShownWhileItIs(t *testing.T) {
	registry := prometheus.NewRegistry()
	p := newPhases(registry, nil)
	compare := func(want string) {
		t.Helper()
		want = strings.Replace("# HELP shipwarden_approvals_pending Releases that wait for approvals.\n# TYPE shipwarden_approvals_pending gauge\n"+want, "INFO", "# HELP shipwarden_release_info 1 for every service, environment and version of which a release is open, by the phase that it is in.\n# TYPE shipwarden_release_info gauge\n", 1)
		if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "shipwarden_approvals_pending", "shipwarden_release_info"); err != nil {
			t.Error(err)
		}
	}
	p.show([]ledger.UnderWay{
		{Service: "shop", Environment: "production", Version: "1.4.2", Phase: "approve", Releases: 2},
		{Service: "web", Environment: "production", Version: "2.0.0", Phase: "approve", Releases: 1},
		{Service: "shop", Environment: "staging", Version: "1.4.3", Phase: "verify", Releases: 1},
	})
	compare(`shipwarden_approvals_pending{environment="production"} 3
shipwarden_approvals_pending{environment="staging"} 0
INFOshipwarden_release_info{environment="production",phase="approve",service="shop",version="1.4.2"} 1
shipwarden_release_info{environment="production",phase="approve",service="web",version="2.0.0"} 1
shipwarden_release_info{environment="staging",phase="verify",service="shop",version="1.4.3"} 1
`)
	p.show(nil)
	compare(`shipwarden_approvals_pending{environment="production"} 0
shipwarden_approvals_pending{environment="staging"} 0
`)
}
