package gitops

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/driver/cluster"
	"github.com/blackdice/shipwarden/services/executor/driver/gitrepo"
)

var _ driver.Inspector = (*Driver)(nil)

// Inspect implements driver.Inspector: the files of the folder are held to the commit that placed
// them, and what is in the cluster to the files, as far as the resource tells.
func (d *Driver) Inspect(ctx context.Context) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, cluster.LookTime)
	defer cancel()
	lines, err := d.inspect(ctx)
	if err != nil {
		return nil, fmt.Errorf("look at what was changed on target %s: %w", d.target, cluster.Told(err))
	}
	return lines, nil
}

func (d *Driver) inspect(ctx context.Context) ([]string, error) {
	s, err := d.load(ctx)
	if errors.Is(err, driver.ErrConflict) {
		return []string{printable(err.Error())}, nil
	}
	if err != nil {
		return nil, err
	}
	var lines []string
	for _, why := range s.uncounted {
		lines = append(lines, printable("a record counts for nothing: "+why))
	}
	if s.note.Digest == "" {
		return lines, nil
	}
	changed, err := d.foreign(ctx, s)
	if err != nil {
		return nil, err
	}
	for _, f := range changed {
		lines = append(lines, printable(fmt.Sprintf("%s: is not as it was placed, %s", f.file, f.who)))
	}
	seen, err := d.resource.Look(ctx)
	if err != nil {
		return nil, err
	}
	has, err := d.has(ctx, s, seen.Revision)
	switch {
	case err != nil:
		return nil, err
	case has:
		lines = append(lines, seen.Drift...)
	case len(lines) == 0:
		return nil, fmt.Errorf("%s has not placed what the repository has: %s: %w", d.resource, seen.Message, driver.ErrUnknown)
	}
	slices.Sort(lines)
	return slices.Compact(lines), nil
}

// theirs is a file that somebody else has changed, and who.
type theirs struct{ file, who string }

// foreign are the files of the folder that are not as they were placed; nil where all are.
func (d *Driver) foreign(ctx context.Context, s state) ([]theirs, error) {
	if s.note.Digest == "" || s.ours() {
		return nil, nil
	}
	placed := make(map[string][]byte)
	at, there, err := s.placed(ctx, d)
	if err == nil && there {
		placed, err = d.folder(ctx, at)
	}
	if err != nil {
		return nil, wrong(err)
	}
	all := maps.Clone(placed)
	maps.Copy(all, s.files)
	var out []theirs
	for _, name := range slices.Sorted(maps.Keys(all)) {
		was, before := placed[name]
		is, now := s.files[name]
		if before == now && string(was) == string(is) {
			continue
		}
		by, err := s.Since(ctx, d.path+"/"+name)
		if err != nil {
			return nil, wrong(err)
		}
		out = append(out, theirs{file: name, who: fmt.Sprintf("since commit %s by %s", short(by.ID), by.Committer)})
	}
	return out, nil
}

// placed is the newest commit of ours.
func (s state) placed(ctx context.Context, d *Driver) (*gitrepo.Snapshot, bool, error) {
	return s.AtFirst(ctx, func(c gitrepo.Commit) bool {
		n, there, err := d.noteOf(s.signers, c)
		return err == nil && there && n.Serial == s.note.Serial
	})
}
