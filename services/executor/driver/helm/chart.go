package helm

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"unicode"

	"helm.sh/helm/v4/pkg/chart/loader/archive"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	loader "helm.sh/helm/v4/pkg/chart/v2/loader"
	"sigs.k8s.io/yaml"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/artifact"
	"github.com/blackdice/shipwarden/services/executor/driver"
)

const (
	// maxPacked is the most that a chart measures as an archive, in bytes: what is larger could be
	// kept neither by us nor by Helm, whose releases lie in a Secret.
	maxPacked = 1 << 20
	// maxChart is the most that it measures unpacked.
	maxChart = 16 << 20
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

// load reads a chart from its archive, after everything has been looked at that Helm's own reader
// takes as it comes. Errors wrap driver.ErrInvalid, driver.ErrUnsupported or artifact.ErrArchive.
func load(text []byte) (*chart.Chart, error) {
	left := artifact.Limits{Bytes: maxChart, Entries: maxFiles, Ratio: artifact.DefaultLimits.Ratio}
	if err := vet(text, 0, &left); err != nil {
		return nil, fmt.Errorf("chart: %w", err)
	}
	files, err := archive.LoadArchiveFiles(bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("chart: %w: %w", driver.ErrInvalid, err)
	}
	if err := printable(files); err != nil {
		return nil, err
	}
	c, err := loader.LoadFiles(files)
	if err != nil {
		return nil, fmt.Errorf("chart: %w: %w", driver.ErrInvalid, err)
	}
	return c, admissible(c)
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
		case saysTwice.MatchString(name):
			return once(root.FS(), name)
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

// saysTwice are the files in which of a key that is there twice Helm takes the last one, and whoever
// reads the chart the first.
var saysTwice = regexp.MustCompile(`^[^/]+(/charts/[^/]+)*/(Chart|values)\.yaml$`)

// once refuses a file with a key that is there twice, and does not quote it.
func once(in fs.FS, name string) error {
	text, err := fs.ReadFile(in, name)
	if err != nil {
		return err
	}
	if _, err := yaml.YAMLToJSONStrict(text); err != nil {
		return fmt.Errorf("%s has a key twice, or is no YAML: %w", name, driver.ErrInvalid)
	}
	return nil
}

// admissible refuses what a chart may hold and a target must not have done to it.
func admissible(c *chart.Chart) error {
	meta := c.Metadata
	if meta.Type == "library" {
		return fmt.Errorf("chart %s: is a library, which installs nothing: %w", meta.Name, driver.ErrUnsupported)
	}
	if crds := c.CRDObjects(); len(crds) > 0 {
		return fmt.Errorf("chart %s: has kinds of its own (%s), which lie in no namespace: install them beforehand, and leave them out: %w",
			meta.Name, crds[0].Filename, driver.ErrUnsupported)
	}
	if err := vendored(c); err != nil {
		return err
	}
	return schemas(c)
}

// printable refuses a chart whose name is not what people see of it: Helm leaves out what does not print.
func printable(files []*archive.BufferedFile) error {
	for _, f := range files {
		if f.Name != "Chart.yaml" {
			continue
		}
		var says struct {
			Name       string `json:"name"`
			Version    string `json:"version"`
			AppVersion string `json:"appVersion"`
		}
		if err := yaml.Unmarshal(f.Data, &says); err != nil {
			return fmt.Errorf("chart: Chart.yaml: %w: %w", driver.ErrInvalid, err)
		}
		for what, text := range map[string]string{"name": says.Name, "version": says.Version, "appVersion": says.AppVersion} {
			if strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) || len(text) > 250 {
				return fmt.Errorf("chart: its %s has characters that do not print, or too many: %w", what, driver.ErrInvalid)
			}
		}
	}
	return nil
}

// vendored refuses a chart that needs another which it does not bring along.
func vendored(c *chart.Chart) error {
	have := map[string]bool{}
	for _, d := range c.Dependencies() {
		have[d.Metadata.Name] = true
	}
	for _, d := range c.Metadata.Dependencies {
		if d != nil && !have[d.Name] {
			return fmt.Errorf("chart %s: needs chart %s and does not bring it along: %w", c.Metadata.Name, d.Name, driver.ErrInvalid)
		}
	}
	return nil
}

// schemas refuses a schema that leads out of itself: whoever checks values by it would fetch what it
// names, from wherever that is.
func schemas(c *chart.Chart) error {
	if len(c.Schema) > 0 {
		var schema any
		if err := json.Unmarshal(c.Schema, &schema); err != nil {
			return fmt.Errorf("chart %s: values.schema.json: %w: %w", c.Metadata.Name, driver.ErrInvalid, err)
		}
		if err := inward(schema); err != nil {
			return fmt.Errorf("chart %s: values.schema.json: %w", c.Metadata.Name, err)
		}
	}
	var problems []error
	for _, d := range c.Dependencies() {
		problems = append(problems, schemas(d))
	}
	return errors.Join(problems...)
}

// ofSchemas is the address of a schema of schemas.
var ofSchemas = regexp.MustCompile(`^https?://json-schema\.org/`)

func inward(schema any) error {
	switch s := schema.(type) {
	case map[string]any:
		for name, value := range s {
			text, ok := value.(string)
			if ok && (name == "$ref" || name == "$dynamicRef" || name == "$recursiveRef") && !strings.HasPrefix(text, "#") {
				return fmt.Errorf("%s leads to %q, and only what is in the schema itself is looked at: %w", name, text, driver.ErrUnsupported)
			}
			if ok && name == "$schema" && !ofSchemas.MatchString(text) {
				return fmt.Errorf("$schema is %q, and none of json-schema.org: %w", text, driver.ErrUnsupported)
			}
			if err := inward(value); err != nil {
				return err
			}
		}
	case []any:
		for _, value := range s {
			if err := inward(value); err != nil {
				return err
			}
		}
	}
	return nil
}
