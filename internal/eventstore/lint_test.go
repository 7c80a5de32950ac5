package eventstore_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// conditional are the ways to bind a publish to a last sequence.
var conditional = regexp.MustCompile(`WithExpectLast(Sequence|Msg)|Nats-Expected-Last-|ExpectedLast(Subj)?Seq|ExpectLast(Sequence|Msg)`)

// The server keeps writers of one aggregate apart by the text of the filter that
// their conditions name. A second place that builds such a condition could use
// another text, and two writers would win.
func TestConditionsAreBuiltInOnePlace(t *testing.T) {
	t.Parallel()
	root := repository(t)
	var found []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == ".git" || d.Name() == ".bin" || d.Name() == "third_party") {
			return filepath.SkipDir
		}
		if d.IsDir() || filepath.Ext(path) != ".go" {
			return nil
		}
		text, err := os.ReadFile(path) //nolint:gosec // The walk found the name inside the repository.
		if err != nil {
			return err
		}
		if conditional.Match(text) {
			rel, err := filepath.Rel(root, path)
			if err != nil {
				return err
			}
			found = append(found, filepath.ToSlash(rel))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	allowed := map[string]bool{
		"internal/eventstore/filter.go":     true,
		"internal/eventstore/lint_test.go":  true,
		"internal/bucket/write.go":          true, // Documents of a target, in a bucket that is no history.
		"internal/eventstore/trace_test.go": true, // It writes a condition that no server sees.
		"e2e/chaos/bugs_list.go":            true, // It takes a condition away.
	}
	for _, path := range found {
		if !allowed[path] {
			t.Errorf("%s binds a publish to a last sequence; only internal/eventstore/filter.go may", path)
		}
		delete(allowed, path)
	}
	if len(allowed) > 0 {
		t.Errorf("%v no longer build conditions: this test looks for the wrong thing", allowed)
	}
}

// repository is the folder that holds go.work.
func repository(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.work")); err == nil {
			return dir
		}
		parent := filepath.Dir(dir)
		if parent == dir || strings.TrimSpace(parent) == "" {
			t.Fatal("no go.work above the test")
		}
		dir = parent
	}
}
