package intake

import (
	"regexp"
	"slices"
	"strings"

	validatepb "buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// beside returns those violations that do not merely follow from faults in the JSON: a
// field that was there and could not be read is not missing, and nothing is said of
// what is in it.
func beside(faults, violations []*releasev1.Violation) []*releasev1.Violation {
	return slices.DeleteFunc(violations, func(v *releasev1.Violation) bool {
		return slices.ContainsFunc(faults, func(f *releasev1.Violation) bool {
			return within(v.GetField(), f.GetField()) || speaksOf(v, f.GetField())
		})
	})
}

func within(path, outer string) bool {
	rest, ok := strings.CutPrefix(path, outer)
	return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
}

// speaksOf reports whether the violation is of a rule that looks at several fields, or
// elements, and the faulty one is among them.
func speaksOf(v *releasev1.Violation, faulty string) bool {
	if v.GetRule() == "repeated.unique" {
		return strings.HasPrefix(faulty, v.GetField()+"[")
	}
	for _, name := range looksAt[v.GetRule()] {
		if below(v.GetField(), name) == faulty {
			return true
		}
	}
	return false
}

// looksAt are the fields that each rule of a whole message looks at.
var looksAt = rulesOf((&releasev1.Request{}).ProtoReflect().Descriptor(), map[string][]string{})

var fieldInRule = regexp.MustCompile(`\bthis\.(\w+)`)

func rulesOf(m protoreflect.MessageDescriptor, into map[string][]string) map[string][]string {
	if rules, ok := proto.GetExtension(m.Options(), validatepb.E_Message).(*validatepb.MessageRules); ok {
		for _, c := range rules.GetCel() {
			for _, found := range fieldInRule.FindAllStringSubmatch(c.GetExpression(), -1) {
				into[c.GetId()] = append(into[c.GetId()], found[1])
			}
		}
	}
	for i := range m.Fields().Len() {
		if fd := m.Fields().Get(i); composite(fd) {
			rulesOf(fd.Message(), into)
		}
	}
	return into
}
