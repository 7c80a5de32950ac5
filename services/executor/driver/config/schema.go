package config

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

// maxFaults bounds how many places of a document are named.
const maxFaults = 16

// schema is what every document must fit.
type schema struct{ compiled *jsonschema.Schema }

// refusing loads nothing: a schema that leads elsewhere would be another one tomorrow.
type refusing struct{}

func (refusing) Load(url string) (any, error) {
	return nil, fmt.Errorf("it refers to %s, which is outside of it", url)
}

// readSchema reads a JSON Schema from a file.
func readSchema(path string) (*schema, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("%s: no JSON: %w", path, err)
	}
	compiler := jsonschema.NewCompiler()
	compiler.UseLoader(refusing{})
	compiler.AssertFormat()
	const name = "urn:shipwarden:schema"
	if err := compiler.AddResource(name, document); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	compiled, err := compiler.Compile(name)
	if err != nil {
		return nil, fmt.Errorf("%s: no JSON Schema: %w", path, err)
	}
	return &schema{compiled}, nil
}

// check holds a value against the schema. The error names the places at fault and what they
// violate, never a value, which may be a secret.
func (s *schema) check(v any) error {
	err := s.compiled.Validate(v)
	var invalid *jsonschema.ValidationError
	if !errors.As(err, &invalid) {
		return err
	}
	all := faults(invalid)
	slices.Sort(all)
	all = slices.Compact(all)
	if more := len(all) - maxFaults; more > 0 {
		all = append(all[:maxFaults], fmt.Sprintf("and %d more", more))
	}
	return fmt.Errorf("the document does not fit its schema: %s", strings.Join(all, "; "))
}

// faults names the leaves of an error, each with its place.
func faults(e *jsonschema.ValidationError) []string {
	var out []string
	for _, cause := range e.Causes {
		out = append(out, faults(cause)...)
	}
	if len(e.Causes) > 0 {
		return out
	}
	at := "/" + strings.Join(e.InstanceLocation, "/")
	switch k := e.ErrorKind.(type) {
	case *kind.Required:
		return []string{fmt.Sprintf("%s: %s required", at, strings.Join(k.Missing, ", "))}
	case *kind.AdditionalProperties:
		return []string{fmt.Sprintf("%s: %s not allowed", at, strings.Join(k.Properties, ", "))}
	case *kind.Type:
		return []string{fmt.Sprintf("%s: is a %s, must be a %s", at, k.Got, strings.Join(k.Want, " or a "))}
	}
	return []string{fmt.Sprintf("%s: %s", at, strings.Join(e.ErrorKind.KeywordPath(), "/"))}
}
