package procedure_test

import (
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// driver writes a random history: mostly what services and people do, in between
// what they do at the wrong time, garbage, copies and latecomers.
type driver struct {
	t     *rapid.T
	h     *proceduretest.History
	moves []move
	// kept was decided on and not stored yet.
	kept []procedure.Entry
}

func newDriver(t *rapid.T) *driver {
	changes := []func(*releasev1.Request){
		func(*releasev1.Request) {}, proceduretest.Emergency, proceduretest.Rollback, proceduretest.Irreversible, two,
		func(r *releasev1.Request) { two(r); proceduretest.Emergency(r) },
	}
	r := proceduretest.Request(rapid.SampledFrom(changes).Draw(t, "request"))
	class := rapid.SampledFrom([]releasev1.DriverClass{
		releasev1.DriverClass_DRIVER_CLASS_FENCED, releasev1.DriverClass_DRIVER_CLASS_PROBEABLE, releasev1.DriverClass_DRIVER_CLASS_OPAQUE,
	}).Draw(t, "class")
	h := proceduretest.New(r)
	h.Class, h.Pace = class, 0
	return &driver{t: t, h: h, moves: moves(r, class)}
}

// What comes next, before execution and after its start. Small indices are drawn
// more often; the good way leads to the start, and from there anything may happen.
var (
	before = []string{"good", "good", "move", "good", "copy", "scramble", "good", "deadline", "try", "garbage", "pause", "keep", "late"}
	after  = []string{"move", "move", "good", "move", "deadline", "copy", "try", "scramble", "garbage", "keep", "late", "pause"}
)

// next returns the next entry of the history; false where nothing comes.
func (d *driver) next() (procedure.Entry, bool) {
	kinds := before
	if d.h.State().Started() {
		kinds = after
	}
	switch rapid.SampledFrom(kinds).Draw(d.t, "what") {
	case "good":
		person, e := d.h.Good()
		return d.entry(person, e)
	case "move": // something that fits
		return d.fitting()
	case "try": // something that mostly does not
		m := rapid.SampledFrom(d.moves).Draw(d.t, "move")
		return d.entry(m.person, m.build(d.h.State(), d.h.Now))
	case "deadline":
		deadline, ok := procedure.NextDeadline(d.h.State())
		if ok && deadline.At.After(d.h.Now) && deadline.At.Before(d.h.Now.Add(1000*time.Hour)) {
			d.h.Now = deadline.At
		}
		return d.entry("", procedure.DecideDeadline(d.h.State(), d.h.Now))
	case "pause":
		d.h.Advance(time.Duration(rapid.Int64Range(1, int64(3*time.Hour)).Draw(d.t, "pause")))
	case "copy":
		if len(d.h.Entries) > 0 {
			return d.again(rapid.SampledFrom(d.h.Entries).Draw(d.t, "copy")), true
		}
	case "keep":
		if e, ok := d.fitting(); ok {
			d.kept = append(d.kept, e)
		}
	case "late":
		if len(d.kept) > 0 {
			return d.again(rapid.SampledFrom(d.kept).Draw(d.t, "late")), true
		}
	case "scramble":
		if entry, ok := d.fitting(); ok {
			d.scramble(entry.Event.ProtoReflect(), 4)
			return entry, true
		}
	case "garbage":
		e := &releasev1.Event{}
		d.fill(e.ProtoReflect(), 5)
		e.Aggregate, e.Writer, e.Previous = "", "", nil
		e.Time, e.ProcedureDigest = nil, ""
		return d.entry("", e)
	}
	return procedure.Entry{}, false
}

// fitting returns one of the moves that count in this state.
func (d *driver) fitting() (procedure.Entry, bool) {
	var all []procedure.Entry
	for _, m := range d.moves {
		if e, ok := d.entry(m.person, m.build(d.h.State(), d.h.Now)); ok {
			if _, err := procedure.Evolve(d.h.State(), e); err == nil {
				all = append(all, e)
			}
		}
	}
	if len(all) == 0 {
		return procedure.Entry{}, false
	}
	return all[rapid.IntRange(0, len(all)-1).Draw(d.t, "fitting")], true
}

// again is the entry as it comes now.
func (d *driver) again(e procedure.Entry) procedure.Entry {
	e.Sequence, e.Stored = d.h.Last+1, d.h.Now
	return e
}

func (d *driver) entry(person string, e *releasev1.Event) (procedure.Entry, bool) {
	if e == nil {
		return procedure.Entry{}, false
	}
	var actor *releasev1.Actor
	if person != "" {
		actor = proceduretest.Person(person)
	}
	return d.h.Next(actor, e), true
}

// scramble changes something at a random depth of the message.
func (d *driver) scramble(m protoreflect.Message, depth int) {
	var inner []protoreflect.Message
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.Kind() != protoreflect.MessageKind || f.IsMap():
		case f.IsList():
			for i := range v.List().Len() {
				inner = append(inner, v.List().Get(i).Message())
			}
		default:
			inner = append(inner, v.Message())
		}
		return true
	})
	if depth > 0 && len(inner) > 0 && rapid.IntRange(0, 3).Draw(d.t, "deeper") > 0 {
		i := rapid.IntRange(0, len(inner)-1).Draw(d.t, "field")
		d.scramble(inner[i], depth-1)
		return
	}
	fields := m.Descriptor().Fields()
	if fields.Len() == 0 {
		return
	}
	f := fields.Get(rapid.IntRange(0, fields.Len()-1).Draw(d.t, "field"))
	if rapid.Bool().Draw(d.t, "clear") {
		m.Clear(f)
		return
	}
	d.set(m, f, 2)
}

// fill sets some of the message's fields.
func (d *driver) fill(m protoreflect.Message, depth int) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		if f.ContainingOneof() != nil && !f.HasOptionalKeyword() {
			continue
		}
		if rapid.IntRange(0, 3).Draw(d.t, "set") > 0 {
			d.set(m, f, depth-1)
		}
	}
	for i := range m.Descriptor().Oneofs().Len() {
		o := m.Descriptor().Oneofs().Get(i)
		if !o.IsSynthetic() {
			d.set(m, o.Fields().Get(rapid.IntRange(0, o.Fields().Len()-1).Draw(d.t, "oneof")), depth-1)
		}
	}
}

func (d *driver) set(m protoreflect.Message, f protoreflect.FieldDescriptor, depth int) {
	switch {
	case f.IsMap():
		m.Mutable(f).Map().Set(protoreflect.ValueOfString("k").MapKey(), protoreflect.ValueOfString("v"))
	case f.IsList() && f.Kind() == protoreflect.MessageKind:
		if depth > 0 {
			d.fill(m.Mutable(f).List().AppendMutable().Message(), depth)
		}
	case f.IsList():
		m.Mutable(f).List().Append(d.scalar(f))
	case f.Kind() == protoreflect.MessageKind:
		if t, ok := m.Mutable(f).Message().Interface().(*timestamppb.Timestamp); ok {
			proto.Merge(t, timestamppb.New(d.h.Now.Add(time.Duration(rapid.Int64Range(-1e14, 1e14).Draw(d.t, "time")))))
			return
		}
		if depth > 0 {
			d.fill(m.Mutable(f).Message(), depth)
		}
	default:
		m.Set(f, d.scalar(f))
	}
}

// scalar is a value that may mean something: names that are in use, small numbers,
// and the ends of their ranges.
func (d *driver) scalar(f protoreflect.FieldDescriptor) protoreflect.Value {
	number := rapid.SampledFrom([]uint64{0, 1, 2, 3, 7, 1 << 31, 1<<63 - 1}).Draw(d.t, "number")
	switch f.Kind() { //nolint:exhaustive // The kinds that the contract has.
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(number%2 == 1)
	case protoreflect.StringKind:
		names := []string{
			"", "anna", "ben", "otto", "eu1", "us1", "release-managers", "security", "health", "x\x1b[31m\r\n", d.h.State().ChangeDigest,
			proceduretest.ProcedureDigest, procedure.Aggregate(d.h.Release), "approval", "executor",
		}
		return protoreflect.ValueOfString(rapid.SampledFrom(names).Draw(d.t, "text"))
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes([]byte(fmt.Sprint(number)))
	case protoreflect.EnumKind:
		return protoreflect.ValueOfEnum(protoreflect.EnumNumber(int32(number))) //nolint:gosec // Unknown and negative values are wanted.
	case protoreflect.Int32Kind:
		return protoreflect.ValueOfInt32(int32(number)) //nolint:gosec // As above.
	case protoreflect.Int64Kind:
		return protoreflect.ValueOfInt64(int64(number)) //nolint:gosec // As above.
	case protoreflect.Uint32Kind:
		return protoreflect.ValueOfUint32(uint32(number)) //nolint:gosec // As above.
	case protoreflect.Uint64Kind:
		return protoreflect.ValueOfUint64(number)
	case protoreflect.DoubleKind:
		return protoreflect.ValueOfFloat64(float64(number))
	}
	return f.Default()
}
