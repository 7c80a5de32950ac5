//go:build terraform

package terraform_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/driver/drivertest"
	"github.com/blackdice/shipwarden/services/executor/driver/ledger"
	"github.com/blackdice/shipwarden/services/executor/driver/terraform"
)

// TestConformance holds the driver to the promises of its class, with a real Terraform. Short
// of that, with -short, executors die at one place, and few of the promises are asked for.
func TestConformance(t *testing.T) {
	points := terraform.Points
	if testing.Short() {
		points = []string{terraform.PointApplied}
	}
	drivertest.Exercise(t, func(t *testing.T) drivertest.Harness { return harness(t, points) })
}

// TestOrdeal has configurations, too, that are applied in part.
func TestOrdeal(t *testing.T) {
	few := 4
	if testing.Short() {
		few = 1
	}
	drivertest.Ordeal(t, few, func(t *testing.T) drivertest.Harness { return harness(t, terraform.Points) })
}

func harness(t *testing.T, points []string) drivertest.Harness {
	t.Helper()
	folder := t.TempDir()
	digest := func(version int) string { return plan(version, shop(folder)).Artifact.Digest }
	return drivertest.Harness{
		Open:    func(t *testing.T) driver.Driver { return open(t, config(folder), options(nil)) },
		Plan:    func(_ *testing.T, version int) driver.Plan { return plan(version, shop(folder)) },
		Effects: func(t *testing.T) int { return changes(t, folder) },
		Carries: func(t *testing.T) string {
			all := lines(t, folder)
			for version := range 4 {
				if len(all) > 0 && all[len(all)-1] == fmt.Sprintf("%d.0.0", version) {
					return digest(version)
				}
			}
			return ""
		},
		State:     func(t *testing.T) string { return everything(t, folder) },
		Points:    points,
		DiffReads: true,
		Few:       testing.Short(),
		Lose: func(t *testing.T, version int) {
			hex := strings.TrimPrefix(digest(version), "sha256:")
			if err := os.Remove(filepath.Join(folder, "shop", "placed", hex+".tar.gz")); err != nil {
				t.Fatal(err)
			}
		},
		Sleep: func(t *testing.T, point string, call drivertest.Call) (func(), bool) {
			return drivertest.Sleep(t, folder, point, call)
		},
		Crash: func(t *testing.T, point string, call drivertest.Call) bool {
			return drivertest.Kill(t, folder, point, call)
		},
		Troubles: map[string]func(t *testing.T) (driver.Driver, func()){
			"the old is destroyed, and the new cannot be made": func(t *testing.T) (driver.Driver, func()) {
				return open(t, config(folder), options(nil)), shut(t, filepath.Join(folder, "app"))
			},
		},
		Slow: patience,
	}
}

// shut has whoever writes into a file fail until it is over.
func shut(t *testing.T, file string) (over func()) {
	t.Helper()
	if err := os.Rename(file, file+".kept"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	if err := os.Mkdir(file, 0o700); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(file+".kept", file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	}
}

// changes counts how often the application became another version, and holds the ledger against
// it.
func changes(t *testing.T, folder string) int {
	t.Helper()
	n, before := 0, ""
	for _, line := range lines(t, folder) {
		if line != before {
			n++
		}
		before = line
	}
	entries, err := ledger.Read(filepath.Join(folder, "shop", terraform.LedgerName))
	if err != nil {
		t.Fatal(err)
	}
	var last ledger.Entry
	for _, e := range entries {
		if e.IsEffect() && e.Effect == last.Effect && e.Digest == last.Digest {
			t.Errorf("the ledger counts %s twice", e.Effect)
		}
		last = e
	}
	return n
}

// everything is every file of the target and its content. That somebody ran something in a
// folder of its own and removed it again is no change.
func everything(t *testing.T, folder string) string {
	t.Helper()
	var all strings.Builder
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		data, err := os.ReadFile(path) //nolint:gosec // a file that the walk found
		fmt.Fprintf(&all, "%s %s %s %q\n", path, info.Mode(), info.ModTime(), data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}
