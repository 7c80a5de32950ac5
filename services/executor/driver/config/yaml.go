package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"

	"go.yaml.in/yaml/v3"
)

// maxAliased bounds what aliases stand for in one document: values, and 16 bytes of text count
// as one more.
const maxAliased = 100_000

// yamlLine is where an error of the reader of YAML says that it is.
var yamlLine = regexp.MustCompile(`^yaml: line ([0-9]+): `)

// noYAML says of an error of the reader of YAML where it is, and nothing else: its words have
// what stands there, which may be a secret.
func noYAML(err error) string {
	if at := yamlLine.FindStringSubmatch(err.Error()); at != nil {
		return "near line " + at[1] + ": no YAML"
	}
	return "no YAML, or one that refers to what is not in it (*): quote a text that begins with a star"
}

// What plain text can be besides text. YAML 1.1 and 1.2 disagree on much of it, and readers on
// more: one takes 0777 for 511, another for 777, and a third for a text.
var (
	// number is one to all of them, the same as in JSON.
	number = regexp.MustCompile(`^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+(?:[eE][-+][0-9]+)?)?$`)
	// infinite is a number that JSON does not have.
	infinite = regexp.MustCompile(`^(?:[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$`)
	// doubtful is a number, a truth or a merge to some of them.
	doubtful = regexp.MustCompile(`^(?:` +
		`[-+]?(?:[0-9][0-9_]*(?:\.[0-9_]*)?|\.[0-9_]+)(?:[eE][-+]?[0-9]+)?` +
		`|[-+]?0(?:[xX][0-9a-fA-F_]+|[oO][0-7_]+|[bB][01_]+)` +
		`|[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?` + // 1:30 is 90
		`|y|Y|yes|Yes|YES|n|N|no|No|NO|on|On|ON|off|Off|OFF|<<|=)$`)
)

var words = map[string]any{
	"": nil, "~": nil, "null": nil, "Null": nil, "NULL": nil,
	"true": true, "True": true, "TRUE": true, "false": false, "False": false, "FALSE": false,
}

// decoder makes the value of a YAML document as it would be in JSON, numbers as they are
// written. Errors name lines, and no values.
type decoder struct {
	// inside counts the aliases around, and aliased what they stand for.
	inside, aliased int
}

func (d *decoder) value(node *yaml.Node, depth int) (any, error) {
	if depth > maxDepth {
		return nil, errors.New("nested too deep")
	}
	if d.inside > 0 {
		if d.aliased += 1 + len(node.Value)/16; d.aliased > maxAliased {
			return nil, fmt.Errorf("line %d: aliases (*) stand for too much", node.Line)
		}
	}
	switch node.Kind {
	case yaml.DocumentNode:
		return d.value(node.Content[0], depth)
	case yaml.AliasNode:
		d.inside++
		defer func() { d.inside-- }()
		return d.value(node.Alias, depth+1)
	case yaml.ScalarNode:
		return scalar(node)
	case yaml.MappingNode:
		return d.fields(node, depth)
	case yaml.SequenceNode:
		return d.items(node, depth)
	}
	return nil, fmt.Errorf("line %d: no value", node.Line)
}

func (d *decoder) items(node *yaml.Node, depth int) (any, error) {
	if err := tagged(node, "!!seq"); err != nil {
		return nil, err
	}
	list := make([]any, 0, len(node.Content))
	for _, child := range node.Content {
		v, err := d.value(child, depth+1)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, nil
}

func (d *decoder) fields(node *yaml.Node, depth int) (any, error) {
	if err := tagged(node, "!!map"); err != nil {
		return nil, err
	}
	out := make(map[string]any, len(node.Content)/2)
	for i := 0; i+1 < len(node.Content); i += 2 {
		at := node.Content[i]
		key, err := d.value(at, depth+1)
		if err != nil {
			return nil, err
		}
		name, isText := key.(string)
		if !isText {
			return nil, fmt.Errorf("line %d: a key is no text", at.Line)
		}
		if _, again := out[name]; again {
			return nil, fmt.Errorf("line %d: a key that is there before", at.Line)
		}
		if out[name], err = d.value(node.Content[i+1], depth+1); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// scalar is a text, a number, a truth or nothing. Dates are the text that they are written as.
func scalar(node *yaml.Node) (any, error) {
	if err := tagged(node, "!!str"); err != nil {
		return nil, err
	}
	const quoted = yaml.DoubleQuotedStyle | yaml.SingleQuotedStyle | yaml.LiteralStyle | yaml.FoldedStyle | yaml.TaggedStyle
	if node.Style&quoted != 0 {
		return node.Value, nil
	}
	v, word := words[node.Value]
	tag := node.ShortTag()
	switch {
	case word:
		return v, nil
	case number.MatchString(node.Value):
		return json.Number(node.Value), nil
	case infinite.MatchString(node.Value):
		return nil, fmt.Errorf("line %d: a number that is none, or infinite", node.Line)
	case doubtful.MatchString(node.Value), tag != "!!str" && tag != "!!timestamp":
		return nil, fmt.Errorf("line %d: not all readers of YAML take this for the same: quote it, or write it as in JSON", node.Line)
	}
	return node.Value, nil
}

// tagged refuses types that are written out, but the one that changes nothing.
func tagged(node *yaml.Node, allowed string) error {
	if node.Style&yaml.TaggedStyle == 0 || node.ShortTag() == allowed {
		return nil
	}
	return fmt.Errorf("line %d: a type (!) that not all readers of YAML know", node.Line)
}
