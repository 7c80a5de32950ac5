package gitrepo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/storage/memory"
)

// Write is one commit on a snapshot's head. Without files it has the same files.
type Write struct {
	// Files are the files that change, by their paths; nil removes one. What is there keeps
	// whether it is executable.
	Files map[string][]byte
	// Message says why.
	Message Message
}

// Write makes a signed commit whose parent is the snapshot's head, pushes it once, and returns its
// id. Where the branch has moved since it was read, nothing is written, and the error wraps
// ErrRaced. Other errors wrap ErrUnavailable, ErrUnanswered, ErrRefused, ErrTooLarge or ErrInvalid.
func (s *Snapshot) Write(ctx context.Context, w Write) (string, error) {
	done, err := s.repo.take(ctx)
	if err != nil {
		return "", err
	}
	defer done()
	id, err := "", error(nil)
	pushed := s.repo.once(ctx, func(ctx context.Context) error {
		id, err = s.write(ctx, w)
		return err
	})
	return id, pushed
}

func (s *Snapshot) write(ctx context.Context, w Write) (string, error) {
	made := &making{objects: s.objects, made: memory.NewStorage()}
	tree := s.tree
	if len(w.Files) > 0 {
		for path := range w.Files {
			if err := CheckPath(path); err != nil {
				return "", fmt.Errorf("%s: %w", path, err)
			}
		}
		var err error
		if tree, _, err = made.folder(tree, w.Files, ""); err != nil {
			return "", err
		}
	}
	commit, err := s.commit(made, tree, w.Message)
	if err != nil {
		return "", err
	}
	pack, err := made.pack()
	if err != nil {
		return "", err
	}
	if int64(len(pack)) > s.repo.bytes {
		return "", fmt.Errorf("%w: the commit has more than %d bytes", ErrTooLarge, s.repo.bytes)
	}
	err = s.push(ctx, commit, pack)
	if err == nil && s.repo.objects == s.objects && s.objects.tip == s.head.Hash {
		err = s.objects.keep(commit, made.made, s.repo.bytes)
	}
	return commit.String(), err
}

// keep takes in what was made and pushed, which need not be fetched then.
func (o *objects) keep(commit plumbing.Hash, made *memory.Storage, limit int64) error {
	size := int64(0)
	for _, m := range made.Objects {
		size += m.Size() + overhead
	}
	if o.size+size > limit {
		return nil // The next one who reads begins anew.
	}
	for _, m := range made.Objects {
		if _, err := o.SetEncodedObject(m); err != nil {
			return err
		}
	}
	o.size += size
	o.tip = commit
	return nil
}

// making is what is made for a commit.
type making struct {
	objects *objects
	made    *memory.Storage
	ids     []plumbing.Hash
}

type encoder interface {
	Encode(plumbing.EncodedObject) error
}

func (m *making) keep(kind encoder) (plumbing.Hash, error) {
	o := m.made.NewEncodedObject()
	if err := kind.Encode(o); err != nil {
		return plumbing.ZeroHash, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return m.store(o)
}

func (m *making) store(o plumbing.EncodedObject) (plumbing.Hash, error) {
	id, err := m.made.SetEncodedObject(o)
	if err == nil && !slices.Contains(m.ids, id) {
		m.ids = append(m.ids, id)
	}
	return id, err
}

func (m *making) file(data []byte) (plumbing.Hash, error) {
	o := m.made.NewEncodedObject()
	o.SetType(plumbing.BlobObject)
	out, err := o.Writer()
	if err == nil {
		_, err = out.Write(data)
	}
	if err == nil {
		err = out.Close()
	}
	if err != nil {
		return plumbing.ZeroHash, err
	}
	return m.store(o)
}

// folder makes a folder with other files, and reports whether something is in it.
func (m *making) folder(id plumbing.Hash, files map[string][]byte, at string) (plumbing.Hash, bool, error) {
	var entries []object.TreeEntry
	if !id.IsZero() {
		was, err := m.objects.folder(id)
		if err != nil {
			return id, false, err
		}
		entries = slices.Clone(was.Entries)
	}
	below, placed := make(map[string]map[string][]byte), make(map[string][]byte)
	for path, data := range files {
		name, rest, deep := strings.Cut(path, "/")
		switch {
		case deep && below[name] == nil:
			below[name] = map[string][]byte{rest: data}
		case deep:
			below[name][rest] = data
		case data != nil:
			placed[name] = data // When what was in a folder of that name is gone.
		default:
			if err := m.put(&entries, name, nil, at); err != nil {
				return id, false, err
			}
		}
	}
	for name, files := range below {
		i := slices.IndexFunc(entries, func(e object.TreeEntry) bool { return e.Name == name })
		inner := plumbing.ZeroHash
		if i >= 0 {
			if entries[i].Mode != filemode.Dir {
				return id, false, fmt.Errorf("%s%s: %w: it is no folder", at, name, ErrInvalid)
			}
			inner = entries[i].Hash
		}
		next, full, err := m.folder(inner, files, at+name+"/")
		switch {
		case err != nil:
			return id, false, err
		case i >= 0 && full:
			entries[i].Hash = next
		case i >= 0:
			entries = slices.Delete(entries, i, i+1)
		case full:
			entries = append(entries, object.TreeEntry{Name: name, Mode: filemode.Dir, Hash: next})
		}
	}
	for name, data := range placed {
		if err := m.put(&entries, name, data, at); err != nil {
			return id, false, err
		}
	}
	if len(entries) == 0 && at != "" {
		return plumbing.ZeroHash, false, nil
	}
	sort.Sort(object.TreeEntrySorter(entries))
	next, err := m.keep(&object.Tree{Entries: entries})
	return next, true, err
}

func (m *making) put(entries *[]object.TreeEntry, name string, data []byte, at string) error {
	i := slices.IndexFunc(*entries, func(e object.TreeEntry) bool { return e.Name == name })
	if i >= 0 && !regular((*entries)[i].Mode) {
		return fmt.Errorf("%s%s: %w: it is no file", at, name, ErrInvalid)
	}
	if data == nil {
		if i >= 0 {
			*entries = slices.Delete(*entries, i, i+1)
		}
		return nil
	}
	id, err := m.file(data)
	switch {
	case err != nil:
		return err
	case i >= 0:
		(*entries)[i].Hash = id
	default:
		*entries = append(*entries, object.TreeEntry{Name: name, Mode: filemode.Regular, Hash: id})
	}
	return nil
}

// commit makes the commit, and signs it.
func (s *Snapshot) commit(m *making, tree plumbing.Hash, message Message) (plumbing.Hash, error) {
	text, err := message.text()
	if err != nil {
		return plumbing.ZeroHash, err
	}
	c := s.repo.config
	who := object.Signature{Name: c.GetAuthorName(), Email: c.GetAuthorEmail(), When: s.when()}
	if who.Name == "" {
		who.Name = defaultName
	}
	if who.Email == "" {
		who.Email = defaultEmail
	}
	commit := &object.Commit{Author: who, Committer: who, Message: text, TreeHash: tree, ParentHashes: []plumbing.Hash{s.head.Hash}}
	plain := m.made.NewEncodedObject()
	if err := commit.EncodeWithoutSignature(plain); err != nil {
		return plumbing.ZeroHash, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	in, err := plain.Reader()
	if err != nil {
		return plumbing.ZeroHash, err
	}
	defer func() { _ = in.Close() }()
	signed, err := io.ReadAll(in)
	if err != nil {
		return plumbing.ZeroHash, err
	}
	if commit.PGPSignature, err = s.repo.sign(signed); err != nil {
		return plumbing.ZeroHash, err
	}
	return m.keep(commit)
}

// when is the time of a commit: now, and not before its parent, so that the order by time is that
// of the history whatever this clock says.
func (s *Snapshot) when() time.Time {
	now := s.repo.now().UTC().Truncate(time.Second)
	if parent := s.head.Committer.When.UTC(); parent.After(now) {
		return parent
	}
	return now
}

func (m *making) pack() ([]byte, error) {
	var out bytes.Buffer
	if _, err := packfile.NewEncoder(&out, m.made, false).Encode(m.ids, 0); err != nil {
		return nil, fmt.Errorf("pack the commit: %w", err)
	}
	return out.Bytes(), nil
}

// push asks the server to have the branch go from the snapshot's head to the commit.
func (s *Snapshot) push(ctx context.Context, commit plumbing.Hash, pack []byte) error {
	r := s.repo
	answer, sent, err := r.wire.talk(ctx, receivePack, maxReport, func(refs *packp.AdvRefs) ([]byte, error) {
		switch at := refs.References[r.branch.String()]; {
		case at.IsZero():
			return nil, ErrNoBranch
		case at != s.head.Hash:
			return nil, fmt.Errorf("%w: it is at %s", ErrRaced, at)
		case !refs.Capabilities.Supports(capability.ReportStatus):
			return nil, fmt.Errorf("%w: it does not say what became of a push (report-status)", ErrRefused)
		}
		request := packp.NewReferenceUpdateRequest()
		request.Commands = []*packp.Command{{Name: r.branch, Old: s.head.Hash, New: commit}}
		if err := errors.Join(request.Capabilities.Set(capability.ReportStatus), request.Capabilities.Set(capability.Agent, agent)); err != nil {
			return nil, err
		}
		request.Packfile = io.NopCloser(bytes.NewReader(pack))
		var out bytes.Buffer
		err := request.Encode(&out)
		return out.Bytes(), err
	})
	if err == nil {
		err = r.reported(answer)
	}
	switch {
	case err == nil:
		return nil
	case sent && !errors.Is(err, ErrRefused):
		return fmt.Errorf("%w: %w", ErrUnanswered, err)
	case sent:
		return r.moved(ctx, s.head.Hash, err)
	}
	return err
}

// reported reads what became of a push. The error wraps ErrRefused where it was refused.
func (r *Repo) reported(answer []byte) error {
	report := packp.NewReportStatus()
	if err := report.Decode(bytes.NewReader(answer)); err != nil {
		return errors.New("what it says of the push is not whole")
	}
	if report.UnpackStatus != "ok" {
		return fmt.Errorf("%w: %s", ErrRefused, words("unpack: "+report.UnpackStatus))
	}
	for _, c := range report.CommandStatuses {
		switch {
		case c.ReferenceName != r.branch:
		case c.Status == "ok":
			return nil
		default:
			return fmt.Errorf("%w: %s", ErrRefused, words(c.Status))
		}
	}
	return errors.New("it says nothing of the branch")
}

// moved says why a push was refused: a server has many words for a branch that has moved, and so
// it is asked where the branch is.
func (r *Repo) moved(ctx context.Context, parent plumbing.Hash, refused error) error {
	var at plumbing.Hash
	_, _, err := r.wire.talk(ctx, uploadPack, maxReport, func(refs *packp.AdvRefs) ([]byte, error) {
		at = refs.References[r.branch.String()]
		return nil, nil //nolint:nilnil // There is nothing to ask for.
	})
	if err == nil && at != parent {
		return fmt.Errorf("%w: it is at %s: %w", ErrRaced, at, refused)
	}
	return refused
}
