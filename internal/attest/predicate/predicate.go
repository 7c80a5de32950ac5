// Package predicate knows the types of statements that gates commonly demand (PD-1.2),
// by the short names that people use, with a schema each. Any CI can produce Shipwarden's own
// from the schema alone; those of the others are there so that nobody signs what no gate can
// read, and demand no more than the type itself does.
package predicate

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"github.com/blackdice/shipwarden/internal/attest"
)

// CodeReview, ChangeRecord and Waiver are Shipwarden's own types.
const (
	CodeReview   = "https://github.com/blackdice/shipwarden/predicate/code-review/v1"
	ChangeRecord = "https://github.com/blackdice/shipwarden/predicate/change-record/v1"
	Waiver       = attest.WaiverType
)

// types are the types that have a short name; the schema of each is in the file of its name
// and the last part of its type.
var types = map[string]string{
	"code-review":   CodeReview,
	"change-record": ChangeRecord,
	"waiver":        Waiver,
	"provenance":    "https://slsa.dev/provenance/v1",
	"test-result":   "https://in-toto.io/attestation/test-result/v0.1",
	"vulns":         "https://in-toto.io/attestation/vulns/v0.2",
	"svr":           "https://in-toto.io/attestation/svr/v0.1",
	"vsa":           "https://slsa.dev/verification_summary/v1",
}

// ErrInvalid means that a predicate is not as its schema says.
var ErrInvalid = errors.New("predicate is not as its schema says")

//go:embed *.schema.json
var schemas embed.FS

// Names returns the short names, in alphabetical order.
func Names() []string { return slices.Sorted(maps.Keys(types)) }

// Type returns the type that a short name stands for, or what is a type already;
// false for a name that stands for nothing.
func Type(name string) (string, bool) {
	if t, ok := types[name]; ok {
		return t, true
	}
	return name, strings.Contains(name, "://")
}

// Check checks a predicate (JSON) of a type that has a short name against its schema,
// and of any other type that it is a JSON object. Errors wrap ErrInvalid and name every
// field at fault.
func Check(predicateType string, data []byte) error {
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		return fmt.Errorf("%w: no JSON: %w", ErrInvalid, err)
	}
	if _, ok := value.(map[string]any); !ok {
		return fmt.Errorf("%w: it is no JSON object", ErrInvalid)
	}
	all, err := compiled()
	if err != nil {
		return err
	}
	schema, known := all[predicateType]
	if !known {
		return nil
	}
	var invalid *jsonschema.ValidationError
	if err := schema.Validate(value); errors.As(err, &invalid) {
		return fmt.Errorf("%w: %s", ErrInvalid, strings.Join(faults(invalid), "; "))
	} else if err != nil {
		return fmt.Errorf("check predicate: %w", err)
	}
	return nil
}

var compiled = sync.OnceValues(func() (map[string]*jsonschema.Schema, error) {
	out := map[string]*jsonschema.Schema{}
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	for name, predicateType := range types {
		file := name + "-" + path.Base(predicateType) + ".schema.json"
		data, err := schemas.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("read schema: %w", err)
		}
		document, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
		if err != nil {
			return nil, fmt.Errorf("read schema %s: %w", file, err)
		}
		if err := compiler.AddResource(predicateType, document); err != nil {
			return nil, fmt.Errorf("read schema %s: %w", file, err)
		}
		if out[predicateType], err = compiler.Compile(predicateType); err != nil {
			return nil, fmt.Errorf("compile schema %s: %w", file, err)
		}
	}
	return out, nil
})

// faults names the leaves of an error, each with its path.
func faults(e *jsonschema.ValidationError) []string {
	var out []string
	for _, cause := range e.Causes {
		out = append(out, faults(cause)...)
	}
	if len(e.Causes) > 0 {
		return out
	}
	place := strings.Join(e.InstanceLocation, ".")
	if missing, ok := e.ErrorKind.(*kind.Required); ok {
		for _, name := range missing.Missing {
			out = append(out, strings.TrimPrefix(place+"."+name, ".")+": required")
		}
		return out
	}
	text := e.ErrorKind.LocalizedString(message.NewPrinter(language.English))
	if place == "" {
		return append(out, text)
	}
	return append(out, place+": "+text)
}
