package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"
)

// looser says which change of a field makes the procedure demand less.
type looser int

const (
	// whatever: any change is named; the default, so that a field that nobody thought
	// about is never passed over.
	whatever looser = iota
	// never: no change of it is, for the reason that stands beside it in loosening.
	never
	// within: it is said of what is in it, or by words of its own (Loosened); with a reason,
	// that it is there or not is not said.
	within
	// fewer, more: a smaller, or a larger, number or span; longer is more, too, where nothing
	// means without end.
	fewer
	more
	longer
	// off, on: a demand that is taken back; a permission that is given.
	off
	on
	// gone, added: an element, or all of it, that is no more, or is new.
	gone
	added
	// narrower, wider: a list that means everywhere, or everything, where it is empty.
	narrower
	wider
)

// drift compares two messages of one type, field by field, as loosening says.
func (l *loosened) drift(path string, before, after protoreflect.Message) {
	fields := before.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		at := strings.TrimPrefix(path+"."+string(f.Name()), ".")
		switch {
		case loosening[f.FullName()].is == never:
		case f.FullName() == "shipwarden.release.v1.Check.sign_off":
			// It is said in words of its own (signOff).
		case f.IsList() && f.Message() != nil && key(f) != nil:
			l.elements(at, f, before.Get(f).List(), after.Get(f).List())
		case f.IsList():
			l.list(at, loosening[f.FullName()].is, before.Get(f).List(), after.Get(f).List())
		default:
			l.field(at, f, before, after)
		}
	}
}

// field judges one that is no list.
func (l *loosened) field(at string, f protoreflect.FieldDescriptor, before, after protoreflect.Message) {
	was, now := before.Get(f), after.Get(f)
	is := loosening[f.FullName()].is
	if is == whatever {
		l.lost(true, was.Equal(now), "%s is %s instead of %s", at, text(f, after), text(f, before))
		return
	}
	if f.Message() != nil && f.Message().FullName() != "google.protobuf.Duration" && !f.IsMap() {
		l.lost(is == gone && before.Has(f), after.Has(f), "%s is gone", at)
		l.lost(is == added && after.Has(f), before.Has(f), "%s is there", at)
		if before.Has(f) && after.Has(f) || is == within {
			l.drift(at, was.Message(), now.Message())
		}
		return
	}
	a, b := number(f, before), number(f, after)
	loose := false
	switch is { //nolint:exhaustive // The others are those of lists.
	case fewer, off:
		loose = b < a
	case more, on:
		loose = b > a
	case longer:
		loose = a != 0 && (b > a || b == 0)
	}
	l.lost(true, !loose, "%s is %s instead of %s", at, text(f, after), text(f, before))
}

// elements judges those of a list that have names.
func (l *loosened) elements(at string, f protoreflect.FieldDescriptor, before, after protoreflect.List) {
	is, named := loosening[f.FullName()].is, key(f)
	other := func(in protoreflect.List, m protoreflect.Message) protoreflect.Message {
		for i := range in.Len() {
			if o := in.Get(i).Message(); o.Get(named).Equal(m.Get(named)) && sameIssuer(named, o, m) {
				return o
			}
		}
		return nil
	}
	for i := range before.Len() {
		was := before.Get(i).Message()
		name := at + " " + was.Get(named).String()
		now := other(after, was)
		l.lost(is == gone || is == whatever, now != nil, "%s is gone", name)
		if now != nil {
			l.drift(name, was, now)
		}
	}
	for i := range after.Len() {
		m := after.Get(i).Message()
		l.lost(is == added || is == whatever, other(before, m) != nil, "%s %s is there", at, m.Get(named).String())
	}
}

// sameIssuer reports whether a subject is one of the same issuer: another one's is
// somebody else, though it has the same name.
func sameIssuer(named protoreflect.FieldDescriptor, a, b protoreflect.Message) bool {
	issuer := a.Descriptor().Fields().ByName("issuer")
	return named.Name() != "subject" || issuer == nil || a.Get(issuer).Equal(b.Get(issuer))
}

// list judges one whose elements are values.
func (l *loosened) list(at string, is looser, before, after protoreflect.List) {
	values := func(in protoreflect.List) (out []string) {
		for i := range in.Len() {
			if m, ok := in.Get(i).Interface().(protoreflect.Message); ok {
				b, _ := proto.MarshalOptions{Deterministic: true}.Marshal(m.Interface()) // what was read can be written
				out = append(out, string(b))
				continue
			}
			out = append(out, in.Get(i).String())
		}
		return out
	}
	was, now := values(before), values(after)
	lacks := func(of, in []string) bool {
		return slices.ContainsFunc(of, func(v string) bool { return !slices.Contains(in, v) })
	}
	loose := false
	switch is { //nolint:exhaustive // The others are those of single fields.
	case whatever:
		loose = !slices.Equal(was, now)
	case gone:
		loose = lacks(was, now)
	case added:
		loose = lacks(now, was)
	case narrower:
		loose = len(now) > 0 && (len(was) == 0 || lacks(was, now))
	case wider:
		loose = len(was) > 0 && (len(now) == 0 || lacks(now, was))
	}
	l.lost(true, !loose, "%s is %s instead of %s", at, listed(after), listed(before))
}

// key is by what elements of a list are known again; nil where by nothing.
func key(f protoreflect.FieldDescriptor) protoreflect.FieldDescriptor {
	for _, name := range []protoreflect.Name{"id", "name", "group", "service", "customer", "ssh", "subject", "from"} {
		if k := f.Message().Fields().ByName(name); k != nil && !k.IsList() && k.Message() == nil {
			return k
		}
	}
	return nil
}

// number is what can be compared: of spans their length, of what is there or not 1 or 0.
func number(f protoreflect.FieldDescriptor, m protoreflect.Message) float64 {
	switch v := m.Get(f).Interface().(type) {
	case bool:
		if v {
			return 1
		}
	case uint32:
		return float64(v)
	case float64:
		return v
	case protoreflect.Message:
		return span(v).Seconds()
	}
	return 0
}

func span(m protoreflect.Message) time.Duration {
	d, _ := m.Interface().(*durationpb.Duration)
	return d.AsDuration()
}

// text is a field's value for people.
func text(f protoreflect.FieldDescriptor, m protoreflect.Message) string {
	v := m.Get(f)
	switch {
	case !m.Has(f) && f.Kind() != protoreflect.BoolKind && f.Kind() != protoreflect.Uint32Kind:
		return "nothing"
	case f.IsMap():
		return fmt.Sprintf("%d names", v.Map().Len())
	case f.Message() != nil && f.Message().FullName() == "google.protobuf.Duration":
		return span(v.Message()).String()
	case f.Message() != nil:
		return "something else"
	case f.Enum() != nil:
		if named := f.Enum().Values().ByNumber(v.Enum()); named != nil {
			return string(named.Name())
		}
	case f.Kind() == protoreflect.StringKind:
		return fmt.Sprintf("%.80q", v.String())
	}
	return fmt.Sprintf("%.80s", v.String())
}

func listed(in protoreflect.List) string {
	if in.Len() == 0 {
		return "nothing"
	}
	if _, ok := in.Get(0).Interface().(protoreflect.Message); ok {
		return fmt.Sprintf("%d of them", in.Len())
	}
	var out []string
	for i := range min(in.Len(), 8) {
		out = append(out, in.Get(i).String())
	}
	return strings.Join(out, ", ")
}
