package freeze

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTheZoneDatabaseIsNamed(t *testing.T) {
	place := t.TempDir()
	if err := os.MkdirAll(filepath.Join(place, "Europe", "Berlin"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ file, content, want string }{
		{"none", "", "tzdata without a version of the system"},
		{"+VERSION", "2026a\n", "tzdata 2026a of the system"},
		{"tzdata.zi", "# version 2026b\n# more\n", "tzdata 2026b of the system"},
	} {
		if err := os.WriteFile(filepath.Join(place, test.file), []byte(test.content), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := zoneData([]string{filepath.Join(place, "elsewhere"), place}); got != test.want {
			t.Errorf("%s: %q, want %q", test.file, got, test.want)
		}
	}
	if got := zoneData(nil); !strings.HasPrefix(got, "tzdata of go") {
		t.Errorf("without a database on the system: %q", got)
	}
}
