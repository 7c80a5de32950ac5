package gitrepo

import (
	"context"
	"errors"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// minPrefix is how much of the name of a commit must be given at least, in digits.
const minPrefix = 12

// At is the branch as it was at one of its commits, which is named by its first 12 digits or more;
// false where the branch has none of that name. Errors as of Find.
func (s *Snapshot) At(ctx context.Context, id string) (*Snapshot, bool, error) {
	if len(id) < minPrefix {
		return nil, false, nil
	}
	return s.AtFirst(ctx, func(c Commit) bool { return strings.HasPrefix(c.ID, id) })
}

// AtFirst is the branch as it was at the newest commit, by its own word, that match says yes to.
// Errors as of Find.
func (s *Snapshot) AtFirst(ctx context.Context, match func(Commit) bool) (*Snapshot, bool, error) {
	var found *Snapshot
	err := s.walk(ctx, func(c *object.Commit) (bool, error) {
		if !match(s.commitOf(c)) {
			return true, nil
		}
		found = &Snapshot{repo: s.repo, objects: s.objects, head: c, tree: c.TreeHash}
		return false, errEnough
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return found, found != nil, err
}

// Word is a note that a person has written, which begins a branch's memory anew.
type Word struct {
	// Commit has it; "" where there is none.
	Commit string
	// Made is the second at which that was made, by its own word; 0 where nobody knows.
	Made int64
}

// After reports whether it begins anew what another one began. An older one comes back where a branch
// is set back to before the newest.
func (w Word) After(other Word) bool {
	return w.Commit != "" && w.Commit != other.Commit && (w.Made == 0 || w.Made >= other.Made)
}

// Dated is a word with the time at which it was made, where it lacks that and the branch has it as far
// back as it is looked through. Errors as of Find, but ErrTooOld.
func (s *Snapshot) Dated(ctx context.Context, w Word) (Word, error) {
	if w.Commit == "" || w.Made != 0 {
		return w, nil
	}
	at, there, err := s.At(ctx, w.Commit)
	if errors.Is(err, ErrTooOld) || err == nil && !there {
		return w, nil
	}
	if err != nil {
		return w, err
	}
	w.Made = at.Commit().When.Unix()
	return w, nil
}

// Since is the commit since which there is at a path what is there now, be it nothing: the oldest
// of the newest commits that have it so. Where branches were merged it is that by their own times.
// Errors as of Find.
func (s *Snapshot) Since(ctx context.Context, path string) (Commit, error) {
	if err := CheckPath(path); err != nil {
		return Commit{}, err
	}
	var since Commit
	var now plumbing.Hash
	err := s.walk(ctx, func(c *object.Commit) (bool, error) {
		entry, there, err := s.objects.entry(c.TreeHash, path)
		if errors.Is(err, ErrInvalid) {
			there, err = false, nil
		}
		if err != nil {
			return false, err
		}
		if !there {
			entry.Hash = plumbing.ZeroHash
		}
		if since.ID == "" {
			now = entry.Hash
		} else if entry.Hash != now {
			return false, errEnough
		}
		since = s.commitOf(c)
		return true, nil
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return since, err
}
