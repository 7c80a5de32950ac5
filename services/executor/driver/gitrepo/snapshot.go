package gitrepo

import (
	"container/heap"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
)

const (
	// maxFiles bounds the files that are read at once, maxEntries all that is looked at for them,
	// folders and links among it, and maxFolders how deep they lie.
	maxFiles   = 10_000
	maxEntries = 2 * maxFiles
	maxFolders = 64
)

// Snapshot is the branch as it was read. It does not change.
type Snapshot struct {
	repo    *Repo
	objects *objects
	head    *object.Commit
	tree    plumbing.Hash
}

// Commit is one commit.
type Commit struct {
	// ID names it, in 40 hexadecimal digits.
	ID string
	// Parents are those that it follows; a merge has several.
	Parents []string
	// Committer is who made it, "name <address>", as they say themselves.
	Committer string
	// When it was made, as its maker says.
	When time.Time
	// Message is all of it.
	Message string
	// Signed says that it has a signature, of whomever.
	Signed bool

	signature string
	// signed reads what the signature is made over. It is for whoever is shown the commit, as long
	// as that is.
	signed func() ([]byte, error)
}

// File is one file of a commit.
type File struct {
	Data []byte
	// Digest is that of the data, "sha256:…".
	Digest string
	// Executable says that it may be run.
	Executable bool
}

// Commit is the newest one.
func (s *Snapshot) Commit() Commit { return s.commitOf(s.head) }

// File reads a file; false where there is none. The error wraps ErrInvalid where the path is
// that of something else: a folder, a link, another repository.
func (s *Snapshot) File(ctx context.Context, path string) (File, bool, error) {
	if err := CheckPath(path); err != nil {
		return File{}, false, err
	}
	done, err := s.repo.take(ctx)
	if err != nil {
		return File{}, false, err
	}
	defer done()
	entry, there, err := s.objects.entry(s.tree, path)
	if err != nil || !there {
		return File{}, false, err
	}
	f, err := s.objects.file(entry, path)
	return f, err == nil, err
}

// Files reads all files below a folder, "" for all, by their paths within the repository. Links
// and other repositories are left out, and named. Together the files have no more bytes than the
// repository may: it has each content once, however many files have it.
func (s *Snapshot) Files(ctx context.Context, folder string) (files map[string]File, others []string, err error) {
	done, err := s.repo.take(ctx)
	if err != nil {
		return nil, nil, err
	}
	defer done()
	tree, prefix := s.tree, ""
	if folder != "" {
		if err := CheckPath(folder); err != nil {
			return nil, nil, err
		}
		entry, there, err := s.objects.entry(s.tree, folder)
		if err != nil || !there {
			return nil, nil, err
		}
		if entry.Mode != filemode.Dir {
			return nil, nil, fmt.Errorf("%s: %w: it is no folder", folder, ErrInvalid)
		}
		tree, prefix = entry.Hash, folder+"/"
	}
	files = make(map[string]File)
	left := s.repo.bytes
	err = s.objects.walk(tree, prefix, func(path string, e object.TreeEntry) error {
		if !regular(e.Mode) {
			others = append(others, path)
			return nil
		}
		if len(files) == maxFiles {
			return fmt.Errorf("%w: more than %d files", ErrTooLarge, maxFiles)
		}
		f, err := s.objects.file(e, path)
		files[path] = f
		if left -= int64(len(f.Data)); err == nil && left < 0 {
			err = fmt.Errorf("%w: the files have more than %d bytes together", ErrTooLarge, s.repo.bytes)
		}
		return err
	})
	return files, others, err
}

// walk visits what is below a folder. That is bounded by itself: of a few small folders, each of
// which has the next one many times, there is no end.
func (o *objects) walk(tree plumbing.Hash, prefix string, visit func(string, object.TreeEntry) error) error {
	left := maxEntries
	return o.below(tree, prefix, 0, &left, visit)
}

func (o *objects) below(tree plumbing.Hash, prefix string, depth int, left *int, visit func(string, object.TreeEntry) error) error {
	if depth > maxFolders {
		return fmt.Errorf("%w: more than %d folders deep", ErrTooLarge, maxFolders)
	}
	t, err := o.folder(tree)
	if err != nil {
		return err
	}
	names := make(map[string]bool, len(t.Entries))
	for _, e := range t.Entries {
		if *left--; *left < 0 {
			return fmt.Errorf("%w: more than %d files, folders and links", ErrTooLarge, maxEntries)
		}
		if names[e.Name] || strings.ContainsRune(e.Name, '/') || e.Name == "." || e.Name == ".." {
			return ambiguous(prefix + e.Name)
		}
		names[e.Name] = true
		if e.Mode == filemode.Dir {
			err = o.below(e.Hash, prefix+e.Name+"/", depth+1, left, visit)
		} else {
			err = visit(prefix+e.Name, e)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// ambiguous is the error of a name that no Git makes: of two of one name in a folder, or of one that
// leads out of it, others may take what this does not.
func ambiguous(path string) error {
	return fmt.Errorf("%q: %w: it is there twice, or is no name", path, ErrInvalid)
}

func regular(m filemode.FileMode) bool {
	return m == filemode.Regular || m == filemode.Executable || m == filemode.Deprecated
}

func (o *objects) folder(id plumbing.Hash) (*object.Tree, error) {
	t, err := object.GetTree(o.Storage, id)
	if err != nil {
		return nil, fmt.Errorf("%w: folder %s is not in what it sent", ErrRefused, id)
	}
	return t, nil
}

// entry finds what is at a path.
func (o *objects) entry(tree plumbing.Hash, path string) (object.TreeEntry, bool, error) {
	entry := object.TreeEntry{Mode: filemode.Dir, Hash: tree}
	for name := range strings.SplitSeq(path, "/") {
		if entry.Mode != filemode.Dir {
			return entry, false, fmt.Errorf("%s: %w: a part of it is no folder", path, ErrInvalid)
		}
		t, err := o.folder(entry.Hash)
		if err != nil {
			return entry, false, err
		}
		found := false
		for _, e := range t.Entries {
			if e.Name != name {
				continue
			}
			if found {
				return entry, false, ambiguous(path)
			}
			entry, found = e, true
		}
		if !found {
			return entry, false, nil
		}
	}
	return entry, true, nil
}

func (o *objects) file(e object.TreeEntry, path string) (File, error) {
	if !regular(e.Mode) {
		return File{}, fmt.Errorf("%s: %w: it is no file", path, ErrInvalid)
	}
	data, err := o.blob(e.Hash)
	if err != nil {
		return File{}, err
	}
	return File{Data: data, Digest: fmt.Sprintf("sha256:%x", sha256.Sum256(data)), Executable: e.Mode == filemode.Executable}, nil
}

// Find finds the newest commits that match says yes to: no commit that only an older one of them
// would lead to is looked at. On a branch that was never merged into that is one at most; where
// branches were merged there may be one on each, and older ones beside them, newest first by their
// own word. It reads as far back as it needs to. Errors as of Head, and ErrTooOld.
func (s *Snapshot) Find(ctx context.Context, match func(Commit) bool) ([]Commit, error) {
	var found []Commit
	err := s.walk(ctx, func(c *object.Commit) (bool, error) {
		commit := s.commitOf(c)
		if match(commit) {
			found = append(found, commit)
			return false, nil
		}
		return true, nil
	})
	return found, err
}

// errEnough ends a walk.
var errEnough = errors.New("enough")

// Past reads what a file was, newest first and each content once, until visit says that it has
// seen enough. What is not there in a commit is left out. Errors as of Find.
func (s *Snapshot) Past(ctx context.Context, path string, visit func(Commit, File) bool) error {
	if err := CheckPath(path); err != nil {
		return err
	}
	seen := make(map[plumbing.Hash]bool)
	err := s.walk(ctx, func(c *object.Commit) (bool, error) {
		entry, there, err := s.objects.entry(c.TreeHash, path)
		if errors.Is(err, ErrInvalid) {
			return true, nil
		}
		if err != nil {
			return false, err
		}
		if !there || !regular(entry.Mode) || seen[entry.Hash] {
			return true, nil
		}
		seen[entry.Hash] = true
		f, err := s.objects.file(entry, path)
		if err != nil {
			return false, err
		}
		if visit(s.commitOf(c), f) {
			return false, errEnough
		}
		return true, nil
	})
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

// queue has commits in the order of their time, newest first.
type queue []*object.Commit

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return q[i].Committer.When.After(q[j].Committer.When) }
func (q queue) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(x any)        { *q = append(*q, x.(*object.Commit)) } //nolint:errcheck,forcetypeassert // Nobody else pushes.
func (q *queue) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}

// walk visits commits once each, newest first by their own word. Where visit says no, those before
// it are not visited unless another commit leads to them that none of the refused ones does; the
// walk is over when there is no such commit.
func (s *Snapshot) walk(ctx context.Context, visit func(*object.Commit) (bool, error)) error {
	done, err := s.repo.take(ctx)
	if err != nil {
		return err
	}
	defer done()
	var q queue
	state := map[plumbing.Hash]bool{s.head.Hash: false} // true: a refused one leads to it
	open := 1                                           // how many in q are not
	heap.Push(&q, s.head)
	visited := 0
	for open > 0 {
		c, _ := heap.Pop(&q).(*object.Commit)
		hidden := state[c.Hash]
		if !hidden {
			open--
			goOn, err := visit(c)
			if err != nil {
				return err
			}
			hidden = !goOn
		}
		if visited++; visited > s.repo.commits {
			return fmt.Errorf("repository %s: %w: the newest %d are looked through (max_commits)", s.repo, ErrTooOld, s.repo.commits)
		}
		if hidden && open == 0 {
			return nil
		}
		if s.objects.edge[c.Hash] && len(c.ParentHashes) > 0 {
			if hidden {
				continue
			}
			if err := s.repo.deepen(ctx, s.objects); err != nil {
				return err
			}
			if s.objects.edge[c.Hash] {
				return fmt.Errorf("repository %s: %w: the server has no more of them", s.repo, ErrTooOld)
			}
		}
		for _, id := range c.ParentHashes {
			was, known := state[id]
			if known {
				if hidden && !was {
					state[id] = true
					if slicesHas(q, id) {
						open--
					}
				}
				continue
			}
			parent, err := s.objects.commit(id)
			if err != nil {
				return err
			}
			state[id] = hidden
			if !hidden {
				open++
			}
			heap.Push(&q, parent)
		}
	}
	return nil
}

func slicesHas(q queue, id plumbing.Hash) bool {
	for _, c := range q {
		if c.Hash == id {
			return true
		}
	}
	return false
}
