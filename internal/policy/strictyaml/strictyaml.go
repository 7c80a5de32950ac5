package strictyaml

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"buf.build/go/protoyaml"
	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/proto"

	"github.com/blackdice/shipwarden/internal/shape"
)

// MaxSize is the size in bytes of the largest document that is read.
const MaxSize = 1 << 20

var (
	// ErrInvalid means that the document is not what it should be; the error's
	// text names every problem with its place.
	ErrInvalid = errors.New("invalid document")
	// ErrTooLarge means that the document has more than MaxSize bytes.
	ErrTooLarge = errors.New("document too large")
)

// Violation is one thing that is wrong with a message that was read.
type Violation = shape.Violation

// Unmarshal reads data into message and checks it by its protovalidate rules and
// by check, which may be nil and is called with the message filled as far as it
// could be read. The filename is only for errors. An error wraps ErrInvalid or
// ErrTooLarge; its text has one entry for every problem, each beginning with
// filename:line:column, and each violation names its field.
func Unmarshal(data []byte, filename string, message proto.Message, check func() []Violation) error {
	return unmarshal(data, filename, message, func() ([]Violation, error) {
		found, err := shape.Check(message)
		if err == nil && check != nil {
			found = append(found, check()...)
		}
		return found, err
	})
}

// Decode is Unmarshal without the rules of the message: for documents that were
// checked when they came into force, possibly by an older version of the rules.
func Decode(data []byte, filename string, message proto.Message) error {
	return unmarshal(data, filename, message, func() ([]Violation, error) { return nil, nil })
}

func unmarshal(data []byte, filename string, message proto.Message, check func() ([]Violation, error)) error {
	if len(data) > MaxSize {
		return fmt.Errorf("%w: %s has %d bytes, at most %d are read", ErrTooLarge, filename, len(data), MaxSize)
	}
	if err := checkText(data, filename); err != nil {
		return fmt.Errorf("%w\n%w", ErrInvalid, err)
	}
	if strings.HasSuffix(filename, ".json") {
		if err := checkJSON(data, filename); err != nil {
			return fmt.Errorf("%w\n%w", ErrInvalid, err)
		}
		// JSON is YAML but for its tabs, which stand between values only.
		data = bytes.ReplaceAll(data, []byte("\t"), []byte(" "))
	}
	root, err := parse(data, filename)
	if err != nil {
		return fmt.Errorf("%w\n%w", ErrInvalid, err)
	}
	p := newPlaces(filename, data, root)
	w := &walker{filename: filename, lines: len(p.lines), places: p}
	w.node(root, message.ProtoReflect().Descriptor(), "")
	if w.beyond {
		return fmt.Errorf("%w\n%w", ErrInvalid, errors.Join(w.found...))
	}
	found := w.found
	if err := (protoyaml.UnmarshalOptions{Path: filename}).Unmarshal(data, message); err != nil {
		for _, e := range each(err) {
			found = append(found, p.read(e))
		}
	}
	violations, err := check()
	if err != nil {
		found = append(found, p.at(root.Line, root.Column, err.Error()))
	}
	for _, v := range violations {
		if err := p.violation(v); err != nil {
			found = append(found, err)
		}
	}
	if len(found) > 0 {
		return fmt.Errorf("%w\n%w", ErrInvalid, errors.Join(found...))
	}
	return nil
}

// each returns the errors that were joined.
func each(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	return []error{err}
}

// parse returns the only document of data.
func parse(data []byte, filename string) (*yaml.Node, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var root, second yaml.Node
	if err := decoder.Decode(&root); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("%s:1:1 the document is empty", filename)
		}
		return nil, syntax(err, data, filename)
	}
	switch err := decoder.Decode(&second); {
	case errors.Is(err, io.EOF):
	case err != nil:
		return nil, syntax(err, data, filename)
	default:
		return nil, fmt.Errorf("%s:%d:%d a second document begins here; only one is read", filename, second.Line, second.Column)
	}
	return root.Content[0], nil
}
