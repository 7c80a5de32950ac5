package host_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/driver/drivertest"
	"github.com/blackdice/shipwarden/services/executor/driver/host"
	"github.com/blackdice/shipwarden/services/executor/driver/ledger"
)

// The application and the executors that die are this test binary.
func TestMain(m *testing.M) {
	drivertest.Main(m, drivertest.Executor{
		Open: func(folder string, at func(string)) (driver.Driver, error) { return open(folder, at) },
		Plan: plan,
	})
}

func plan(_ string, version int) driver.Plan { return drivertest.Plan("shop-1", version) }

func config(folder string) *configv1.HostDriver {
	executable, err := os.Executable()
	if err != nil {
		panic(err)
	}
	return &configv1.HostDriver{
		Folder:  filepath.Join(folder, "shop"),
		Restart: &configv1.Command{Argv: []string{executable, "--version={version}", "{digest}"}, Env: app(folder).Env()},
	}
}

func app(folder string) drivertest.App { return drivertest.NewApp(filepath.Join(folder, "app")) }

func open(folder string, at func(string)) (*host.Driver, error) {
	return host.New(config(folder), host.Options{Target: "shop-1", At: at})
}

func TestConformance(t *testing.T) { drivertest.Exercise(t, harness) }

// TestOrdeal has applications, too, that do not start, say that they did not, and take their
// time.
func TestOrdeal(t *testing.T) {
	drivertest.Ordeal(t, 5, harness)
}

func harness(t *testing.T) drivertest.Harness {
	folder := t.TempDir()
	return drivertest.Harness{
		Open: func(t *testing.T) driver.Driver {
			d, err := open(folder, nil)
			if err != nil {
				t.Fatal(err)
			}
			return d
		},
		Plan: func(_ *testing.T, version int) driver.Plan { return plan(folder, version) },
		Effects: func(t *testing.T) int {
			changes := app(folder).Changes(t)
			// The ledger must count what the application saw; between a switch and its
			// restart it is ahead.
			if counted := effects(t, folder); counted < changes {
				t.Errorf("the ledger counts %d effects, the application saw %d", counted, changes)
			}
			return changes
		},
		Carries: app(folder).Carries,
		State:   func(t *testing.T) string { return drivertest.Folder(t, folder) },
		Points:  host.Points,
		Lose: func(t *testing.T, version int) {
			hex := strings.TrimPrefix(plan(folder, version).Artifact.Digest, "sha256:")
			if err := os.RemoveAll(filepath.Join(config(folder).GetFolder(), "releases", hex)); err != nil {
				t.Fatal(err)
			}
		},
		Sleep: func(t *testing.T, point string, call drivertest.Call) (func(), bool) {
			return drivertest.Sleep(t, folder, point, call)
		},
		Crash: func(t *testing.T, point string, call drivertest.Call) bool {
			return drivertest.Kill(t, folder, point, call)
		},
		Troubles: app(folder).Troubles(func(t *testing.T) driver.Driver {
			d, err := open(folder, nil)
			if err != nil {
				t.Fatal(err)
			}
			return d
		}),
	}
}

// effects counts the effects of the ledger, and refuses two lines for one.
func effects(t *testing.T, folder string) int {
	t.Helper()
	entries, err := ledger.Read(filepath.Join(folder, "shop", host.LedgerName))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	var before ledger.Entry
	for _, e := range entries {
		if !e.IsEffect() {
			continue
		}
		if e.Effect == before.Effect && e.Digest == before.Digest {
			t.Errorf("the ledger counts %s twice", e.Effect)
		}
		n, before = n+1, e
	}
	return n
}
