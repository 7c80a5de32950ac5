package inspect

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// maxDocuments bounds the documents in one YAML stream.
const maxDocuments = 1000

// Configuration reads a document in YAML or JSON, by the end of its name, and returns how
// many documents it holds. It can be read in one way only: a key that is there twice, an
// alias that unfolds without an end, or bytes that are no UTF-8 refuse it.
func Configuration(location string, content io.Reader) (documents int, err error) {
	body, err := document(content)
	if err != nil {
		return 0, err
	}
	if !utf8.Valid(body) {
		return 0, fmt.Errorf("it is not UTF-8: %w", ErrKind)
	}
	switch {
	case strings.HasSuffix(location, ".json"):
		return 1, readJSON(body)
	case strings.HasSuffix(location, ".yaml"), strings.HasSuffix(location, ".yml"):
		return readYAML(body)
	}
	return 0, fmt.Errorf("its name ends with none of .yaml, .yml and .json: %w", ErrKind)
}

func readYAML(body []byte) (int, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(body))
	for n := 0; ; n++ {
		var value any
		err := decoder.Decode(&value)
		switch {
		case errors.Is(err, io.EOF) && n == 0:
			return 0, fmt.Errorf("it is empty: %w", ErrKind)
		case errors.Is(err, io.EOF):
			return n, nil
		case err != nil:
			return 0, fmt.Errorf("document %d: %w: %w", n+1, ErrKind, err)
		case n == maxDocuments:
			return 0, fmt.Errorf("more than %d documents: %w", maxDocuments, ErrKind)
		}
		switch value.(type) {
		case map[string]any, map[any]any, []any:
		case nil: // a comment between two separators
		default:
			return 0, fmt.Errorf("document %d is a text, and no list or map: %w", n+1, ErrKind)
		}
	}
}

func readJSON(body []byte) error {
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	if err := value(decoder, 0); err != nil {
		return fmt.Errorf("%w: %w", ErrKind, err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("something follows the document: %w", ErrKind)
	}
	return nil
}

// maxDepth bounds how deep a document goes.
const maxDepth = 100

// value reads one value, and refuses keys that are there twice: of two readers one would
// take the first, and the other the last.
func value(decoder *json.Decoder, depth int) error {
	token, err := decoder.Token()
	if err != nil {
		return err
	}
	delim, compound := token.(json.Delim)
	switch {
	case !compound && depth == 0:
		return errors.New("it is a text or a number, and no list or map")
	case !compound:
		return nil
	case depth == maxDepth:
		return fmt.Errorf("it goes deeper than %d levels", maxDepth)
	}
	keys := map[string]bool{}
	for decoder.More() {
		if delim == '{' {
			key, err := decoder.Token()
			if err != nil {
				return err
			}
			name, _ := key.(string)
			if keys[name] {
				return fmt.Errorf("the key %.80q is there twice", name)
			}
			keys[name] = true
		}
		if err := value(decoder, depth+1); err != nil {
			return err
		}
	}
	_, err = decoder.Token()
	return err
}
