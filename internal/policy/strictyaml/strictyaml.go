package strictyaml

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"buf.build/go/protovalidate"
	"buf.build/go/protoyaml"
	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/proto"
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
type Violation struct {
	// Field is a path such as people[0].aliases[1]; empty for the whole message.
	Field string
	// Rule is a stable word such as group.unknown.
	Rule string
	// Message says what is wrong, for a person.
	Message string
}

// Unmarshal reads data into message and checks it by its protovalidate rules and
// by check, which may be nil and is called with the message filled as far as it
// could be read. The filename is only for errors. An error wraps ErrInvalid or
// ErrTooLarge; its text has one entry for every problem, each beginning with
// filename:line:column, and each violation names its field.
func Unmarshal(data []byte, filename string, message proto.Message, check func() []Violation) error {
	validator := &everything{check: check}
	return unmarshal(data, filename, message, protoyaml.UnmarshalOptions{Path: filename, Validator: validator})
}

// Decode is Unmarshal without the rules of the message: for documents that were
// checked when they came into force, possibly by an older version of the rules.
func Decode(data []byte, filename string, message proto.Message) error {
	return unmarshal(data, filename, message, protoyaml.UnmarshalOptions{Path: filename})
}

func unmarshal(data []byte, filename string, message proto.Message, options protoyaml.UnmarshalOptions) error {
	if len(data) > MaxSize {
		return fmt.Errorf("%w: %s has %d bytes, at most %d are read", ErrTooLarge, filename, len(data), MaxSize)
	}
	if err := checkText(data, filename); err != nil {
		return fmt.Errorf("%w\n%w", ErrInvalid, err)
	}
	root, err := parse(data, filename)
	if err != nil {
		return fmt.Errorf("%w\n%w", ErrInvalid, err)
	}
	w := &walker{filename: filename, lines: 1 + bytes.Count(data, []byte("\n"))}
	w.node(root, message.ProtoReflect().Descriptor())
	if w.beyond {
		return fmt.Errorf("%w\n%w", ErrInvalid, errors.Join(w.found...))
	}
	found := w.found
	if err := options.Unmarshal(data, message); err != nil {
		found = append(found, err)
	}
	if len(found) > 0 {
		return fmt.Errorf("%w\n%w", ErrInvalid, errors.Join(found...))
	}
	return nil
}

// parse returns the only document of data.
func parse(data []byte, filename string) (*yaml.Node, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var root, second yaml.Node
	if err := decoder.Decode(&root); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("%s:1:1 the document is empty", filename)
		}
		return nil, fmt.Errorf("%s: %w", filename, err)
	}
	switch err := decoder.Decode(&second); {
	case errors.Is(err, io.EOF):
	case err != nil:
		return nil, fmt.Errorf("%s: %w", filename, err)
	default:
		return nil, fmt.Errorf("%s:%d:%d a second document begins here; only one is read", filename, second.Line, second.Column)
	}
	return root.Content[0], nil
}

// everything makes protoyaml find a place for the violations of check, too.
type everything struct {
	check func() []Violation
}

func (e *everything) Validate(message proto.Message) error {
	var found []*protovalidate.Violation
	if err := protovalidate.Validate(message); err != nil {
		var invalid *protovalidate.ValidationError
		if !errors.As(err, &invalid) {
			return err
		}
		found = invalid.Violations
	}
	if e.check != nil {
		for _, violation := range e.check() {
			found = append(found, &protovalidate.Violation{Proto: violation.proto()})
		}
	}
	if len(found) == 0 {
		return nil
	}
	return &protovalidate.ValidationError{Violations: found}
}

// proto returns the violation as protovalidate would have reported it. The path
// is one element: it is only ever printed, and printed it is the same.
func (v Violation) proto() *validate.Violation {
	var field *validate.FieldPath
	if v.Field != "" {
		field = validate.FieldPath_builder{Elements: []*validate.FieldPathElement{
			validate.FieldPathElement_builder{FieldName: &v.Field}.Build(),
		}}.Build()
	}
	return validate.Violation_builder{Field: field, RuleId: &v.Rule, Message: &v.Message}.Build()
}
