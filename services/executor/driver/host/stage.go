package host

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/blackdice/shipwarden/services/executor/artifact"
	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/driver/fence"
)

// stagingPrefix begins the names of folders that are not releases yet, or no
// longer; whoever holds the lock may remove those that nobody fills.
const stagingPrefix = ".staging-"

// stage puts the artifact's content into a folder of its own, next to where it
// will be placed. It needs no lock and harms nobody when it is left half done. ""
// where the release is in its place already.
func (d *Driver) stage(ctx context.Context, plan driver.Plan) (string, error) {
	if d.intact(plan.Artifact.Digest) == nil {
		return "", nil
	}
	if err := os.MkdirAll(d.releases(), 0o755); err != nil {
		return "", fmt.Errorf("stage release: %w", err)
	}
	content, err := plan.Artifact.Open(ctx)
	if err != nil {
		return "", fmt.Errorf("stage release: %w", err)
	}
	defer func() { _ = content.Close() }()
	outer, err := os.MkdirTemp(d.releases(), stagingPrefix)
	if err != nil {
		return "", fmt.Errorf("stage release: %w", err)
	}
	inner := filepath.Join(outer, "release")
	if plan.Artifact.IsArchive() {
		err = artifact.Extract(content, inner, artifact.DefaultLimits)
	} else {
		err = placeFile(content, inner, plan.Artifact.Name)
	}
	if err != nil {
		_ = os.RemoveAll(outer)
		return "", fmt.Errorf("stage release: %w", err)
	}
	return outer, nil
}

// placeFile writes content, verified at its end, as an executable.
func placeFile(content io.Reader, folder, name string) error {
	if err := os.Mkdir(folder, 0o755); err != nil {
		return err
	}
	file, err := os.OpenFile(filepath.Join(folder, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755) //nolint:gosec // it is a program
	if err != nil {
		return err
	}
	_, err = io.Copy(file, content)
	if err == nil {
		err = file.Chmod(0o755) // whatever the umask
	}
	if err == nil {
		err = file.Sync()
	}
	if closed := file.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = fence.SyncFolder(folder)
	}
	return err
}

// install moves a staged release to its place. The caller holds the lock. A
// damaged release gives way; the application that runs from it is about to be
// restarted.
func (d *Driver) install(staged string, plan driver.Plan) error {
	if staged == "" || d.intact(plan.Artifact.Digest) == nil {
		return nil
	}
	hex, err := artifact.Hex(plan.Artifact.Digest)
	if err != nil {
		return err
	}
	inner := filepath.Join(staged, "release")
	tree, err := treeDigest(inner)
	if err != nil {
		return fmt.Errorf("install release: %w", err)
	}
	if err := os.Rename(d.place(hex), filepath.Join(staged, "damaged")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("install release: %w", err)
	}
	m := manifest{
		Digest: plan.Artifact.Digest, Name: plan.Artifact.Name, Version: plan.Version,
		Tree: tree, Placed: d.now().UTC(),
	}
	if err := d.writeManifest(hex, m); err != nil {
		return fmt.Errorf("install release: %w", err)
	}
	if err := os.Rename(inner, d.place(hex)); err != nil {
		return fmt.Errorf("install release: %w", err)
	}
	if err := fence.SyncFolder(d.releases()); err != nil {
		return fmt.Errorf("install release: %w", err)
	}
	return nil
}

// prune removes the oldest releases beyond those that are kept, and what crashes
// left of staging. The caller holds the lock. It never removes a release in
// needed. Leftovers cost space and nothing else, so nothing fails by them.
func (d *Driver) prune(needed ...string) {
	entries, err := os.ReadDir(d.releases())
	if err != nil {
		return
	}
	var all []manifest
	for _, entry := range entries {
		hex, isManifest := strings.CutSuffix(entry.Name(), ".json")
		if isManifest {
			if m, err := d.readManifest(hex); err == nil {
				all = append(all, m)
			}
			continue
		}
		// Another executor may be filling a young one; its fence is stale then, but
		// it is to learn that in good order.
		if info, err := entry.Info(); err == nil && strings.HasPrefix(entry.Name(), stagingPrefix) && d.now().Sub(info.ModTime()) > stagingAge {
			_ = os.RemoveAll(filepath.Join(d.releases(), entry.Name()))
		}
	}
	slices.SortFunc(all, func(a, b manifest) int { return cmp.Or(b.Placed.Compare(a.Placed), cmp.Compare(a.Digest, b.Digest)) })
	for i, m := range all {
		hex, err := artifact.Hex(m.Digest)
		if err != nil || i < d.keep || slices.Contains(needed, m.Digest) {
			continue
		}
		// The manifest goes last: as long as it is there, the next prune finds what
		// this one left.
		if os.RemoveAll(d.place(hex)) == nil {
			_ = os.Remove(d.manifest(hex))
		}
	}
}
