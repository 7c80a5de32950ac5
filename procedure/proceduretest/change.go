package proceduretest

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// Whole returns the state with every field set of everything that approvals are bound to.
func Whole(s procedure.State) procedure.State {
	s.Request, s.Artifacts, s.Previews = Full(s.Request), fullList(s.Artifacts), fullList(s.Previews)
	return s
}

// Changes calls yield with a copy of the state for everything that can be another about what
// approvals are bound to, one thing at a time: every field of every message, however deep,
// whichever of a choice it is (PD-A.3). The fields are those that the contract has, so that
// nobody has to remember a new one. The state should be a Whole one.
func Changes(s procedure.State, yield func(what string, changed procedure.State)) {
	variants(s.Request.ProtoReflect(), "request", func(what string, m protoreflect.Message) {
		c := s
		c.Request = m.Interface().(*releasev1.Request) //nolint:forcetypeassert // It is a copy of one.
		yield(what, c)
	})
	for i, a := range s.Artifacts {
		variants(a.ProtoReflect(), fmt.Sprintf("artifact %d", i), func(what string, m protoreflect.Message) {
			c := s
			c.Artifacts = append([]*releasev1.PinnedArtifact(nil), s.Artifacts...)
			c.Artifacts[i] = m.Interface().(*releasev1.PinnedArtifact) //nolint:forcetypeassert // As above.
			yield(what, c)
		})
	}
	for i, p := range s.Previews {
		variants(p.ProtoReflect(), fmt.Sprintf("preview %d", i), func(what string, m protoreflect.Message) {
			c := s
			c.Previews = append([]*releasev1.TargetPreview(nil), s.Previews...)
			c.Previews[i] = m.Interface().(*releasev1.TargetPreview) //nolint:forcetypeassert // As above.
			yield(what, c)
		})
	}
	for _, other := range []struct {
		what   string
		change func(*procedure.State)
	}{
		{"the release", func(c *procedure.State) { c.Release += "a" }},
		{"the procedure", func(c *procedure.State) { c.ProcedureDigest = Digest('0') }},
		{"the lane", func(c *procedure.State) { c.Chosen = &releasev1.Chosen{Lane: "standard"} }},
		{"one artifact less", func(c *procedure.State) { c.Artifacts = c.Artifacts[1:] }},
		{"one artifact more", func(c *procedure.State) { c.Artifacts = append(c.Artifacts[:1:1], &releasev1.PinnedArtifact{}) }},
		{"one preview less", func(c *procedure.State) { c.Previews = c.Previews[1:] }},
		{"an unknown field", func(c *procedure.State) {
			c.Request = proto.CloneOf(c.Request)
			c.Request.ProtoReflect().SetUnknown(protowire.AppendVarint(protowire.AppendTag(nil, 900, protowire.VarintType), 1))
		}},
	} {
		c := s
		other.change(&c)
		yield(other.what, c)
	}
}
