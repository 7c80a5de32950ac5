package changerecord

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"

	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// kept is what decided of an answer, as evidence, with where what is in it: whoever has it
// can read it again without the configuration of that day. When it was asked for is in the
// event that names it, and what the system says besides decides nothing: an answer that says
// the same is the same document, however often the record is looked up.
type kept struct {
	Connector string `json:"connector"`
	Asked     string `json:"asked"`
	// Time is in what was kept before that.
	Time   string            `json:"time,omitempty"`
	Status int               `json:"status"`
	Found  bool              `json:"found"`
	Fields map[string]string `json:"fields,omitempty"`
	// Answer has what the fields point at, in its place; by an older release it is whole.
	Answer json.RawMessage `json:"answer"`
}

// pointers are where in an answer is what.
func pointers(f *configv1.RecordFields) map[string]string {
	return map[string]string{
		"id": f.GetId(), "state": f.GetState(), "service": f.GetService(), "window_start": f.GetWindowStart(), "window_end": f.GetWindowEnd(),
	}
}

// document is what decided of an answer.
func (c *Connector) document(id string, status int, r *releasev1.RecordReading, body []byte) ([]byte, error) {
	k := kept{Connector: c.name, Asked: id, Status: status, Found: r != nil, Fields: pointers(c.fields), Answer: json.RawMessage("null")}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	var answer any
	// Of what is not JSON, as the page that says that there is none, the status decided.
	if decoder.Decode(&answer) == nil {
		pruned, err := json.Marshal(prune(answer, slices.Collect(maps.Values(k.Fields))))
		if err != nil {
			return nil, err
		}
		k.Answer = pruned
	}
	return json.MarshalIndent(k, "", "  ")
}

// prune is a value with nothing in it but what JSON pointers lead to, in its place: what
// comes before an element of a list is there as null.
func prune(value any, pointers []string) any {
	steps := map[string][]string{}
	for _, p := range pointers {
		if p == "" {
			continue
		}
		step, rest, more := strings.Cut(p[1:], "/")
		if more {
			rest = "/" + rest
		}
		steps[step] = append(steps[step], rest)
	}
	switch v := value.(type) {
	case map[string]any:
		out := map[string]any{}
		for step, rest := range steps {
			if inner, ok := v[unescape(step)]; ok {
				out[unescape(step)] = leaf(inner, rest)
			}
		}
		return out
	case []any:
		var out []any
		for step, rest := range steps {
			i, err := strconv.Atoi(unescape(step))
			if err != nil || i < 0 || i >= len(v) {
				continue
			}
			for len(out) <= i {
				out = append(out, nil)
			}
			out[i] = leaf(v[i], rest)
		}
		return out
	}
	return nil
}

// leaf is what pointers lead to from here on: a text or a number where they end, and what
// is within it of what they go further into.
func leaf(value any, rest []string) any {
	switch value.(type) {
	case map[string]any, []any:
		return prune(value, rest)
	}
	return value
}

func unescape(step string) string {
	return strings.ReplaceAll(strings.ReplaceAll(step, "~1", "/"), "~0", "~")
}
