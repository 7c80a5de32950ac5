package proceduretest

import (
	"fmt"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Full returns a copy in which every field is set, and one of each choice.
func Full[M proto.Message](m M) M {
	c := proto.CloneOf(m)
	fillAll(c.ProtoReflect())
	return c
}

func fullList[M proto.Message](list []M) []M {
	var out []M
	for _, m := range list {
		out = append(out, Full(m))
	}
	return out
}

func fillAll(m protoreflect.Message) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		switch o := f.ContainingOneof(); {
		case o != nil && !o.IsSynthetic() && m.WhichOneof(o) != nil && m.WhichOneof(o) != f:
		case f.IsMap():
			m.Mutable(f).Map().Set(protoreflect.ValueOfString("key").MapKey(), protoreflect.ValueOfString("value"))
		case f.IsList():
			list := m.Mutable(f).List()
			if f.Kind() != protoreflect.MessageKind {
				list.Append(other(f, list.NewElement()))
				continue
			}
			if list.Len() == 0 {
				list.AppendMutable()
			}
			for j := range list.Len() {
				fillAll(list.Get(j).Message())
			}
		case f.Kind() == protoreflect.MessageKind:
			fillAll(m.Mutable(f).Message())
		case !m.Has(f):
			m.Set(f, other(f, m.Get(f)))
		}
	}
}

// other returns a value that is not the given one.
func other(f protoreflect.FieldDescriptor, v protoreflect.Value) protoreflect.Value {
	switch f.Kind() { //nolint:exhaustive // The kinds that the contract has.
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(!v.Bool())
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(v.String() + "x")
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes(append([]byte("x"), v.Bytes()...))
	case protoreflect.EnumKind:
		return protoreflect.ValueOfEnum(v.Enum() + 1)
	case protoreflect.Int32Kind:
		return protoreflect.ValueOfInt32(int32(v.Int()) + 1) //nolint:gosec // Small numbers.
	case protoreflect.Int64Kind:
		return protoreflect.ValueOfInt64(v.Int() + 1)
	case protoreflect.Uint32Kind:
		return protoreflect.ValueOfUint32(uint32(v.Uint()) + 1) //nolint:gosec // Small numbers.
	case protoreflect.Uint64Kind:
		return protoreflect.ValueOfUint64(v.Uint() + 1)
	case protoreflect.DoubleKind:
		return protoreflect.ValueOfFloat64(v.Float() + 0.5)
	}
	return v
}

// variants calls yield with a copy of the message for every field in it, however
// deep: with another value, without it, and with one element more or in another
// order where it is a list; and of a choice with each of the others, and all of these of it.
func variants(m protoreflect.Message, path string, yield func(what string, m protoreflect.Message)) {
	edit := func(what string, change func(c protoreflect.Message)) {
		c := proto.Clone(m.Interface()).ProtoReflect()
		change(c)
		yield(path+"."+what, c)
	}
	choices(m, edit)
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		name := string(f.Name())
		if f.Kind() != protoreflect.BoolKind || f.HasPresence() { // False and absent are the same content.
			edit(name+" removed", func(c protoreflect.Message) { c.Clear(f) })
		}
		switch {
		case f.IsMap():
			edit(name+" value", func(c protoreflect.Message) {
				c.Mutable(f).Map().Set(protoreflect.ValueOfString("key").MapKey(), protoreflect.ValueOfString("other"))
			})
			edit(name+" more", func(c protoreflect.Message) {
				c.Mutable(f).Map().Set(protoreflect.ValueOfString("key2").MapKey(), protoreflect.ValueOfString("value"))
			})
		case f.IsList():
			edit(name+" more", func(c protoreflect.Message) {
				list := c.Mutable(f).List()
				if f.Kind() == protoreflect.MessageKind {
					list.AppendMutable()
					return
				}
				list.Append(other(f, list.NewElement()))
			})
			for i := range v.List().Len() {
				if f.Kind() != protoreflect.MessageKind {
					edit(fmt.Sprintf("%s[%d]", name, i), func(c protoreflect.Message) {
						c.Mutable(f).List().Set(i, other(f, v.List().Get(i)))
					})
					continue
				}
				variants(v.List().Get(i).Message(), fmt.Sprintf("%s[%d]", name, i), func(what string, inner protoreflect.Message) {
					edit(what, func(c protoreflect.Message) { c.Mutable(f).List().Set(i, protoreflect.ValueOfMessage(inner)) })
				})
			}
			if v.List().Len() > 1 {
				edit(name+" swapped", func(c protoreflect.Message) {
					list := c.Mutable(f).List()
					first, second := list.Get(0), list.Get(1)
					list.Set(0, second)
					list.Set(1, first)
				})
			}
		case f.Kind() == protoreflect.MessageKind:
			variants(v.Message(), name, func(what string, inner protoreflect.Message) {
				edit(what, func(c protoreflect.Message) { c.Set(f, protoreflect.ValueOfMessage(inner)) })
			})
		default:
			edit(name, func(c protoreflect.Message) { c.Set(f, other(f, v)) })
		}
		return true
	})
}

// choices are the variants in which another one is chosen than is.
func choices(m protoreflect.Message, edit func(what string, change func(c protoreflect.Message))) {
	oneofs := m.Descriptor().Oneofs()
	for i := range oneofs.Len() {
		o := oneofs.Get(i)
		chosen := m.WhichOneof(o)
		if o.IsSynthetic() || chosen == nil {
			continue
		}
		for j := range o.Fields().Len() {
			f := o.Fields().Get(j)
			if f == chosen {
				continue
			}
			if f.Kind() != protoreflect.MessageKind {
				edit(fmt.Sprintf("%s in place of %s", f.Name(), chosen.Name()), func(c protoreflect.Message) { c.Set(f, other(f, c.NewField(f))) })
				continue
			}
			inner := m.NewField(f).Message()
			fillAll(inner)
			edit(fmt.Sprintf("%s in place of %s", f.Name(), chosen.Name()), func(c protoreflect.Message) { c.Set(f, protoreflect.ValueOfMessage(inner)) })
			variants(inner, string(f.Name()), func(what string, inner protoreflect.Message) {
				edit(what, func(c protoreflect.Message) { c.Set(f, protoreflect.ValueOfMessage(inner)) })
			})
		}
	}
}
