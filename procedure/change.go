package procedure

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"math"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// ChangeDigest is the digest that approvals are bound to: of everything that will
// run. That is the request (artifacts, targets and waves, plan, rollback plan,
// validation criteria, risk, owner), the artifacts as they were pinned, the
// driver's preview of every target, the procedure document, and the lane by which fewer people
// approve it, where there is one (PD-A.3). Any
// difference in any of it is another digest.
func ChangeDigest(s State) string {
	w := writer{sha256.New()}
	w.text("shipwarden change v1")
	w.text(s.Release)
	w.text(s.ProcedureDigest)
	w.message(s.Request)
	w.count(len(s.Artifacts))
	for _, a := range s.Artifacts {
		w.message(a)
	}
	w.count(len(s.Previews))
	for _, p := range s.Previews {
		w.message(p)
	}
	// That fewer people are asked is approved as well. The rest of what was chosen is in the
	// request that runs.
	if lane := s.Chosen.GetLane(); lane != "" {
		w.text("lane")
		w.text(lane)
	}
	return w.sum()
}

// contentDigest is the digest of a message's content. Marshaled bytes would not
// do: protobuf does not promise that equal messages have equal bytes.
func contentDigest(m proto.Message) string {
	w := writer{sha256.New()}
	w.message(m)
	return w.sum()
}

// writer feeds a hash with a form of messages in which every value stands behind
// its kind and length, so that no two contents have the same form.
type writer struct{ h hash.Hash }

func (w writer) sum() string { return "sha256:" + hex.EncodeToString(w.h.Sum(nil)) }

func (w writer) number(n uint64) { w.h.Write(binary.BigEndian.AppendUint64(nil, n)) }

func (w writer) count(n int) { w.number(uint64(n)) } //nolint:gosec // Lengths are never negative.

func (w writer) text(s string) {
	w.count(len(s))
	w.h.Write([]byte(s))
}

func (w writer) message(m proto.Message) {
	if m == nil || !m.ProtoReflect().IsValid() {
		w.text("absent")
		return
	}
	w.reflected(m.ProtoReflect())
}

func (w writer) reflected(m protoreflect.Message) {
	var fields []protoreflect.FieldDescriptor
	m.Range(func(f protoreflect.FieldDescriptor, _ protoreflect.Value) bool {
		fields = append(fields, f)
		return true
	})
	slices.SortFunc(fields, func(a, b protoreflect.FieldDescriptor) int { return int(a.Number()) - int(b.Number()) })
	w.text(string(m.Descriptor().FullName()))
	w.count(len(fields))
	for _, f := range fields {
		w.count(int(f.Number()))
		w.field(f, m.Get(f))
	}
	// A field that this program does not know may matter to one that does.
	w.text(string(m.GetUnknown()))
}

func (w writer) field(f protoreflect.FieldDescriptor, v protoreflect.Value) {
	switch {
	case f.IsList():
		w.count(v.List().Len())
		for i := range v.List().Len() {
			w.value(f, v.List().Get(i))
		}
	case f.IsMap():
		var keys []protoreflect.MapKey
		v.Map().Range(func(k protoreflect.MapKey, _ protoreflect.Value) bool {
			keys = append(keys, k)
			return true
		})
		slices.SortFunc(keys, func(a, b protoreflect.MapKey) int { return strings.Compare(a.String(), b.String()) })
		w.count(len(keys))
		for _, k := range keys {
			w.text(k.String())
			w.value(f.MapValue(), v.Map().Get(k))
		}
	default:
		w.value(f, v)
	}
}

func (w writer) value(f protoreflect.FieldDescriptor, v protoreflect.Value) {
	switch f.Kind() {
	case protoreflect.MessageKind, protoreflect.GroupKind:
		w.reflected(v.Message())
	case protoreflect.StringKind:
		w.text(v.String())
	case protoreflect.BytesKind:
		w.text(string(v.Bytes()))
	case protoreflect.DoubleKind, protoreflect.FloatKind:
		w.number(math.Float64bits(v.Float()))
	default:
		w.text(v.String())
	}
}

// PrimaryArtifact is the artifact that drivers place: the first of the request, as
// it was pinned; nil before step 2.
func (s State) PrimaryArtifact() *releasev1.PinnedArtifact {
	if len(s.Artifacts) == 0 {
		return nil
	}
	return s.Artifacts[0]
}
