package config

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/driver/gitrepo"
)

// The trailers of a commit. Those of file and record are what a driver reads, the others say the
// same for people.
const (
	TrailerRelease = "Shipwarden-Release"
	TrailerVersion = "Shipwarden-Version"
	TrailerTarget  = "Shipwarden-Target"
	TrailerKey     = "Shipwarden-Key"
	TrailerFence   = "Shipwarden-Fence"
	TrailerFile    = "Shipwarden-File"
	TrailerRecord  = "Shipwarden-Record"
)

// maxFile bounds a document in a repository, in bytes.
const maxFile = 4 << 20

// inFile is one file of a repository.
type inFile struct {
	*gitrepo.Repo
	path string
	now  func() time.Time

	// mu is held while the branch is read and compared with what was seen of it.
	mu sync.Mutex
	// seen is the newest note of the file that this process has read or written, and in which
	// commit.
	seen note
	at   string
}

func newFile(c *configv1.ConfigFile, o Options) (*inFile, error) {
	f := &inFile{path: c.GetPath(), now: o.Now}
	if f.now == nil {
		f.now = time.Now
	}
	var problems []error
	var err error
	if f.Repo, err = gitrepo.New(c.GetRepository(), gitrepo.Options{Now: o.Now}); err != nil {
		problems = append(problems, driver.InField("repository", err))
	}
	if err := gitrepo.CheckPath(c.GetPath()); err != nil {
		problems = append(problems, fmt.Errorf("path: %w", err))
	}
	return f, errors.Join(problems...)
}

func (f *inFile) String() string { return f.path + " in " + f.Repo.String() }
func (f *inFile) Place() string  { return "file " + f.path + " of " + f.Repo.Place() }
func (f *inFile) kind() string   { return "file" }
func (f *inFile) home() string   { return "branch" }

// anew is what people do where a fence is gone.
func (f *inFile) anew() string {
	signed := ""
	if f.Judged() {
		signed = ", signed by somebody of allowed_signers_file,"
	}
	return fmt.Sprintf("see to it that no executor is at work on it, and commit%s with the trailers %s: %s and %s: {}", signed, TrailerFile, f.path, TrailerRecord)
}

func (f *inFile) running(ctx context.Context) (string, error) {
	s, _, err := f.read(ctx)
	return s.digest, err
}

// read reads the file at the head of the branch.
func (f *inFile) read(ctx context.Context) (state, *gitrepo.Snapshot, error) {
	head, err := f.Head(ctx)
	if err != nil {
		return state{}, nil, wrong(err)
	}
	s := state{at: "commit " + head.Commit().ID, anew: f.anew(), read: head}
	file, there, err := head.File(ctx, f.path)
	if err != nil {
		return s, head, wrong(err)
	}
	if s.present = there; there {
		s.value, s.digest = file.Data, file.Digest
	}
	return s, head, nil
}

// load reads the file and its newest note, however many commits of others came since. A branch
// that was rewritten has lost its newest note, or has it on other commits than it was written on.
func (f *inFile) load(ctx context.Context) (state, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s, head, err := f.read(ctx)
	if err != nil {
		return s, err
	}
	signers, err := f.Signers()
	if err != nil {
		return s, wrong(err)
	}
	found, err := head.Find(ctx, func(c gitrepo.Commit) bool {
		if c.Trailer(TrailerFile) != f.path || c.Trailer(TrailerRecord) == "" {
			return false
		}
		uncounted := signers.Counts(c)
		if uncounted != nil {
			s.uncounted = append(s.uncounted, uncounted.Error())
		}
		return uncounted == nil
	})
	if errors.Is(err, gitrepo.ErrTooOld) {
		s.lost = fmt.Sprintf("the fence of the file is in none of the commits that are looked through, and may be in an older one (%v): have more of them looked through, or", err)
		return s, nil
	}
	if err != nil {
		return s, wrong(err)
	}
	newest := ""
	for _, c := range found {
		n, err := f.noteOf(c)
		switch {
		case err != nil:
			return s, err
		case s.noted && n.Turn == s.note.Turn:
			return s, fmt.Errorf("commits %s and %s have fences of which neither is the newer one: the branch was rewritten and merged: %s: %w", newest, c.ID, s.anew, driver.ErrConflict)
		case !s.noted || n.Turn > s.note.Turn:
			s.note, s.noted, newest = n, true, c.ID
		}
	}
	s.in = newest
	// An older executor does not write it down.
	word, err := head.Dated(ctx, s.note.word())
	if err != nil {
		return s, wrong(err)
	}
	s.note.Since = word.Made
	if len(s.uncounted) > 0 {
		s.anew += fmt.Sprintf(" (a fence counts for nothing: %s)", s.uncounted[0])
	}
	return s, f.remember(s, newest)
}

// noteOf reads the note of a commit. One on another parent than it was written on was put there by
// somebody: by a rebase, a squash or a cherry-pick.
func (f *inFile) noteOf(c gitrepo.Commit) (note, error) {
	n, err := noteOf(c.Trailer(TrailerRecord), fmt.Sprintf("commit %s: the trailer %s", c.ID, TrailerRecord))
	if err != nil {
		return n, err
	}
	if n.Parent == "" {
		n.Turn, n.Line, n.Since = c.When.Unix(), c.ID, c.When.Unix() // A person has written it.
	}
	if n.Parent != "" && !slices.Equal(c.Parents, []string{n.Parent}) {
		return n, fmt.Errorf("commit %s has a fence that was written on %s, which is not its parent: the branch was rewritten, or the commit copied: %s: %w", c.ID, n.Parent, f.anew(), driver.ErrConflict)
	}
	return n, nil
}

// remember compares with what this process has seen before. A person's note begins anew. mu is held.
func (f *inFile) remember(s state, commit string) error {
	switch {
	case s.note.word().After(f.seen.word()), s.note.Turn > f.seen.Turn && s.note.Line == f.seen.Line:
		f.seen, f.at = s.note, commit
	case s.note.Line != f.seen.Line || s.note.Turn < f.seen.Turn || commit != f.at && f.at != "":
		return fmt.Errorf("commit %s, which has the newest fence of the file, is not on the branch any more: it was rewritten: %s: %w", f.at, s.anew, driver.ErrConflict)
	}
	return nil
}

// forgotten says that what was released is on no commit of the branch. Where a person has written
// the note, he has said that it need not be.
func (f *inFile) forgotten(ctx context.Context, s state, plan driver.Plan) error {
	if plan.PreviousVersion == "" || plan.Previous == "" || s.digest == plan.Previous || s.digest == plan.Artifact.Digest || s.noted && s.note.Parent == "" {
		return nil
	}
	_, there, err := f.find(ctx, s, plan.Previous)
	if err != nil || there {
		return err
	}
	return fmt.Errorf("version %s was released to the file, and no commit has it: the branch was rewritten: %s: %w", plan.PreviousVersion, s.anew, driver.ErrConflict)
}

// head is the branch as it was read.
func (f *inFile) head(s state) *gitrepo.Snapshot {
	head, _ := s.read.(*gitrepo.Snapshot)
	return head
}

// write makes one commit of document and note.
func (f *inFile) write(ctx context.Context, s state, w writing) (string, error) {
	head := f.head(s)
	w.note.Parent, w.note.Turn, w.note.Line, w.note.Since = head.Commit().ID, max(f.now().Unix(), s.note.Turn+1), s.note.Line, s.note.Since
	record, err := w.note.text()
	if err != nil {
		return "", err
	}
	version := oneLine(w.version, 100)
	release, _, _ := strings.Cut(string(w.key), "/")
	commit := gitrepo.Write{Message: gitrepo.Message{
		Subject: oneLine(fmt.Sprintf("%s %s of %s", w.what, version, f.path), 200),
		Trailers: []gitrepo.Trailer{
			{Name: TrailerRelease, Value: release},
			{Name: TrailerTarget, Value: w.note.Target},
			{Name: TrailerKey, Value: string(w.key)},
			{Name: TrailerFence, Value: w.fence.String()},
			{Name: TrailerFile, Value: f.path},
			{Name: TrailerRecord, Value: record},
		},
	}}
	if version == "" {
		commit.Message.Subject = oneLine(fmt.Sprintf("%s %s", w.what, f.path), 200)
	} else {
		commit.Message.Trailers = slices.Insert(commit.Message.Trailers, 1, gitrepo.Trailer{Name: TrailerVersion, Value: version})
	}
	if w.present && (!s.present || string(w.document) != string(s.value)) {
		commit.Files = map[string][]byte{f.path: w.document}
		if w.document == nil {
			commit.Files[f.path] = []byte{}
		}
	}
	id, err := head.Write(ctx, commit)
	return "commit " + id, err
}

func (f *inFile) usable(context.Context) (func(int64) error, error) {
	if err := f.CheckKey(); err != nil {
		return nil, wrong(err)
	}
	return func(size int64) error {
		if size > maxFile {
			return fmt.Errorf("it measures %d bytes, and at most %d are committed: %w", size, int64(maxFile), driver.ErrInvalid)
		}
		return nil
	}, nil
}

func (f *inFile) find(ctx context.Context, s state, digest string) (document []byte, there bool, err error) {
	err = f.head(s).Past(ctx, f.path, func(_ gitrepo.Commit, file gitrepo.File) bool {
		if there = file.Digest == digest; there {
			document = file.Data
		}
		return there
	})
	if errors.Is(err, gitrepo.ErrTooOld) {
		return nil, false, nil
	}
	return document, there, wrong(err)
}

// keeps: a commit pushes nothing out.
func (f *inFile) keeps(context.Context, ...string) error { return nil }

// back says whether the document of the way back is in a commit, byte for byte.
func (f *inFile) back(ctx context.Context, plan driver.Plan) (driver.DryRun, error) {
	out := driver.DryRun{Source: releasev1.RollbackProof_SOURCE_TARGET}
	s, _, err := f.read(ctx)
	if err != nil {
		return out, err
	}
	_, there, err := f.find(ctx, s, plan.Previous)
	switch {
	case err != nil:
		return out, err
	case !there:
		out.Reason = fmt.Sprintf("%s is in none of the branch's commits, as far back as they are looked through", plan.Previous)
		return out, nil
	}
	out.Possible = true
	out.Steps = fmt.Sprintf("commit:  %s <- %s, from the branch's history\nversion: %s\n", f, plan.Previous, plan.PreviousVersion)
	out.Reason = fmt.Sprintf("%s is in the branch's history", plan.Previous)
	return out, nil
}
