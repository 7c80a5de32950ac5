package strictyaml

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/blackdice/shipwarden/internal/shape"
)

// places knows where in the document every field's value stands.
type places struct {
	filename string
	lines    []string
	root     *yaml.Node
	// value is the node of a field's value, by the field's path; field is the path, by
	// line and column.
	value map[string]*yaml.Node
	field map[[2]int]string
	// broken are the fields whose values could not be read.
	broken []string
}

func newPlaces(filename string, data []byte, root *yaml.Node) *places {
	return &places{
		filename: filename, lines: strings.Split(string(data), "\n"), root: root,
		value: map[string]*yaml.Node{"": root}, field: map[[2]int]string{},
	}
}

func (p *places) add(path string, node *yaml.Node) {
	p.value[path] = node
	p.field[[2]int{node.Line, node.Column}] = path
}

// at is an error with its place and the line that it stands in.
func (p *places) at(line, column int, text string) error {
	out := fmt.Sprintf("%s:%d:%d %s\n", p.filename, line, column, text)
	if line <= len(p.lines) && strings.TrimSpace(p.lines[line-1]) != "" {
		out += fmt.Sprintf("%4d | %s\n%4d | %s^\n", line, strings.TrimRight(p.lines[line-1], "\r"), line, strings.Repeat(".", column-1))
	}
	return fault(out)
}

// fault is an error that ends with a line end, so that those that are joined are
// told apart.
type fault string

func (f fault) Error() string { return string(f) }

// unspecified is the value of an enum that nobody can mean.
var unspecified = regexp.MustCompile(`\b[A-Z_]+_UNSPECIFIED ?`)

// read tells why a value could not be read: the library gives the place, and this the
// field.
func (p *places) read(err error) error {
	text, ok := strings.CutPrefix(err.Error(), p.filename+":")
	head, rest, _ := strings.Cut(text, " ")
	first, second, both := strings.Cut(head, ":")
	line, bad := strconv.Atoi(first)
	column, worse := strconv.Atoi(second)
	if !ok || !both || bad != nil || worse != nil {
		return err
	}
	rest, _, _ = strings.Cut(rest, "\n") // its own picture of the line
	rest = unspecified.ReplaceAllString(rest, "")
	if path := p.field[[2]int{line, column}]; path != "" {
		p.broken = append(p.broken, path)
		rest = path + ": " + rest
	}
	return p.at(line, column, rest)
}

// violation tells what breaks a rule, nil where the value could not be read in the
// first place: that was told.
func (p *places) violation(v shape.Violation) error {
	if slices.ContainsFunc(p.broken, func(path string) bool { return within(v.Field, path) || within(path, v.Field) }) && v.Field != "" {
		return nil
	}
	node := p.closest(v.Field)
	text := v.Message
	if v.Field != "" {
		text = v.Field + ": " + text
	}
	if v.Rule != shape.Required {
		text += " (" + v.Rule + ")"
	}
	return p.at(node.Line, node.Column, text)
}

// within reports whether a field is the other one or a part of it.
func within(field, of string) bool {
	rest, ok := strings.CutPrefix(field, of)
	return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
}

// closest is the value of the field or, where there is none, that of the nearest one
// around it.
func (p *places) closest(path string) *yaml.Node {
	for {
		if node := p.value[path]; node != nil {
			return node
		}
		path = path[:max(0, strings.LastIndexAny(path, ".["))]
	}
}
