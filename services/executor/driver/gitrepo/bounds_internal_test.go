package gitrepo

import (
	"errors"
	"fmt"
	"maps"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/storage/memory"
)

// TestAFewObjectsAreNoFolderWithoutAnEnd: whoever may push to a repository makes of some kilobytes
// more files, links or folders than there is memory or time for. They are refused.
func TestAFewObjectsAreNoFolderWithoutAnEnd(t *testing.T) {
	t.Parallel()
	m := &making{objects: newObjects(), made: memory.NewStorage()}
	// times is a folder that has another one, or a file, so many times.
	times := func(n int, mode filemode.FileMode, of plumbing.Hash) plumbing.Hash {
		var tree object.Tree
		for i := range n {
			tree.Entries = append(tree.Entries, object.TreeEntry{Name: fmt.Sprintf("n%04d", i), Mode: mode, Hash: of})
		}
		id, err := m.keep(&tree)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	nested := func(mode filemode.FileMode, of plumbing.Hash) plumbing.Hash {
		for range 5 {
			of, mode = times(8, mode, of), filemode.Dir
		}
		return of
	}
	small, err := m.file([]byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	large, err := m.file(make([]byte, 1<<10))
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		tree plumbing.Hash
		want error
	}{
		"folders":           {nested(filemode.Dir, times(0, filemode.Dir, small)), ErrTooLarge},
		"links":             {nested(filemode.Symlink, small), ErrTooLarge},
		"files":             {nested(filemode.Regular, small), ErrTooLarge},
		"one file often":    {times(1025, filemode.Regular, large), ErrTooLarge},
		"as much as may be": {times(1024, filemode.Regular, large), nil},
	} {
		s := &Snapshot{repo: &Repo{turn: make(chan struct{}, 1), bytes: 1 << 20}, objects: &objects{Storage: m.made}, tree: test.tree}
		files, others, err := s.Files(t.Context(), "")
		if !errors.Is(err, test.want) {
			t.Errorf("%s: %d files and %d others, %v", name, len(files), len(others), err)
		}
	}
}

// TestWhatAFolderHasTwiceIsNotReadInOneWay: whoever makes objects of Git by hand gives two files one
// name, or a name that leads elsewhere. What applies the repository may take the other one.
func TestWhatAFolderHasTwiceIsNotReadInOneWay(t *testing.T) {
	t.Parallel()
	for name, entries := range map[string][]string{
		"two of one name":     {"app.yaml", "app.yaml"},
		"one that leads out":  {"../app.yaml"},
		"one that leads in":   {"in/app.yaml"},
		"one that leads back": {".."},
	} {
		m := &making{objects: newObjects(), made: memory.NewStorage()}
		var tree object.Tree
		for i, name := range entries {
			of, err := m.file(fmt.Append(nil, "a: ", i))
			if err != nil {
				t.Fatal(err)
			}
			tree.Entries = append(tree.Entries, object.TreeEntry{Name: name, Mode: filemode.Regular, Hash: of})
		}
		// As Git has it, and without the checks of whoever makes one as it should be.
		o := m.made.NewEncodedObject()
		o.SetType(plumbing.TreeObject)
		out, err := o.Writer()
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range tree.Entries {
			_, _ = fmt.Fprintf(out, "100644 %s\x00%s", e.Name, e.Hash[:])
		}
		id, err := m.store(o)
		if err != nil {
			t.Fatal(err)
		}
		s := &Snapshot{repo: &Repo{turn: make(chan struct{}, 1), bytes: 1 << 20}, objects: &objects{Storage: m.made}, tree: id}
		if files, _, err := s.Files(t.Context(), ""); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v, %v", name, files, err)
		}
		if f, there, err := s.File(t.Context(), "app.yaml"); there || len(entries) > 1 && !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: the file is %q, %v", name, f.Data, err)
		}
	}
}

// TestAFolderBecomesAFile and the other way round, in one commit: what a release brings has neither to
// be a file nor a folder because of what was there before.
func TestAFolderBecomesAFile(t *testing.T) {
	t.Parallel()
	m := &making{objects: newObjects(), made: memory.NewStorage()}
	m.objects.Storage = m.made
	in := map[string][]byte{"deploy/app/a.yaml": []byte("a"), "deploy/app/b.yaml": []byte("b"), "keep": []byte("k")}
	as := map[string][]byte{"deploy/app": []byte("c"), "keep": []byte("k")}
	both := func(from, to map[string][]byte) map[string][]byte {
		all := make(map[string][]byte)
		for name := range from {
			all[name] = nil
		}
		maps.Copy(all, to)
		return all
	}
	tree, want := plumbing.ZeroHash, map[string]plumbing.Hash{}
	for name, files := range map[string]map[string][]byte{"folder": in, "file": as} {
		id, _, err := m.folder(tree, files, "")
		if err != nil {
			t.Fatal(err)
		}
		want[name] = id
	}
	for _, step := range []struct {
		from, to string
		files    map[string][]byte
	}{{"folder", "file", both(in, as)}, {"file", "folder", both(as, in)}} {
		if id, _, err := m.folder(want[step.from], step.files, ""); err != nil || id != want[step.to] {
			t.Errorf("%s to %s: %s, %v, want %s", step.from, step.to, id, err, want[step.to])
		}
	}
}
