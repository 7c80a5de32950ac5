package helm

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"sigs.k8s.io/yaml"

	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/driver/cluster"
)

const (
	// maxValues is the most that a file of values, or of a secret, may measure, in bytes.
	maxValues = 256 << 10
	// minSecret is the least that a secret measures: what is shorter could not be told from what
	// happens to look like it, and would be found at once.
	minSecret = 6
)

var (
	// releaseName is a label of RFC 1123 that no reader of YAML takes for something else by itself.
	releaseName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?$`)
	valuePath   = regexp.MustCompile(`^[A-Za-z0-9_-]+([.][A-Za-z0-9_-]+)*$`)
)

// values is where the values of a release come from besides its chart.
type values struct {
	file       string
	parameters []*configv1.HelmParameter
	secrets    []*configv1.HelmSecret
}

func configuredValues(c *configv1.HelmDriver) (values, error) {
	v := values{file: c.GetValuesFile(), parameters: c.GetParameters(), secrets: c.GetSecrets()}
	var problems []error
	if v.file != "" && !filepath.IsAbs(v.file) {
		problems = append(problems, errors.New("values_file: must be an absolute path"))
	}
	seen := map[string]string{}
	look := func(field, path string) {
		if !valuePath.MatchString(path) {
			problems = append(problems, fmt.Errorf("%s.value: %q is no path of names with dots between them", field, path))
			return
		}
		for other, at := range seen {
			if other == path || strings.HasPrefix(other, path+".") || strings.HasPrefix(path, other+".") {
				problems = append(problems, fmt.Errorf("%s.value: %s is that of %s, or a part of it", field, path, at))
			}
		}
		seen[path] = field
	}
	for i, p := range v.parameters {
		look(fmt.Sprintf("parameters[%d]", i), p.GetValue())
	}
	for i, s := range v.secrets {
		field := fmt.Sprintf("secrets[%d]", i)
		look(field, s.GetValue())
		if !filepath.IsAbs(s.GetFile()) {
			problems = append(problems, fmt.Errorf("%s.file: must be an absolute path", field))
		}
	}
	return v, errors.Join(problems...)
}

// CheckFiles says which files of values and secrets cannot be read, without saying what is in them.
func CheckFiles(c *configv1.HelmDriver) error {
	v := values{file: c.GetValuesFile(), secrets: c.GetSecrets()}
	plain, err := v.plain(nil)
	if err == nil {
		_, _, err = v.reveal(plain)
	}
	return err
}

// plain are the values that may be seen and kept: those of the file, and the plan's parameters. Errors
// wrap driver.ErrInvalid, and quote nothing of the file.
func (v values) plain(parameters map[string]string) (map[string]any, error) {
	out := map[string]any{}
	if v.file != "" {
		text, err := small(v.file)
		if err != nil {
			return nil, fmt.Errorf("values_file: %w", err)
		}
		if err := yaml.UnmarshalStrict(text, &out, numbers); err != nil {
			return nil, fmt.Errorf("values_file: is no map of values: %w", driver.ErrInvalid)
		}
		if out == nil {
			out = map[string]any{}
		}
	}
	for _, p := range v.parameters {
		text, given := parameters[p.GetParameter()]
		if !given {
			continue
		}
		var value any = text
		if p.GetInteger() {
			n, err := strconv.ParseInt(text, 10, 64)
			if err != nil {
				return nil, fmt.Errorf("parameter %s: must be a whole number: %w", p.GetParameter(), driver.ErrInvalid)
			}
			value = n
		}
		if err := set(out, p.GetValue(), value); err != nil {
			return nil, fmt.Errorf("parameter %s: %w", p.GetParameter(), err)
		}
	}
	return out, nil
}

// reveal adds the secrets to a copy of values, and says which texts nobody may see.
func (v values) reveal(plain map[string]any) (all map[string]any, hidden []string, err error) {
	text, err := json.Marshal(plain)
	if err == nil {
		err = numbers(json.NewDecoder(bytes.NewReader(text))).Decode(&all)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("values: %w: %w", driver.ErrInvalid, err)
	}
	for i, s := range v.secrets {
		text, err := small(s.GetFile())
		if err != nil {
			return nil, nil, fmt.Errorf("secrets[%d].file: %w", i, err)
		}
		secret := strings.TrimSuffix(string(text), "\n")
		if len(secret) < minSecret {
			return nil, nil, fmt.Errorf("secrets[%d].file: a secret has at least %d letters: %w", i, minSecret, driver.ErrInvalid)
		}
		if err := set(all, s.GetValue(), secret); err != nil {
			return nil, nil, fmt.Errorf("secrets[%d]: %w", i, err)
		}
		hidden = append(hidden, secret)
		// A chart may trim it.
		if trimmed := strings.TrimSpace(secret); trimmed != secret && len(trimmed) >= minSecret {
			hidden = append(hidden, trimmed)
		}
	}
	return all, hidden, nil
}

// small reads a file that must not be large. The error says nothing of what is in it.
func small(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	text, err := io.ReadAll(io.LimitReader(file, maxValues+1))
	if len(text) > maxValues {
		return nil, fmt.Errorf("more than %d bytes: %w", maxValues, driver.ErrInvalid)
	}
	return text, err
}

// numbers has numbers as they are written: as a float, a million is 1e+06 in a manifest.
func numbers(d *json.Decoder) *json.Decoder {
	d.UseNumber()
	return d
}

// set sets a value by its path; what stands in its way and is no map is refused.
func set(in map[string]any, path string, value any) error {
	names := strings.Split(path, ".")
	for _, name := range names[:len(names)-1] {
		if in[name] == nil {
			in[name] = map[string]any{}
		}
		next, ok := in[name].(map[string]any)
		if !ok {
			return fmt.Errorf("value %s: %s is no map: %w", path, name, driver.ErrInvalid)
		}
		in = next
	}
	in[names[len(names)-1]] = value
	return nil
}

const (
	// hexSum is how much of a digest of values is in a name, and hexSumOnce how much was: two of so few
	// letters can meet.
	hexSum, hexSumOnce = 16, 8
)

// sum tells values apart, for a name.
func sum(plain map[string]any) (string, error) {
	text, err := json.Marshal(plain)
	return fmt.Sprintf("%x", sha256.Sum256(text))[:hexSum], err
}

// sameValues reports whether a sum is that of values which were placed, be it by an earlier program.
func sameValues(now, placed string) bool {
	return now == placed || len(placed) == hexSumOnce && strings.HasPrefix(now, placed)
}

// scrub is a text without the secrets, whichever way they are written.
func scrub(text string, hidden []string) string {
	for _, form := range cluster.Forms(hidden) {
		text = strings.ReplaceAll(text, form, "(secret)")
	}
	return text
}

// scrubbed is an error without the secrets.
type scrubbed struct {
	error
	hidden []string
}

func (s scrubbed) Unwrap() error { return s.error }

func (s scrubbed) Error() string { return scrub(s.error.Error(), s.hidden) }
