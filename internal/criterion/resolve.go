package criterion

import (
	"fmt"

	"google.golang.org/protobuf/proto"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// Names are what placeholders of a check stand for where it is made.
type Names struct{ Target, Service, Environment, Digest string }

// Fault is one thing that is wrong with a check beside what its schema says.
type Fault struct {
	// Field is the path within the check, such as prometheus.query.
	Field string
	// Rule is a stable word, Message what is wrong, for a person.
	Rule, Message string
}

// Faults are what is wrong with a check beside what its schema says. A check that has one
// can have no verdict.
func Faults(c *releasev1.Check) []Fault {
	k, ok := kinds[Kind(c)]
	if !ok || k.faults == nil {
		return nil
	}
	return k.faults(c)
}

// Resolve returns the check with everything in place of its placeholders. A check without
// any is returned as it is, and never changed. The error names the field.
func Resolve(c *releasev1.Check, names Names) (*releasev1.Check, error) {
	if c.GetPrometheus() == nil && c.GetLogs() == nil {
		return c, nil
	}
	values := map[string]string{
		"target": names.Target, "service": names.Service, "environment": names.Environment, "digest": names.Digest,
	}
	out := proto.CloneOf(c)
	type field struct {
		name string
		text *string
	}
	var fields []field
	if p := out.GetPrometheus(); p != nil {
		fields = []field{{"prometheus.query", &p.Query}, {"prometheus.max_age_of", &p.MaxAgeOf}}
	}
	if p := out.GetLogs(); p != nil {
		fields = []field{{"logs.selector", &p.Selector}}
	}
	for _, field := range fields {
		filled, err := fill(*field.text, values)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", field.name, err)
		}
		*field.text = filled
	}
	return out, nil
}
