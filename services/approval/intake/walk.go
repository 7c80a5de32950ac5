package intake

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/reflect/protoreflect"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// Rules of faults in JSON that is JSON and no request.
const (
	ruleUnknown = "field.unknown"
	ruleTwice   = "field.twice"
	ruleValue   = "field.value"
)

// walk reads a request of JSON that cannot be read as a whole, field by field, and
// returns everything that is wrong with it, each with its path (PD-0.3). The library
// stops at the first fault, and would hide all others behind it. What can be read is
// in the request afterwards; in the place of a faulty element of a list stands an empty
// one, so that those behind it keep their numbers. An error says that it is not JSON.
//
// What is a fault, the library decides: every part that it takes is taken as a whole,
// and only what it refuses is looked into. No part is read more often than it is deep,
// and the messages of a request are not deep.
func walk(body []byte, r *releasev1.Request) ([]*releasev1.Violation, error) {
	var whole json.RawMessage
	if err := json.Unmarshal(body, &whole); err != nil {
		return nil, err
	}
	w := &walker{}
	if !opens(whole, '{') {
		w.say("", ruleValue, "must be a JSON object")
		return w.faults, nil
	}
	w.message("", whole, r.ProtoReflect())
	return w.faults, nil
}

type walker struct{ faults []*releasev1.Violation }

func (w *walker) say(path, rule, message string) {
	// One more than is told: more of them would only fill the memory.
	if len(w.faults) <= maxViolations {
		w.faults = append(w.faults, violation(path, rule, message))
	}
}

func (w *walker) message(path string, object json.RawMessage, m protoreflect.Message) {
	seen := map[protoreflect.FieldNumber]bool{}
	members(object, func(name string, _, value json.RawMessage) {
		fd := m.Descriptor().Fields().ByJSONName(name)
		if fd == nil {
			fd = m.Descriptor().Fields().ByTextName(name)
		}
		if fd == nil {
			w.say(below(path, name), ruleUnknown, "is no field that this version knows")
			return
		}
		at := below(path, fd.TextName())
		if seen[fd.Number()] {
			w.say(at, ruleTwice, "is there more than once")
			m.Clear(fd)
			return
		}
		seen[fd.Number()] = true
		if string(value) == "null" {
			return // As if it were not there.
		}
		if of := fd.ContainingOneof(); of != nil && m.WhichOneof(of) != nil {
			w.say(at, ruleTwice, fmt.Sprintf("%s is given as %s already", of.Name(), m.WhichOneof(of).TextName()))
			return
		}
		w.field(at, value, m, fd)
	})
}

// field reads one field into m.
func (w *walker) field(path string, value json.RawMessage, m protoreflect.Message, fd protoreflect.FieldDescriptor) {
	taken, err := take(m, fd, value)
	switch {
	case err == nil:
		if taken.Has(fd) {
			m.Set(fd, taken.Get(fd))
		}
	case fd.IsList() && opens(value, '['):
		w.list(path, value, m, fd)
	case fd.IsMap() && opens(value, '{'):
		w.pairs(path, value, m, fd)
	case fd.IsList():
		w.say(path, ruleValue, "must be a list")
	case fd.IsMap():
		w.say(path, ruleValue, "must be an object")
	case composite(fd):
		w.part(path, value, m.Mutable(fd).Message())
	default:
		w.say(path, ruleValue, why(err))
	}
}

// part reads a message that is a field or an element.
func (w *walker) part(path string, value json.RawMessage, m protoreflect.Message) {
	if !opens(value, '{') {
		w.say(path, ruleValue, "must be an object")
		return
	}
	w.message(path, value, m)
}

func (w *walker) list(path string, value json.RawMessage, m protoreflect.Message, fd protoreflect.FieldDescriptor) {
	list := m.Mutable(fd).List()
	elements(value, func(i int, element json.RawMessage) {
		at := fmt.Sprintf("%s[%d]", path, i)
		taken, err := take(m, fd, bytes.Join([][]byte{[]byte("["), element, []byte("]")}, nil))
		if err == nil {
			list.Append(taken.Get(fd).List().Get(0))
			return
		}
		empty := list.NewElement()
		if composite(fd) {
			w.part(at, element, empty.Message())
		} else {
			w.say(at, ruleValue, why(err))
		}
		list.Append(empty)
	})
}

func (w *walker) pairs(path string, value json.RawMessage, m protoreflect.Message, fd protoreflect.FieldDescriptor) {
	all := m.Mutable(fd).Map()
	members(value, func(name string, quoted, value json.RawMessage) {
		at := fmt.Sprintf("%s[%q]", path, name)
		taken, err := take(m, fd, bytes.Join([][]byte{[]byte("{"), quoted, []byte(":"), value, []byte("}")}, nil))
		if err != nil {
			w.say(at, ruleValue, why(err))
			return
		}
		taken.Get(fd).Map().Range(func(k protoreflect.MapKey, v protoreflect.Value) bool {
			if all.Has(k) {
				w.say(at, ruleTwice, "is there more than once")
			}
			all.Set(k, v)
			return true
		})
	})
}

// take reads a field's value, and nothing else, into a new message of the kind of m.
func take(m protoreflect.Message, fd protoreflect.FieldDescriptor, value json.RawMessage) (protoreflect.Message, error) {
	alone := m.New()
	doc := bytes.Join([][]byte{[]byte(`{"` + fd.JSONName() + `":`), value, []byte("}")}, nil)
	return alone, protojson.Unmarshal(doc, alone.Interface())
}

// composite says that the field is an object in JSON; times and durations are texts.
func composite(fd protoreflect.FieldDescriptor) bool {
	return fd.Message() != nil && fd.Message().ParentFile().Package() != "google.protobuf"
}

// placeInPart is where the library found a fault, which is in the part that it was given.
var placeInPart = regexp.MustCompile(`^\(line \d+:\d+\): `)

func why(err error) string { return placeInPart.ReplaceAllString(clean(err), "") }

func below(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}
