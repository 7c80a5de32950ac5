package command_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestEveryTestThatTheCapabilitiesNameExists, and so does every page that they lead to: a
// claim whose proof was renamed away is a claim without one.
func TestEveryTestThatTheCapabilitiesNameExists(t *testing.T) {
	page, err := os.ReadFile("../../docs/capabilities.md")
	if err != nil {
		t.Fatal(err)
	}
	declared := map[string]bool{}
	function := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	tree := os.DirFS("../..")
	if err := fs.WalkDir(tree, ".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && strings.HasPrefix(d.Name(), ".") && path != ".":
			return filepath.SkipDir
		case !strings.HasSuffix(path, "_test.go"):
			return nil
		}
		text, err := fs.ReadFile(tree, path)
		for _, m := range function.FindAllSubmatch(text, -1) {
			declared[string(m[1])] = true
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile("`(Test\\w+)`").FindAllSubmatch(page, -1)
	if len(named) < 60 {
		t.Errorf("the page names %d tests", len(named))
	}
	for _, m := range named {
		if !declared[string(m[1])] {
			t.Errorf("docs/capabilities.md names %s, which is no test", m[1])
		}
	}
	for _, m := range regexp.MustCompile(`\]\(([a-z-]+\.md)`).FindAllSubmatch(page, -1) {
		if _, err := os.Stat(filepath.Join("../../docs", string(m[1]))); err != nil {
			t.Error(err)
		}
	}
}
