package backstage

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// MaxBytes bounds one file, maxEntities the entities of all of them.
const (
	MaxBytes    = 4 << 20
	maxEntities = 10_000
)

// Problem is one thing that is wrong, and where.
type Problem struct {
	File    string
	Line    int
	Message string
}

// String says where and what, as compilers do.
func (p Problem) String() string { return fmt.Sprintf("%s:%d: %s", p.File, p.Line, p.Message) }

// Problems are all that is wrong.
type Problems []Problem

// Error tells all of them, a line each.
func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, one := range p {
		lines[i] = one.String()
	}
	return strings.Join(lines, "\n")
}

// text is a scalar with its line.
type text struct {
	value string
	line  int
}

// entity is one entity of a catalog, as far as it is taken over.
type entity struct {
	file                 string
	line                 int
	kind                 string
	name, title          text
	owner, mail, display text
	parent, partOf       text
	members, memberOf    []text
	children             []text
	dependsOn, consumes  []text
	dependencyOf         []text
	provides             []text
	namespace            text
	annotations          map[string]text // those of shipwarden, without their prefix
}

// The fields of an entity. What is not listed is Backstage's own business where it is
// below metadata or spec, and a mistake where it is beside them.
var topLevel = map[string]bool{"apiVersion": true, "kind": true, "metadata": true, "spec": true, "relations": true, "status": true}

// prefix is what the annotations begin with that are for shipwarden.
const prefix = "shipwarden/"

// Annotations of shipwarden, without their prefix: the tier of a component or an API; what
// makes a resource a target, and whom it serves; the customers whose contacts a group is.
const (
	tierOf        = "tier"
	environmentOf = "environment"
	driverOf      = "driver"
	kindsOf       = "kinds"
	customersOf   = "customers"
)

// annotated says which annotations of shipwarden an entity of a kind may have.
var annotated = map[string][]string{
	"Component": {tierOf},
	"API":       {tierOf},
	"Resource":  {environmentOf, driverOf, kindsOf, customersOf},
	"Group":     {customersOf},
}

// reader reads the files into entities.
type reader struct {
	file     string
	entities []*entity
	problems Problems
}

func (r *reader) wrong(n *yaml.Node, format string, args ...any) {
	r.problems = append(r.problems, Problem{File: r.file, Line: max(n.Line, 1), Message: fmt.Sprintf(format, args...)})
}

// read takes every document of one file.
func (r *reader) read(file string, data []byte) {
	r.file = file
	if len(data) > MaxBytes {
		r.wrong(&yaml.Node{}, "the file is larger than %d bytes", MaxBytes)
		return
	}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var document yaml.Node
		err := decoder.Decode(&document)
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			line, message := placeOf(err)
			r.problems = append(r.problems, Problem{File: file, Line: line, Message: message})
			return
		}
		if len(document.Content) == 0 || document.Content[0].Tag == "!!null" {
			continue
		}
		if len(r.entities) == maxEntities {
			r.wrong(&document, "more than %d entities", maxEntities)
			return
		}
		r.entity(document.Content[0])
	}
}

// placeOf finds the line in an error of the library, which has it in its text only.
func placeOf(err error) (line int, message string) {
	message = strings.TrimPrefix(err.Error(), "yaml: ")
	if place, rest, ok := strings.Cut(message, ": "); ok {
		if _, err := fmt.Sscanf(place, "line %d", &line); err == nil {
			message = rest
		}
	}
	return max(line, 1), message
}

func (r *reader) entity(n *yaml.Node) {
	top := r.mapping(n, "an entity")
	if top == nil {
		return
	}
	for key, value := range top {
		if !topLevel[key] {
			r.wrong(value, "unknown field %q of an entity", key)
		}
	}
	version, kind := r.scalar(top["apiVersion"], "apiVersion", n), r.scalar(top["kind"], "kind", n)
	template := kind.value == "Template" && strings.HasPrefix(version.value, "scaffolder.backstage.io/") // says nothing of what is imported
	if v := version.value; v != "" && v != "backstage.io/v1alpha1" && v != "backstage.io/v1beta1" && !template {
		r.wrong(top["apiVersion"], "apiVersion %q is none of backstage.io/v1alpha1 and backstage.io/v1beta1", v)
	}
	metadata, spec := r.mapping(top["metadata"], "metadata"), r.mapping(top["spec"], "spec")
	if top["metadata"] == nil {
		r.wrong(n, "metadata is missing")
		return
	}
	e := &entity{file: r.file, line: n.Line, kind: kind.value, name: r.scalar(metadata["name"], "metadata.name", top["metadata"])}
	e.title, e.namespace = r.optional(metadata["title"], "metadata.title"), r.optional(metadata["namespace"], "metadata.namespace")
	e.annotations = r.annotations(metadata["annotations"], e.kind)
	e.owner = r.optional(spec["owner"], "spec.owner")
	profile := r.mapping(spec["profile"], "spec.profile")
	e.mail, e.display = r.optional(profile["email"], "spec.profile.email"), r.optional(profile["displayName"], "spec.profile.displayName")
	e.members, e.memberOf = r.list(spec["members"], "spec.members"), r.list(spec["memberOf"], "spec.memberOf")
	e.parent, e.children = r.optional(spec["parent"], "spec.parent"), r.list(spec["children"], "spec.children")
	e.dependsOn, e.dependencyOf = r.list(spec["dependsOn"], "spec.dependsOn"), r.list(spec["dependencyOf"], "spec.dependencyOf")
	e.consumes, e.provides = r.list(spec["consumesApis"], "spec.consumesApis"), r.list(spec["providesApis"], "spec.providesApis")
	e.partOf = r.optional(spec["subcomponentOf"], "spec.subcomponentOf")
	r.entities = append(r.entities, e)
}

// annotations returns those of shipwarden, without their prefix. One that the kind does not
// have is refused: misspelled, it would be left out without a word.
func (r *reader) annotations(n *yaml.Node, kind string) map[string]text {
	out := map[string]text{}
	if r.mapping(n, "metadata.annotations") == nil {
		return out
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		name, ours := strings.CutPrefix(key.Value, prefix)
		if !ours {
			continue
		}
		if !slices.Contains(annotated[kind], name) {
			r.wrong(key, "annotation %s is none of %s", key.Value, kindWith(kind))
			continue
		}
		value := r.optional(n.Content[i+1], "metadata.annotations."+key.Value)
		if value.value == "" && n.Content[i+1].Kind == yaml.ScalarNode {
			r.wrong(n.Content[i+1], "annotation %s is empty", key.Value)
		}
		out[name] = value
	}
	return out
}

// kindWith says of a kind which annotations it has.
func kindWith(kind string) string {
	if len(annotated[kind]) == 0 {
		return fmt.Sprintf("kind %s, which has none of %s", kind, prefix)
	}
	return fmt.Sprintf("kind %s, which has %s%s", kind, prefix, strings.Join(annotated[kind], ", "+prefix))
}

// mapping returns the fields of a mapping; nil for what is not there or none. A key that
// is there twice is refused: which one counts depends on who reads it.
func (r *reader) mapping(n *yaml.Node, what string) map[string]*yaml.Node {
	if n == nil || n.Tag == "!!null" {
		return nil
	}
	if n.Kind != yaml.MappingNode {
		r.wrong(n, "%s must be a mapping", what)
		return nil
	}
	out := map[string]*yaml.Node{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		if _, twice := out[key.Value]; twice {
			r.wrong(key, "%q is there twice", key.Value)
			continue
		}
		out[key.Value] = n.Content[i+1]
	}
	return out
}

// scalar reads a text that must be there.
func (r *reader) scalar(n *yaml.Node, what string, within *yaml.Node) text {
	if n == nil {
		r.wrong(within, "%s is missing", what)
		return text{line: within.Line}
	}
	out := r.optional(n, what)
	if out.value == "" && n.Kind == yaml.ScalarNode {
		r.wrong(n, "%s is empty", what)
	}
	return out
}

func (r *reader) optional(n *yaml.Node, what string) text {
	if n == nil {
		return text{}
	}
	if n.Kind != yaml.ScalarNode {
		r.wrong(n, "%s must be a text", what)
		return text{line: n.Line}
	}
	if n.Tag == "!!null" {
		return text{line: n.Line}
	}
	return text{value: n.Value, line: n.Line}
}

func (r *reader) list(n *yaml.Node, what string) []text {
	if n == nil || n.Tag == "!!null" {
		return nil
	}
	if n.Kind != yaml.SequenceNode {
		r.wrong(n, "%s must be a list", what)
		return nil
	}
	var out []text
	for _, item := range n.Content {
		if one := r.optional(item, what); one.value != "" {
			out = append(out, one)
		}
	}
	return out
}
