package command_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/driver/command"
	"github.com/blackdice/shipwarden/services/executor/driver/drivertest"
)

// The command and the executors that die are this test binary.
func TestMain(m *testing.M) {
	drivertest.Main(m, drivertest.Executor{
		Open: func(folder string, at func(string)) (driver.Driver, error) {
			return command.New(config(folder), command.Options{Target: "shop-1", At: at})
		},
		Plan: plan,
	})
}

func plan(_ string, version int) driver.Plan { return drivertest.Plan("shop-1", version) }

func app(folder string) drivertest.App { return drivertest.NewApp(filepath.Join(folder, "app")) }

func config(folder string) *configv1.CommandDriver {
	executable, err := os.Executable()
	if err != nil {
		panic(err)
	}
	return &configv1.CommandDriver{
		Deploy:   &configv1.Command{Argv: []string{executable, "deploy", "{digest}"}, Env: app(folder).Env(), Timeout: durationpb.New(20 * time.Second)},
		Rollback: &configv1.Command{Argv: []string{executable, "rollback", "{digest}"}, Env: app(folder).Env(), Timeout: durationpb.New(20 * time.Second)},
		// They look and change nothing; each start of the test binary would be an effect.
		Preview:        &configv1.Command{Argv: []string{"/bin/echo", "{target} would carry {digest}"}},
		RollbackDryRun: &configv1.Command{Argv: []string{"/bin/echo", "{target} would carry {digest} again"}},
		MarkerFolder:   filepath.Join(folder, "markers"),
		Allow:          []string{executable, "/bin/echo"},
	}
}

func TestConformance(t *testing.T) { drivertest.Exercise(t, harness) }

// TestOrdeal has commands, too, that do nothing, say that they did nothing, and take their time.
func TestOrdeal(t *testing.T) { drivertest.Ordeal(t, 5, harness) }

func harness(t *testing.T) drivertest.Harness {
	folder := t.TempDir()
	return drivertest.Harness{
		Open: func(t *testing.T) driver.Driver {
			d, err := command.New(config(folder), command.Options{Target: "shop-1"})
			if err != nil {
				t.Fatal(err)
			}
			return d
		},
		Plan: func(_ *testing.T, version int) driver.Plan { return plan(folder, version) },
		// Every run counts: a command that runs again with the same digest has had its
		// effect again.
		Effects: func(t *testing.T) int { return len(app(folder).Starts(t)) },
		Carries: app(folder).Carries,
		State:   func(t *testing.T) string { return drivertest.Folder(t, folder) },
		Points:  command.Points,
		Sleep: func(t *testing.T, point string, call drivertest.Call) (func(), bool) {
			return drivertest.Sleep(t, folder, point, call)
		},
		Crash: func(t *testing.T, point string, call drivertest.Call) bool {
			return drivertest.Kill(t, folder, point, call)
		},
		Troubles: app(folder).Troubles(func(t *testing.T) driver.Driver {
			d, err := command.New(config(folder), command.Options{Target: "shop-1"})
			if err != nil {
				t.Fatal(err)
			}
			return d
		}),
	}
}
