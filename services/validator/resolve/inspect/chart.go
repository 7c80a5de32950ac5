package inspect

import (
	"fmt"
	"io"
	"path"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
	"golang.org/x/mod/semver"
)

// Chart is what a Helm chart says of itself.
type Chart struct {
	APIVersion string `yaml:"apiVersion"`
	Name       string `yaml:"name"`
	Version    string `yaml:"version"`
	AppVersion string `yaml:"appVersion"`
	Type       string `yaml:"type"`
}

// Title names the chart for people.
func (c Chart) Title() string {
	if c.AppVersion == "" {
		return "chart " + c.Name + " " + c.Version
	}
	return "chart " + c.Name + " " + c.Version + " of " + c.AppVersion
}

// maxDocument bounds the documents that are read whole.
const maxDocument = 1 << 20

var chartName = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$`)

// HelmChart walks a packaged chart. All of it lies in one folder that has the chart's
// name, as Helm packs it; its version is a full semantic version.
func HelmChart(content io.Reader) (Chart, error) {
	var chart Chart
	top, found, templates := "", false, false
	err := walk(content, Small, func(name string, file io.Reader) error {
		folder, rest, nested := strings.Cut(name, "/")
		switch {
		case !nested:
			return fmt.Errorf("%q does not lie in the chart's folder: %w", name, ErrKind)
		case top != "" && folder != top:
			return fmt.Errorf("it has two folders, %q and %q: %w", top, folder, ErrKind)
		}
		top = folder
		templates = templates || strings.HasPrefix(rest, "templates/")
		if rest != "Chart.yaml" {
			return nil
		}
		found = true
		body, err := document(file)
		if err != nil {
			return err
		}
		if err := yaml.Unmarshal(body, &chart); err != nil {
			return fmt.Errorf("Chart.yaml: %w: %w", ErrKind, err) //nolint:staticcheck // it is the name of a file
		}
		return nil
	})
	switch {
	case err != nil:
		return Chart{}, err
	case !found:
		return Chart{}, fmt.Errorf("it has no Chart.yaml: %w", ErrKind)
	case chart.APIVersion != "v1" && chart.APIVersion != "v2":
		return Chart{}, fmt.Errorf("apiVersion of Chart.yaml is %.80q, must be v1 or v2: %w", chart.APIVersion, ErrKind)
	case !chartName.MatchString(chart.Name):
		return Chart{}, fmt.Errorf("name of Chart.yaml is %.80q: %w", chart.Name, ErrKind)
	case chart.Name != top:
		return Chart{}, fmt.Errorf("name of Chart.yaml is %q, and its folder is %q: %w", chart.Name, top, ErrKind)
	case len(chart.Version) > 128 || !fullVersion(chart.Version):
		return Chart{}, fmt.Errorf("version of Chart.yaml is %.80q, must be a semantic version: %w", chart.Version, ErrKind)
	case len(chart.AppVersion) > 128 || strings.ContainsFunc(chart.AppVersion, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return Chart{}, fmt.Errorf("appVersion of Chart.yaml is too long or does not print: %w", ErrKind)
	case chart.Type == "library":
		return Chart{}, fmt.Errorf("it is a library, and nothing that could be released: %w", ErrKind)
	case !templates:
		return Chart{}, fmt.Errorf("it has no templates: %w", ErrKind)
	}
	return chart, nil
}

// fullVersion reports whether a version has all of its three numbers.
func fullVersion(version string) bool {
	v := "v" + version
	return semver.IsValid(v) && semver.Canonical(v) == strings.TrimSuffix(v, semver.Build(v))
}

// Named refuses a chart that is asked for under another name or version than its own:
// of an archive by its file's name, of a repository by its last part and its tag, in
// which "+" is written "_".
func (c Chart) Named(location, tag string) error {
	base := path.Base(location)
	if archive, ok := strings.CutSuffix(base, ".tgz"); ok {
		if archive != c.Name+"-"+c.Version {
			return fmt.Errorf("it is %s-%s, and its file is called %q: %w", c.Name, c.Version, base, ErrKind)
		}
		return nil
	}
	if base != c.Name {
		return fmt.Errorf("it is %q, and its repository ends with %q: %w", c.Name, base, ErrKind)
	}
	if tag != "" && tag != strings.ReplaceAll(c.Version, "+", "_") {
		return fmt.Errorf("it has version %s, and its tag is %q: %w", c.Version, tag, ErrKind)
	}
	return nil
}

// document reads a file that may not be large.
func document(file io.Reader) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(file, maxDocument+1))
	if err == nil && len(body) > maxDocument {
		err = fmt.Errorf("a document of more than %d bytes: %w", maxDocument, ErrKind)
	}
	return body, err
}
