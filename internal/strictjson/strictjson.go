// Package strictjson reads JSON that somebody else wrote and of which one meaning is to be
// relied on. Other than encoding/json it refuses names that occur twice in an object, since
// readers differ in which of the two they believe, compares names exactly, and refuses what
// is not UTF-8, what is nested deeper than 64, and what follows the document. Numbers are
// kept as they are written.
package strictjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// maxDepth bounds how deep JSON may be nested.
const maxDepth = 64

// Err means that bytes are not one JSON document that all readers agree on.
var Err = errors.New("not well-formed JSON")

// Object reads one JSON object. Errors wrap Err.
func Object(data []byte) (map[string]any, error) {
	value, err := Value(data)
	if err != nil {
		return nil, err
	}
	object, ok := value.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("%w: not an object", Err)
	}
	return object, nil
}

// Value reads one JSON document: nil, a bool, a string, a json.Number, a []any or a
// map[string]any. Errors wrap Err.
func Value(data []byte) (any, error) {
	if !utf8.Valid(data) {
		return nil, fmt.Errorf("%w: not UTF-8", Err)
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	value, err := parseValue(decoder, 0)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", Err, err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: something follows", Err)
	}
	return value, nil
}

func parseValue(decoder *json.Decoder, depth int) (any, error) {
	if depth > maxDepth {
		return nil, errors.New("nested too deep")
	}
	token, err := decoder.Token()
	if err != nil {
		return nil, err
	}
	switch token {
	case json.Delim('{'):
		return parseFields(decoder, depth)
	case json.Delim('['):
		list := []any{}
		for decoder.More() {
			value, err := parseValue(decoder, depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, value)
		}
		_, err := decoder.Token()
		return list, err
	}
	return token, nil
}

func parseFields(decoder *json.Decoder, depth int) (map[string]any, error) {
	object := make(map[string]any)
	for decoder.More() {
		token, err := decoder.Token()
		if err != nil {
			return nil, err
		}
		name, ok := token.(string)
		if !ok {
			return nil, errors.New("a name is expected")
		}
		if _, again := object[name]; again {
			return nil, fmt.Errorf("the name %.64q occurs twice", name)
		}
		if object[name], err = parseValue(decoder, depth+1); err != nil {
			return nil, err
		}
	}
	_, err := decoder.Token()
	return object, err
}
