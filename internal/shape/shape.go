// Package shape says what is wrong with the form of a message, in words for whoever
// wrote it. The rules are those of the contract; the words of the library that
// applies them are made for whoever wrote the rules.
package shape

import (
	"errors"
	"regexp"
	"strings"

	"buf.build/go/protovalidate"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Required is the rule of what is missing, whichever rule of the contract noticed it.
const Required = "required"

// Violation is one thing that is wrong with a message.
type Violation struct {
	// Field is a path such as artifacts[0].digest; empty for the whole message.
	Field string
	// Rule is a stable word such as string.pattern.
	Rule string
	// Message says what is wrong, for a person.
	Message string
}

// Check returns everything that is wrong with the message. Of what is missing that is
// all: whichever other rules it breaks follow from that. The error is that of a rule
// that could not be applied; nothing else is known then.
func Check(m proto.Message) ([]Violation, error) {
	err := protovalidate.Validate(m)
	if err == nil {
		return nil, nil
	}
	var invalid *protovalidate.ValidationError
	if !errors.As(err, &invalid) {
		return nil, err
	}
	var out []Violation
	missing := map[string]bool{}
	for _, v := range invalid.Violations {
		found := plain(v)
		if missing[found.Field] {
			continue
		}
		missing[found.Field] = found.Rule == Required
		out = append(out, found)
	}
	return out, nil
}

// plain is a violation in plain words.
func plain(v *protovalidate.Violation) Violation {
	out := Violation{
		Field: protovalidate.FieldPathString(v.Proto.GetField()), Rule: v.Proto.GetRuleId(), Message: v.Proto.GetMessage(),
	}
	if out.Field == "" || !notices(out.Rule) || !empty(v.FieldValue) {
		return out
	}
	out.Rule, out.Message = Required, "required"
	if f := v.FieldDescriptor; f != nil && f.Enum() != nil && !f.IsList() {
		out.Message += ": one of " + strings.Join(Words(f.Enum()), ", ")
	}
	return out
}

// printing is a character that is seen: no space, control, mark without a letter, or
// letter that is a blank by design. It is that of the rule text.blank in the contract.
var printing = regexp.MustCompile(`[^\pZ\pC\pM\x{115F}\x{1160}\x{2800}\x{3164}\x{FFA0}]`)

// Blank reports whether nobody could read anything in a text.
func Blank(text string) bool { return !printing.MatchString(text) }

// notices reports whether a rule says of an empty value only that it is empty. Rules
// with words of their own keep these.
func notices(rule string) bool {
	switch rule {
	case Required, "string.pattern", "string.min_len", "bytes.min_len", "enum.not_in", "repeated.min_items", "map.min_pairs", "text.blank":
		return true
	}
	return false
}

// empty reports whether nothing was given.
func empty(v protoreflect.Value) bool {
	switch v := v.Interface().(type) {
	case nil:
		return true
	case string:
		return v == ""
	case []byte:
		return len(v) == 0
	case protoreflect.EnumNumber:
		return v == 0
	case protoreflect.List:
		return v.Len() == 0
	case protoreflect.Map:
		return v.Len() == 0
	case protoreflect.Message:
		return !v.IsValid()
	}
	return false
}

// Words are the values of an enum that somebody can mean: all but the first one,
// which stands for none.
func Words(e protoreflect.EnumDescriptor) []string {
	var out []string
	for i := range e.Values().Len() {
		if v := e.Values().Get(i); v.Number() != 0 {
			out = append(out, string(v.Name()))
		}
	}
	return out
}
