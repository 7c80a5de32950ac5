package e2e

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var rewriteNames = flag.Bool("rewrite", false, "write testdata/metrics.golden anew")

// TestNamesOfMetricsArePinned: what others chart and alert on is contract. A changed file
// is a changed contract, and the commit says why.
func TestNamesOfMetricsArePinned(t *testing.T) {
	var lines []string
	for _, dir := range []string{"../internal", "../services"} {
		for name, m := range metricsOfSource(t, dir) {
			kind := ""
			if m.histogram {
				kind = " histogram"
			}
			labels := slices.Sorted(slices.Values(m.labels))
			if slices.Contains(labels, "release") {
				t.Errorf("%s has a series for every release", name)
			}
			lines = append(lines, fmt.Sprintf("%s{%s}%s\n", name, strings.Join(labels, ","), kind))
		}
	}
	slices.Sort(lines)
	got, path := strings.Join(lines, ""), filepath.Join("testdata", "metrics.golden")
	if *rewriteNames {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(readFile(t, path), got); diff != "" {
		t.Errorf("the metrics are others than %s names (-rewrite takes them over):\n%s", path, diff)
	}
}
