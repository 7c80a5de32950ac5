package strictyaml

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// checkText refuses bytes that YAML and an editor number differently: YAML ends
// a line also at a lone carriage return, at U+0085, U+2028 and U+2029.
func checkText(data []byte, filename string) error {
	line, start := 1, 0
	for i := 0; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		switch {
		case r == utf8.RuneError && size <= 1:
			return fmt.Errorf("%s:%d:%d not UTF-8", filename, line, i-start+1)
		case r == '\r' && i+1 < len(data) && data[i+1] == '\n':
		case r == '\n':
			line, start = line+1, i+1
		case r == '\t':
		case r < ' ' || r == 0x7f || r == 0x85 || r == 0x2028 || r == 0x2029 || r == 0xfeff:
			return fmt.Errorf("%s:%d:%d the character %U is not allowed", filename, line, i-start+1, r)
		}
		i += size
	}
	return nil
}

// walker looks for what YAML lets pass in silence.
type walker struct {
	filename string
	lines    int // of the document
	found    []error
	// beyond says that a value is where the document has ended already; protoyaml
	// would look for the line and panic.
	beyond bool
	places *places
}

func (w *walker) report(node *yaml.Node, format string, args ...any) {
	w.found = append(w.found, fmt.Errorf("%s:%d:%d %s", w.filename, node.Line, node.Column, fmt.Sprintf(format, args...)))
}

// node checks a node, which is the value of the field at path; message is nil where it
// holds no message.
func (w *walker) node(node *yaml.Node, message protoreflect.MessageDescriptor, path string) {
	if node.Line > w.lines {
		w.beyond = true
		w.report(node, "the document ends where a value is expected")
	}
	if node.Anchor != "" {
		w.report(node, "anchors are not allowed: write the value where it is meant")
	}
	switch node.Kind {
	case yaml.AliasNode:
		// Not followed: an alias may point to a node that holds it.
		w.report(node, "aliases are not allowed: write the value where it is meant")
	case yaml.SequenceNode:
		for i, item := range node.Content {
			at := fmt.Sprintf("%s[%d]", path, i)
			w.places.add(at, item)
			w.node(item, message, at)
		}
	case yaml.MappingNode:
		w.mapping(node, message, path)
	case yaml.DocumentNode, yaml.ScalarNode:
		// Nothing below them is ours to check.
	}
}

func (w *walker) mapping(node *yaml.Node, message protoreflect.MessageDescriptor, path string) {
	seen := make(map[string]*yaml.Node, len(node.Content)/2)
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		field := fieldOf(message, key.Value)
		name := key.Value
		if field != nil {
			name = string(field.Name()) // two spellings of one field are one key
		}
		if first, again := seen[name]; again {
			w.report(key, "%s is given twice, first in line %d", key.Value, first.Line)
		}
		seen[name] = key
		if message != nil && field == nil && allDigits(key.Value) {
			w.report(key, "field %s: write the name of the field, not its number", key.Value)
		}
		at := fmt.Sprintf("%s[%q]", path, key.Value) // of a map
		if message != nil {
			at = strings.TrimPrefix(path+"."+name, ".")
		}
		w.places.add(at, value)
		w.node(key, nil, "")
		w.node(value, childOf(field), at)
	}
}

func fieldOf(message protoreflect.MessageDescriptor, key string) protoreflect.FieldDescriptor {
	if message == nil {
		return nil
	}
	if field := message.Fields().ByJSONName(key); field != nil {
		return field
	}
	return message.Fields().ByTextName(key)
}

// childOf returns what the value of a field holds. The values of a map are left
// out: their keys are data, and are compared as they are written.
func childOf(field protoreflect.FieldDescriptor) protoreflect.MessageDescriptor {
	if field == nil || field.IsMap() {
		return nil
	}
	return field.Message()
}

func allDigits(text string) bool {
	for _, r := range text {
		if r < '0' || r > '9' {
			return false
		}
	}
	return text != ""
}
