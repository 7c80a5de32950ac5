package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// write makes a package with one function, one test and the given mutants.
func write(t *testing.T, mutants, test string) string {
	t.Helper()
	folder := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":      "module example.com/p\n\ngo 1.26.0\n",
		"p.go":        "package p\n\nfunc double(n int) int { return n * 2 }\n\nfunc half(n int) int { return n / 2 }\n",
		"p_test.go":   "package p\n\nimport \"testing\"\n\nfunc TestDouble(t *testing.T) {\n" + test + "}\n",
		"mutants.txt": mutants,
	} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

const good = "\tif double(3) != 6 {\n\t\tt.Fatal(\"wrong\")\n\t}\n"

func TestRun(t *testing.T) {
	t.Setenv("GOWORK", "off")
	for name, c := range map[string]struct{ mutants, test, out, err string }{
		"a mistake is found": {"mutant thrice\nfile p.go\n-n * 2\n+n * 3\n", good, "ok: the tests find all of 1", ""},
		"a mistake survives": {"mutant third\nfile p.go\n-n / 2\n+n / 3\n", good, "SURVIVED  third (mutants.txt:1)", "1 of 1"},
		"the text is gone":   {"mutant old\nfile p.go\n-n << 1\n+n << 2\n", good, "holds 0 times", "1 of 1"},
		"it does not compile": {
			"mutant broken\nfile p.go\n-n * 2\n+m * 2\n", good, "no test ran", "1 of 1",
		},
		"the tests fail anyway": {"mutant thrice\nfile p.go\n-n * 2\n+n * 3\n", "\tt.Fatal(\"red\")\n", "", "fail without a mistake"},
		"no mutants":            {"# none\n", good, "", "no mutant"},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			err := run(t.Context(), &out, write(t, c.mutants, c.test), "", 1)
			if c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
				t.Errorf("got error %v, want %q", err, c.err)
			}
			if !strings.Contains(out.String(), c.out) {
				t.Errorf("got\n%s\nwant %q", out.String(), c.out)
			}
		})
	}
}
