// Package helmtest has a chart that nobody here wrote, for tests that place it.
package helmtest

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// Podinfo are the files of the chart of podinfo by their names, as its module has them, which is fetched
// by the sum that tools/charts pins.
func Podinfo(t testing.TB) map[string]string {
	t.Helper()
	_, here, _, _ := runtime.Caller(0)
	cmd := exec.CommandContext(t.Context(), "go", "mod", "download", "-json", "github.com/stefanprodan/podinfo")
	cmd.Dir, cmd.Env = filepath.Join(filepath.Dir(here), "../../../../../tools/charts"), append(os.Environ(), "GOWORK=off")
	text, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	var module struct{ Dir string }
	if err := json.Unmarshal(text, &module); err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	root := filepath.Join(module.Dir, "charts")
	err = filepath.WalkDir(filepath.Join(root, "podinfo"), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(path) //nolint:gosec // a file that the walk found
		all[filepath.ToSlash(strings.TrimPrefix(path, root+string(filepath.Separator)))] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// Archive is a tar.gz of files in the order of their names, the same each time, and of more headers.
func Archive(all map[string]string, more ...*tar.Header) ([]byte, error) {
	var out bytes.Buffer
	zip := gzip.NewWriter(&out)
	w := tar.NewWriter(zip)
	var err error
	for _, name := range slices.Sorted(maps.Keys(all)) {
		err = errors.Join(err, w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(all[name]))}))
		_, failed := w.Write([]byte(all[name]))
		err = errors.Join(err, failed)
	}
	for _, h := range more {
		err = errors.Join(err, w.WriteHeader(h))
	}
	err = errors.Join(err, w.Close(), zip.Close())
	return out.Bytes(), err
}
