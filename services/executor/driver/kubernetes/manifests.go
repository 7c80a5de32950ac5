package kubernetes

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/artifact"
	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/driver/cluster"
)

// check refuses what this driver cannot place.
func check(plan driver.Plan) error {
	if _, err := artifact.Hex(plan.Artifact.Digest); err != nil {
		return fmt.Errorf("artifact %s: %w: %w", plan.Artifact.Name, driver.ErrInvalid, err)
	}
	switch plan.Artifact.Kind {
	case releasev1.ArtifactKind_ARTIFACT_KIND_FILE, releasev1.ArtifactKind_ARTIFACT_KIND_CONFIGURATION:
	case releasev1.ArtifactKind_ARTIFACT_KIND_ARCHIVE:
		if !plan.Artifact.IsArchive() {
			return fmt.Errorf("artifact %s: an archive of manifests is a tar.gz: %w", plan.Artifact.Name, driver.ErrUnsupported)
		}
	default:
		return fmt.Errorf("artifact %s: kind %s, a namespace takes files, configuration documents and tar.gz archives of manifests: %w",
			plan.Artifact.Name, plan.Artifact.Kind, driver.ErrUnsupported)
	}
	return nil
}

// manifests reads what the plan's artifact holds, and refuses what does not belong into the
// namespace.
func (d *Driver) manifests(ctx context.Context, plan driver.Plan) (cluster.Set, error) {
	content, err := plan.Artifact.Open(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = content.Close() }()
	var files [][]byte
	if plan.Artifact.IsArchive() {
		if files, err = unpack(content); err != nil {
			return nil, err
		}
	} else {
		text, err := io.ReadAll(io.LimitReader(content, cluster.MaxManifests+1))
		if err != nil {
			return nil, err
		}
		files = [][]byte{text}
	}
	s, err := d.Parse(files, cluster.Rules{})
	if err != nil {
		return nil, fmt.Errorf("artifact %s: %w", plan.Artifact.Name, err)
	}
	return s, nil
}

// unpack reads the manifests of an archive in the order of their names.
func unpack(content io.Reader) ([][]byte, error) {
	outer, err := os.MkdirTemp("", "shipwarden-manifests-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(outer) }()
	inner := filepath.Join(outer, "content")
	limits := artifact.DefaultLimits
	limits.Bytes = 2 * cluster.MaxManifests
	if err := artifact.Extract(content, inner, limits); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(inner)
	if err != nil {
		return nil, err
	}
	defer func() { _ = root.Close() }()
	var files [][]byte
	err = fs.WalkDir(root.FS(), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() || !slices.Contains([]string{".yaml", ".yml", ".json"}, path.Ext(name)) {
			return err
		}
		text, err := fs.ReadFile(root.FS(), name)
		files = append(files, text)
		return err
	})
	return files, err
}
