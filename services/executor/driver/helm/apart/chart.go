package apart

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"regexp"
	"strings"
	"unicode"

	"helm.sh/helm/v4/pkg/chart/loader/archive"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	loader "helm.sh/helm/v4/pkg/chart/v2/loader"
	"sigs.k8s.io/yaml"

	"github.com/blackdice/shipwarden/services/executor/driver"
)

// MaxChart is the most that a chart measures unpacked, in bytes.
const MaxChart = 16 << 20

func init() { archive.MaxDecompressedChartSize = MaxChart }

// read reads a chart from its archive, which was looked at for what it unpacks to, after that has been
// looked at which Helm's own reader takes as it comes. Errors wrap driver.ErrInvalid or
// driver.ErrUnsupported.
func read(text []byte) (*chart.Chart, error) {
	files, err := archive.LoadArchiveFiles(bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("chart: %w: %w", driver.ErrInvalid, err)
	}
	if err := once(files); err != nil {
		return nil, fmt.Errorf("chart: %w", err)
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

// saysTwice are the files in which of a key that is there twice Helm takes the last one, and whoever
// reads the chart the first.
var saysTwice = regexp.MustCompile(`^(charts/[^/]+/)*(Chart|values)\.yaml$`)

// once refuses files with a key that is there twice, also in the archives among them, and does not quote
// them.
func once(files []*archive.BufferedFile) error {
	for _, f := range files {
		switch {
		case saysTwice.MatchString(f.Name):
			if _, err := yaml.YAMLToJSONStrict(f.Data); err != nil {
				return fmt.Errorf("%s has a key twice, or is no YAML: %w", f.Name, driver.ErrInvalid)
			}
		case path.Ext(f.Name) == ".tgz" && path.Base(path.Dir(f.Name)) == "charts":
			nested, err := archive.LoadArchiveFiles(bytes.NewReader(f.Data))
			if err != nil {
				return fmt.Errorf("%s: %w: %w", f.Name, driver.ErrInvalid, err)
			}
			if err := once(nested); err != nil {
				return fmt.Errorf("%s: %w", f.Name, err)
			}
		}
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
