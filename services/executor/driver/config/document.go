package config

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/blackdice/shipwarden/internal/strictjson"
	"github.com/blackdice/shipwarden/services/executor/artifact"
	"github.com/blackdice/shipwarden/services/executor/driver"
)

const (
	// maxDocuments bounds the documents in one YAML stream, and maxDepth how deep each goes.
	maxDocuments = 1000
	maxDepth     = 100
)

// errForm says that bytes are not the document that their name says.
var errForm = errors.New("it cannot be read")

type format int

const (
	formatYAML format = iota
	formatJSON
)

// formatOf is what a document is by the end of its name.
func formatOf(location string) (format, error) {
	switch {
	case strings.HasSuffix(location, ".json"):
		return formatJSON, nil
	case strings.HasSuffix(location, ".yaml"), strings.HasSuffix(location, ".yml"):
		return formatYAML, nil
	}
	return 0, errors.New("its name ends with none of .yaml, .yml and .json")
}

// content reads a document to its end, so that its digest is verified, and refuses one that
// does not fit.
func content(ctx context.Context, a artifact.Artifact, fits func(int64) error) ([]byte, error) {
	if err := fits(a.Size); err != nil {
		return nil, err
	}
	reader, err := a.Open(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = reader.Close() }()
	body, err := io.ReadAll(reader)
	if err != nil {
		return nil, fmt.Errorf("read artifact %s: %w", a.Name, err)
	}
	return body, fits(int64(len(body)))
}

// parse reads a document and holds it against the schema. Errors wrap driver.ErrInvalid and
// name the places at fault, and no values.
func (d *Driver) parse(location string, body []byte) ([]any, error) {
	f, err := formatOf(location)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", driver.ErrInvalid, err)
	}
	values, err := read(f, body)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", driver.ErrInvalid, err)
	}
	if d.schema == nil {
		return values, nil
	}
	for i, v := range values {
		if err := d.schema.check(v); err != nil {
			return nil, fmt.Errorf("%s%w: %w", which(i, len(values)), driver.ErrInvalid, err)
		}
	}
	return values, nil
}

func which(i, n int) string {
	if n == 1 {
		return ""
	}
	return fmt.Sprintf("document %d: ", i+1)
}

// read reads the values of a document: one in JSON, one or more in YAML.
func read(f format, body []byte) ([]any, error) {
	if !utf8.Valid(body) {
		return nil, fmt.Errorf("%w: not UTF-8", errForm)
	}
	if f == formatJSON {
		v, err := strictjson.Value(body)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errForm, err)
		}
		return []any{v}, nil
	}
	stream := yaml.NewDecoder(bytes.NewReader(body))
	var values []any
	for {
		var node yaml.Node
		err := stream.Decode(&node)
		switch {
		case errors.Is(err, io.EOF) && len(values) == 0:
			return nil, fmt.Errorf("%w: it is empty", errForm)
		case errors.Is(err, io.EOF):
			return values, nil
		case err != nil:
			return nil, fmt.Errorf("%w: document %d: %s", errForm, len(values)+1, noYAML(err))
		case len(values) == maxDocuments:
			return nil, fmt.Errorf("%w: more than %d documents", errForm, maxDocuments)
		}
		v, err := new(decoder).value(&node, 0)
		if err != nil {
			return nil, fmt.Errorf("%w: document %d: %w", errForm, len(values)+1, err)
		}
		values = append(values, v)
	}
}
