package noop_test

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/driver/drivertest"
	"github.com/blackdice/shipwarden/services/executor/driver/ledger"
	"github.com/blackdice/shipwarden/services/executor/driver/noop"
)

func TestMain(m *testing.M) {
	drivertest.Main(m, drivertest.Executor{
		Open: func(folder string, at func(string)) (driver.Driver, error) {
			return noop.New(noop.Options{Target: "n", Folder: folder, At: at}), nil
		},
		Plan: func(_ string, version int) driver.Plan { return drivertest.Plan("n", version) },
	})
}

func TestConformance(t *testing.T) { drivertest.Exercise(t, harness) }

// TestOrdeal has what a target of this driver can suffer: executors that die, sleep, give up
// and call twice. It has no life of its own that could go wrong.
func TestOrdeal(t *testing.T) { drivertest.Ordeal(t, 5, harness) }

func harness(t *testing.T) drivertest.Harness {
	folder := t.TempDir()
	effects := func(t *testing.T) []ledger.Entry {
		entries, err := ledger.Read(filepath.Join(folder, noop.LedgerName))
		if err != nil {
			t.Fatal(err)
		}
		return entries
	}
	return drivertest.Harness{
		Open: func(*testing.T) driver.Driver {
			return noop.New(noop.Options{Target: "n", Folder: folder})
		},
		Plan:    func(_ *testing.T, version int) driver.Plan { return drivertest.Plan("n", version) },
		Effects: func(t *testing.T) int { return len(effects(t)) },
		Carries: func(t *testing.T) string {
			if e := effects(t); len(e) > 0 {
				return e[len(e)-1].Digest
			}
			return ""
		},
		State:  func(t *testing.T) string { return drivertest.Folder(t, folder) },
		Points: noop.Points,
		Sleep: func(t *testing.T, point string, call drivertest.Call) (func(), bool) {
			return drivertest.Sleep(t, folder, point, call)
		},
		Crash: func(t *testing.T, point string, call drivertest.Call) bool {
			return drivertest.Kill(t, folder, point, call)
		},
	}
}

func TestInMemoryItCountsEffectsOnce(t *testing.T) {
	d := noop.New(noop.Options{Target: "n"})
	p := drivertest.Plan("n", 1)
	for range 3 {
		if _, err := d.Apply(t.Context(), driver.ApplyKey("r", 0, 1), driver.Fence{Epoch: "e", Sequence: 1}, p); err != nil {
			t.Fatal(err)
		}
	}
	p2 := drivertest.Plan("n", 2)
	p2.Previous = p.Artifact.Digest
	for range 2 {
		if _, err := d.Rollback(t.Context(), driver.RollbackKey("s", 0, 1), driver.Fence{Epoch: "e", Sequence: 2}, p2); err != nil {
			t.Fatal(err)
		}
	}
	// Another process would have counted by itself.
	if got, err := d.Running(t.Context()); got != "" || !errors.Is(err, driver.ErrUnknown) {
		t.Errorf("running %q, %v", got, err)
	}
	if got := d.Effects(); got != 1 {
		t.Errorf("%d effects, want 1", got)
	}
}
