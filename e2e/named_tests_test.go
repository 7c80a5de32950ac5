package e2e

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	namedTest   = regexp.MustCompile("`(?:[a-z]+\\.)?((?:Test|Fuzz)[A-Za-z0-9]+)`")
	writtenTest = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)[A-Za-z0-9]+)\(`)
	linkedPage  = regexp.MustCompile(`\]\(([a-z-]+\.md)`)
)

// TestWhatPagesNameIsThere: a page that names a test which is gone says that something is
// tried that nobody tries any more.
func TestWhatPagesNameIsThere(t *testing.T) {
	tree := os.DirFS("..")
	written := map[string]bool{}
	err := fs.WalkDir(tree, ".", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && path != "." && strings.HasPrefix(entry.Name(), "."):
			return filepath.SkipDir
		case !strings.HasSuffix(path, "_test.go"):
			return nil
		}
		text, err := fs.ReadFile(tree, path)
		for _, m := range writtenTest.FindAllSubmatch(text, -1) {
			written[string(m[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	pages, err := fs.Glob(tree, "docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]int{}
	for _, page := range pages {
		text := readFile(t, filepath.Join("..", page))
		for _, m := range namedTest.FindAllStringSubmatch(text, -1) {
			names[page]++
			if !written[m[1]] {
				t.Errorf("%s names %s, and there is no such test", page, m[1])
			}
		}
		for _, m := range linkedPage.FindAllStringSubmatch(text, -1) {
			if _, err := fs.Stat(tree, "docs/"+m[1]); err != nil {
				t.Errorf("%s leads to %s, which is not there", page, m[1])
			}
		}
	}
	for page, least := range map[string]int{"docs/security-cases.md": 40, "docs/capabilities.md": 60, "docs/bad-input.md": 100} {
		if names[page] < least {
			t.Errorf("%s names %d tests", page, names[page])
		}
	}
}
