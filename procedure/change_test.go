package procedure_test

import (
	"fmt"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// TestAnyChangeIsAnotherDigest changes every field of everything that will run, one
// at a time, as deep as messages go: an approval of the one is none of the other
// (PD-A.3).
func TestAnyChangeIsAnotherDigest(t *testing.T) {
	h := proceduretest.New(proceduretest.Request(two, proceduretest.Emergency))
	h.To(t, procedure.PhaseApprove)
	s := h.State()
	s.Request, s.Artifacts, s.Previews = full(s.Request), fullList(s.Artifacts), fullList(s.Previews)
	digest := procedure.ChangeDigest(s)
	seen := map[string]string{digest: "nothing"}
	differs := func(what string, changed procedure.State) {
		t.Helper()
		got := procedure.ChangeDigest(changed)
		if same, known := seen[got]; known {
			t.Errorf("a change of %s has the digest of a change of %s", what, same)
		}
		seen[got] = what
	}
	variants(s.Request.ProtoReflect(), "request", func(what string, m protoreflect.Message) {
		c := s
		c.Request = m.Interface().(*releasev1.Request)
		differs(what, c)
	})
	for i, a := range s.Artifacts {
		variants(a.ProtoReflect(), fmt.Sprintf("artifact %d", i), func(what string, m protoreflect.Message) {
			c := s
			c.Artifacts = append([]*releasev1.PinnedArtifact(nil), s.Artifacts...)
			c.Artifacts[i] = m.Interface().(*releasev1.PinnedArtifact)
			differs(what, c)
		})
	}
	for i, p := range s.Previews {
		variants(p.ProtoReflect(), fmt.Sprintf("preview %d", i), func(what string, m protoreflect.Message) {
			c := s
			c.Previews = append([]*releasev1.TargetPreview(nil), s.Previews...)
			c.Previews[i] = m.Interface().(*releasev1.TargetPreview)
			differs(what, c)
		})
	}
	for what, change := range map[string]func(*procedure.State){
		"the release":      func(c *procedure.State) { c.Release += "a" },
		"the procedure":    func(c *procedure.State) { c.ProcedureDigest = proceduretest.Digest('0') },
		"one preview less": func(c *procedure.State) { c.Previews = c.Previews[1:] },
		"an unknown field": func(c *procedure.State) {
			c.Request = proto.CloneOf(c.Request)
			c.Request.ProtoReflect().SetUnknown(protowire.AppendVarint(protowire.AppendTag(nil, 900, protowire.VarintType), 1))
		},
		"one artifact less": func(c *procedure.State) { c.Artifacts = nil },
	} {
		c := s
		change(&c)
		differs(what, c)
	}
	if len(seen) < 120 {
		t.Errorf("only %d changes were tried", len(seen))
	}
}

// TestEqualContentsHaveEqualDigests takes contents through their stored form: what
// another process reads has the digest that this one wrote.
func TestEqualContentsHaveEqualDigests(t *testing.T) {
	r := full(proceduretest.Request(two))
	for i := range 8 {
		r.Plan.Parameters[fmt.Sprint("p", i)] = fmt.Sprint(i)
	}
	for range 20 {
		body, err := proto.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		var again releasev1.Request
		if err := proto.Unmarshal(body, &again); err != nil {
			t.Fatal(err)
		}
		if a, b := procedure.RequestDigest(r), procedure.RequestDigest(&again); a != b {
			t.Fatalf("%s, and read again %s", a, b)
		}
	}
}

// TestDigestsDoNotChange pins the form of the digests: approvals that were signed
// name them for years.
func TestDigestsDoNotChange(t *testing.T) {
	h := proceduretest.New(proceduretest.Request())
	h.To(t, procedure.PhaseApprove)
	if got, want := h.State().ChangeDigest, "sha256:d8fef493896dbc87c06e758e23f180563e153df0df9479c1b857cd345532774e"; got != want {
		t.Errorf("change digest %s, want %s", got, want)
	}
	if got, want := procedure.RequestDigest(proceduretest.Request()), "sha256:57e4aaddc16844321b1af31538a9fccc8b3bddafc4a0f41340d6dcbdb9ca91ab"; got != want {
		t.Errorf("request digest %s, want %s", got, want)
	}
	if got, want := h.Release, "shop-fhsb6agu2cohxs3q"; got != want {
		t.Errorf("release %s, want %s", got, want)
	}
}

// full returns a copy in which every field is set.
func full[M proto.Message](m M) M {
	c := proto.CloneOf(m)
	fillAll(c.ProtoReflect())
	return c
}

func fullList[M proto.Message](list []M) []M {
	var out []M
	for _, m := range list {
		out = append(out, full(m))
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
// order where it is a list.
func variants(m protoreflect.Message, path string, yield func(what string, m protoreflect.Message)) {
	edit := func(what string, change func(c protoreflect.Message)) {
		c := proto.Clone(m.Interface()).ProtoReflect()
		change(c)
		yield(path+"."+what, c)
	}
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
