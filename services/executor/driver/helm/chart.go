package helm

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/artifact"
	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/driver/helm/apart"
)

const (
	// maxPacked is the most that a chart measures as an archive, in bytes: what is larger could be
	// kept neither by us nor by Helm, whose releases lie in a Secret.
	maxPacked = 1 << 20
	// maxChart is the most that it measures unpacked.
	maxChart = apart.MaxChart
	// maxFiles is the most entries of an archive.
	maxFiles = 2000
	// maxNested is how deep charts may lie in charts as archives.
	maxNested = 4
)

// check refuses what this driver cannot place.
func check(plan driver.Plan) error {
	if _, err := artifact.Hex(plan.Artifact.Digest); err != nil {
		return fmt.Errorf("artifact %s: %w: %w", plan.Artifact.Name, driver.ErrInvalid, err)
	}
	if plan.Artifact.Kind != releasev1.ArtifactKind_ARTIFACT_KIND_HELM_CHART {
		return fmt.Errorf("artifact %s: kind %s, a release of Helm takes charts: %w", plan.Artifact.Name, plan.Artifact.Kind, driver.ErrUnsupported)
	}
	return nil
}

// packed is the plan's chart as an archive, verified to its end.
func packed(ctx context.Context, plan driver.Plan) ([]byte, error) {
	content, err := plan.Artifact.OpenChart(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = content.Close() }()
	text, err := io.ReadAll(io.LimitReader(content, maxPacked+1))
	if len(text) > maxPacked {
		return nil, fmt.Errorf("artifact %s: the chart measures more than %d bytes: %w", plan.Artifact.Name, maxPacked, driver.ErrUnsupported)
	}
	return text, err
}

// look refuses a chart that is no archive of one, that unpacks to more than a release takes, or that cannot
// be placed. Errors wrap driver.ErrInvalid, driver.ErrUnsupported or artifact.ErrArchive.
func (d *Driver) look(ctx context.Context, text []byte) error {
	if err := unpacks(text); err != nil {
		return err
	}
	return apart.Read(ctx, d.limits, text)
}

// unpacks refuses what unpacks to more than a release takes, or to something else than files.
func unpacks(text []byte) error {
	left := artifact.Limits{Bytes: maxChart, Entries: maxFiles, Ratio: artifact.DefaultLimits.Ratio}
	if err := vet(text, 0, &left); err != nil {
		return fmt.Errorf("chart: %w", err)
	}
	return nil
}

// vet unpacks an archive within what is left of the limits of a release, and the archives in it: all of
// them together are within them, for Helm has all of them in memory. Nothing is left of it on disk.
func vet(text []byte, depth int, left *artifact.Limits) error {
	if depth > maxNested {
		return fmt.Errorf("charts lie in charts more than %d deep: %w", maxNested, driver.ErrUnsupported)
	}
	outer, err := os.MkdirTemp("", "shipwarden-chart-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(outer) }()
	inner := filepath.Join(outer, "content")
	if err := artifact.Extract(bytes.NewReader(text), inner, *left); err != nil {
		return err
	}
	root, err := os.OpenRoot(inner)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	return fs.WalkDir(root.FS(), ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil || entry.IsDir():
			return err
		case !entry.Type().IsRegular():
			return fmt.Errorf("%s is no file: links are not taken: %w", name, driver.ErrUnsupported)
		case strings.Contains(name, "\\"):
			return fmt.Errorf("%q is no name of a file: %w", name, driver.ErrInvalid)
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		left.Entries--
		left.Bytes -= info.Size()
		switch {
		case left.Entries < 0 || left.Bytes < 0:
			return fmt.Errorf("the charts in it measure more than %d bytes or have more than %d files: %w", maxChart, maxFiles, driver.ErrUnsupported)
		case path.Ext(name) != ".tgz" || path.Base(path.Dir(name)) != "charts":
			return nil
		}
		nested, err := fs.ReadFile(root.FS(), name)
		if err != nil {
			return err
		}
		if err := vet(nested, depth+1, left); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		return nil
	})
}
