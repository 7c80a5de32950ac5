package gitops

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/driver/gitrepo"
)

const (
	// lookFirst is the pause after the first look at a resource that is not healthy yet, lookEvery
	// the longest, and readEvery the time between two looks at the branch meanwhile.
	lookFirst = 50 * time.Millisecond
	lookEvery = time.Second
	readEvery = 5 * time.Second
)

var (
	errFailed = errors.New("has failed")
	errSlow   = errors.New("not healthy in time")
)

// has says whether a commit has the newest change of the folder, and its files as the branch has
// them: one that came later may have changed them again. A commit that the branch does not have is
// none of ours.
func (d *Driver) has(ctx context.Context, s state, commit string) (bool, error) {
	if commit == "" {
		return false, nil
	}
	at, there, err := s.At(ctx, commit)
	if err != nil || !there {
		return false, d.tooOld(err)
	}
	then, err := d.read(ctx, at)
	return err == nil && then.note.Change == s.note.Change && then.sum == s.sum, err
}

// tooOld is what is left of an error where a commit that is too old to be looked for does not have
// the newest change.
func (d *Driver) tooOld(err error) error {
	if errors.Is(err, gitrepo.ErrTooOld) {
		return nil
	}
	return wrong(err)
}

// wait is the wait for one change.
type wait struct {
	driver *Driver
	change *change
	state  state
	// why says in a line what is lacking.
	why string

	// commits are those that were judged, by the branch as it is in state.
	commits map[string]bool
	read    time.Time
	// failed is since when the resource says that it has failed.
	failed time.Time
}

// done waits until the resource says that it has the change and is healthy, and returns the commit
// that it names.
func (w *wait) done(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, w.driver.timeout, errSlow)
	defer cancel()
	pause := lookFirst
	timer := time.NewTimer(pause)
	defer timer.Stop()
	w.read, w.commits = time.Now(), make(map[string]bool)
	for {
		at, err := w.look(ctx)
		switch {
		case err != nil && ctx.Err() != nil, err == nil && at == "" && ctx.Err() != nil:
			if w.why == "" {
				return "", context.Cause(ctx)
			}
			return "", fmt.Errorf("%w: %s", context.Cause(ctx), w.why)
		case err != nil || at != "":
			return at, err
		}
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		pause = min(2*pause, lookEvery)
		timer.Reset(pause)
	}
}

// look looks once. It returns the commit at which the resource is healthy, "" where it is not yet.
func (w *wait) look(ctx context.Context) (string, error) {
	if time.Since(w.read) >= readEvery {
		if err := w.again(ctx); err != nil {
			return "", err
		}
	}
	seen, err := w.driver.resource.Look(ctx)
	if err != nil {
		return "", err
	}
	has, err := w.has(ctx, seen.Revision)
	if err != nil {
		return "", err
	}
	if has && seen.Synced && seen.Healthy {
		// Nobody has come since, and nobody has changed it.
		if err := w.again(ctx); err != nil {
			return "", err
		}
		if still, err := w.has(ctx, seen.Revision); err != nil || !still {
			return "", err
		}
		return seen.Revision, nil
	}
	w.why = fmt.Sprintf("%s: %s", w.driver.resource, seen.Message)
	if !has {
		w.why += ", at " + orNothing(short(seen.Revision)) + ", which does not have the change"
	}
	return "", w.judge(ctx, seen.Failed, seen.Tried)
}

// judge ends the wait where the resource has said long enough that a commit with the change failed.
func (w *wait) judge(ctx context.Context, failed, tried string) error {
	if failed == "" {
		w.failed = time.Time{}
		return nil
	}
	has, err := w.has(ctx, tried)
	if err != nil || !has {
		w.failed = time.Time{}
		return err
	}
	w.why = fmt.Sprintf("%s: %s", w.driver.resource, failed)
	switch now := time.Now(); {
	case w.failed.IsZero():
		w.failed = now
	case now.Sub(w.failed) >= w.driver.failedFor:
		return fmt.Errorf("%s at commit %s: %w: %s", w.driver.resource, short(tried), errFailed, failed)
	}
	return nil
}

// has says whether a commit has the change. One that is not known is looked for on the branch as it
// is now.
func (w *wait) has(ctx context.Context, commit string) (bool, error) {
	if has, known := w.commits[commit]; known {
		return has, nil
	}
	has, err := w.driver.has(ctx, w.state, commit)
	if err != nil {
		return false, err
	}
	if !has && commit != "" && !strings.HasPrefix(w.state.Commit().ID, commit) {
		if err := w.again(ctx); err != nil {
			return false, err
		}
		has, err = w.driver.has(ctx, w.state, commit)
	}
	w.commits[commit] = has
	return has, err
}

// again reads the branch, and ends the wait where somebody newer has the target, or somebody else
// has changed the folder.
func (w *wait) again(ctx context.Context) error {
	was := w.state.Commit().ID
	s, err := w.driver.load(ctx)
	if errors.Is(err, gitrepo.ErrUnavailable) && ctx.Err() == nil {
		return fmt.Errorf("%w: nobody knows whether the folder is as it was pushed: %w", driver.ErrUnknown, err)
	}
	if err != nil {
		return err
	}
	w.read = time.Now()
	if err := s.note.Holds(w.change.key, w.change.fence); err != nil {
		return err
	}
	if !s.ours() {
		return w.driver.byHand(ctx, s)
	}
	w.state = s
	if s.Commit().ID != was {
		clear(w.commits)
	}
	return nil
}
