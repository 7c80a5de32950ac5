package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestWriteReplacesTheWholeFolder(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "third_party")
	stale := filepath.Join(folder, "old", "gone.proto")
	if err := os.MkdirAll(filepath.Dir(stale), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(stale, []byte(`syntax = "proto3";`), 0o644); err != nil {
		t.Fatal(err)
	}

	if err := write(folder, wanted); err != nil {
		t.Fatal(err)
	}

	if _, err := os.Stat(stale); !os.IsNotExist(err) {
		t.Errorf("%s is still there (stat: %v)", stale, err)
	}
	for _, name := range wanted {
		source, err := os.ReadFile(filepath.Join(folder, filepath.FromSlash(name)))
		if err != nil {
			t.Errorf("read what was written: %v", err)
			continue
		}
		// Without it, the code generated from our files would import a package that
		// does not exist.
		if !strings.Contains(string(source), "option go_package = ") {
			t.Errorf("%s: no go_package", name)
		}
	}
}

func TestWriteLeavesTheFolderAloneWhenAFileIsUnknown(t *testing.T) {
	parent := t.TempDir()
	folder := filepath.Join(parent, "third_party")
	if err := write(folder, wanted[:1]); err != nil {
		t.Fatal(err)
	}

	err := write(folder, []string{wanted[0], "nobody/has/this.proto"})
	if err == nil || !strings.Contains(err.Error(), "nobody/has/this.proto") {
		t.Errorf("write = %v, want an error that names the file", err)
	}

	if _, err := os.Stat(filepath.Join(folder, filepath.FromSlash(wanted[0]))); err != nil {
		t.Errorf("the earlier folder is damaged: %v", err)
	}
	entries, err := os.ReadDir(parent)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 1 {
		t.Errorf("left behind: %v", entries)
	}
}
