package settings

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v3"
)

// ErrFile means that a context file is not what it should be; the error that wraps
// it lists every fault with file, line and column.
var ErrFile = errors.New("invalid context file")

// Parse reads a context file: a mapping of settings to texts. Unknown keys, keys
// given twice and a second document are errors. Paths in it are relative to the
// folder of the file.
func Parse(data []byte, path string) (Settings, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var root, second yaml.Node
	if err := decoder.Decode(&root); err != nil {
		if errors.Is(err, io.EOF) {
			return Settings{Source: path}, nil
		}
		return Settings{}, fmt.Errorf("%w: %s: %w", ErrFile, path, err)
	}
	if err := decoder.Decode(&second); !errors.Is(err, io.EOF) {
		return Settings{}, fmt.Errorf("%w: %s: only one document is read", ErrFile, path)
	}
	p := &parser{path: path, out: Settings{Source: path}, seen: map[string]int{}}
	p.mapping(root.Content[0])
	if len(p.faults) > 0 {
		return Settings{}, fmt.Errorf("%w:\n%s", ErrFile, strings.Join(p.faults, "\n"))
	}
	return p.out, nil
}

type parser struct {
	path   string
	out    Settings
	seen   map[string]int
	faults []string
}

func (p *parser) fault(n *yaml.Node, format string, args ...any) {
	p.faults = append(p.faults, fmt.Sprintf("%s:%d:%d %s", p.path, n.Line, n.Column, fmt.Sprintf(format, args...)))
}

func (p *parser) mapping(n *yaml.Node) {
	if n.Kind != yaml.MappingNode {
		p.fault(n, "expected settings, such as approval-url: 127.0.0.1:7100")
		return
	}
	known := map[string]Setting{}
	for _, s := range All() {
		known[s.Name] = s
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		setting, ok := known[key.Value]
		switch first := p.seen[key.Value]; {
		case !ok:
			p.fault(key, "unknown setting %q", key.Value)
			continue
		case first > 0:
			p.fault(key, "%s is given twice, first in line %d", key.Value, first)
			continue
		}
		p.seen[key.Value] = key.Line
		if value.Kind != yaml.ScalarNode || value.Tag == "!!null" {
			p.fault(value, "%s: expected a text", key.Value)
			continue
		}
		text := value.Value
		if setting.file && text != "" && !filepath.IsAbs(text) {
			text = filepath.Join(filepath.Dir(p.path), text)
		}
		*setting.Field(&p.out) = text
	}
}

// File returns the settings as a context file. Only what is set is in it.
func (s Settings) File() ([]byte, error) {
	root := &yaml.Node{Kind: yaml.MappingNode}
	for _, setting := range All() {
		if value := *setting.Field(&s); value != "" {
			root.Content = append(root.Content,
				&yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: setting.Name},
				&yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: value})
		}
	}
	out, err := yaml.Marshal(root)
	if err != nil {
		return nil, fmt.Errorf("write settings: %w", err)
	}
	return out, nil
}
