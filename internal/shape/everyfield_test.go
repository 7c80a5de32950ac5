package shape_test

import (
	"regexp/syntax"
	"slices"
	"strings"
	"testing"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	recorderv1 "github.com/blackdice/shipwarden/proto/shipwarden/recorder/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// withoutRule are fields of requests of which every value may be sent, each with what
// answers for it instead. A bool needs no entry: both of its values mean something.
var withoutRule = map[string]string{
	"shipwarden.release.v1.Request.emergency":                         "the message's rule emergency.required says when it is there",
	"shipwarden.release.v1.PrometheusProbe.baseline":                  "absent compares with nothing",
	"shipwarden.release.v1.KubernetesSecurityProbe.image_digests":     "absent asks for no such control; the message's rule security.controls demands one of them",
	"shipwarden.release.v1.KubernetesSecurityProbe.pod_security":      "as image_digests",
	"shipwarden.release.v1.KubernetesSecurityProbe.network_policy":    "as image_digests",
	"shipwarden.release.v1.KubernetesSecurityProbe.exposure":          "as image_digests",
	"shipwarden.release.v1.KubernetesSecurityProbe.service_account":   "as image_digests",
	"shipwarden.release.v1.KubernetesSecurityProbe.plain_secrets":     "as image_digests",
	"shipwarden.release.v1.ApprovalSignature.identity":                "whoever takes the bundle in writes it down, whatever was sent",
	"shipwarden.approval.v1.ApproveRequest.signature":                 "the procedure document says whether there must be one",
	"shipwarden.approval.v1.DelegateRequest.from":                     "absent is now; what is no time, or one that is over, is refused with the field by policy.CheckDelegation",
	"shipwarden.release.v1.KubernetesSecurityProbe.workloads":         "absent is the whole namespace",
	"shipwarden.recorder.v1.ListReleasesRequest.filter":               "absent filters nothing",
	"shipwarden.recorder.v1.Filter.requested_after":                   "absent does not filter; what is no time is refused by the query",
	"shipwarden.recorder.v1.Filter.requested_before":                  "as requested_after",
	"shipwarden.recorder.v1.Filter.ended_after":                       "as requested_after",
	"shipwarden.recorder.v1.Filter.ended_before":                      "as requested_after",
	"shipwarden.recorder.v1.GetReleaseRequest.min_sequence":           "any sequence can be waited for, as long as the call may last",
	"shipwarden.recorder.v1.GetReleaseRequest.events_after":           "behind the last one there are none",
	"shipwarden.recorder.v1.ListReleasesRequest.min_sequence":         "as in GetReleaseRequest",
	"shipwarden.recorder.v1.GetRecordRequest.min_sequence":            "as in GetReleaseRequest",
	"shipwarden.recorder.v1.ListProcedureChangesRequest.min_sequence": "as in GetReleaseRequest",
	"shipwarden.recorder.v1.ListQuarantinesRequest.min_sequence":      "as in GetReleaseRequest",
}

// TestEveryFieldThatIsSentHasARule walks whatever a person or a pipeline sends: each field
// is bounded by a rule of the contract, or says above why it needs none.
func TestEveryFieldThatIsSentHasARule(t *testing.T) {
	roots := []protoreflect.MessageDescriptor{
		(&releasev1.Request{}).ProtoReflect().Descriptor(), (&releasev1.Evidence{}).ProtoReflect().Descriptor(),
	}
	for _, file := range []protoreflect.FileDescriptor{
		approvalv1.File_shipwarden_approval_v1_approval_proto, approvalv1.File_shipwarden_approval_v1_procedure_proto,
		recorderv1.File_shipwarden_recorder_v1_recorder_proto,
	} {
		for i := range file.Services().Len() {
			methods := file.Services().Get(i).Methods()
			for j := range methods.Len() {
				roots = append(roots, methods.Get(j).Input())
			}
		}
	}
	seen := map[protoreflect.FullName]bool{}
	used := map[string]bool{}
	for len(roots) > 0 {
		m := roots[0]
		roots = roots[1:]
		if seen[m.FullName()] || !strings.HasPrefix(string(m.FullName()), "shipwarden.") {
			continue
		}
		seen[m.FullName()] = true
		for i := range m.Fields().Len() {
			f := m.Fields().Get(i)
			if f.Message() != nil && !f.IsMap() {
				roots = append(roots, f.Message())
			}
			missing := unruled(f, proto.GetExtension(f.Options(), validate.E_Field).(*validate.FieldRules)) //nolint:forcetypeassert // It is of this type.
			why := withoutRule[string(f.FullName())]
			used[string(f.FullName())] = why != ""
			switch {
			case missing != "" && why == "":
				t.Errorf("%s has %s", f.FullName(), missing)
			case missing == "" && why != "":
				t.Errorf("%s has a rule: it needs no reason (%s)", f.FullName(), why)
			}
		}
	}
	if len(seen) < 50 {
		t.Errorf("only %d messages were looked at", len(seen))
	}
	for name := range withoutRule {
		if !used[name] {
			t.Errorf("%s is not there any more", name)
		}
	}
}

// unruled is what a field lacks, empty where its rules bound it.
func unruled(f protoreflect.FieldDescriptor, r *validate.FieldRules) string {
	if r.GetIgnore() == validate.Ignore_IGNORE_ALWAYS {
		return "rules that are ignored"
	}
	switch {
	case f.IsMap():
		m := r.GetMap()
		if m.GetMaxPairs() == 0 {
			return "no bound on its pairs"
		}
		if missing := unruledValue(f.MapKey(), m.GetKeys()); missing != "" {
			return missing + " (keys)"
		}
		if missing := unruledValue(f.MapValue(), m.GetValues()); missing != "" {
			return missing + " (values)"
		}
		return ""
	case f.IsList():
		l := r.GetRepeated()
		if l.GetMaxItems() == 0 {
			return "no bound on its items"
		}
		if f.Message() != nil {
			return ""
		}
		if missing := unruledValue(f, l.GetItems()); missing != "" {
			return missing + " (items)"
		}
		return ""
	case f.ContainingOneof() != nil && !f.ContainingOneof().IsSynthetic():
		one := proto.GetExtension(f.ContainingOneof().Options(), validate.E_Oneof).(*validate.OneofRules) //nolint:forcetypeassert // It is of this type.
		if !one.GetRequired() {
			return "no rule on the oneof that it is of"
		}
		if f.Message() != nil {
			return ""
		}
	}
	return unruledValue(f, r)
}

// unruledValue is unruled of one value.
func unruledValue(f protoreflect.FieldDescriptor, r *validate.FieldRules) string {
	switch f.Kind() {
	case protoreflect.BoolKind:
		return ""
	case protoreflect.StringKind:
		s := r.GetString()
		cel := slices.ContainsFunc(r.GetCel(), func(rule *validate.Rule) bool {
			at := strings.Index(rule.GetExpression(), "this.matches('")
			return at == 0 && bounded(strings.TrimSuffix(strings.TrimPrefix(rule.GetExpression(), "this.matches('"), "')"))
		})
		if max(s.GetMaxLen(), s.GetMaxBytes(), s.GetLen()) > 0 || bounded(s.GetPattern()) || cel {
			return ""
		}
		return "no bound on its length"
	case protoreflect.BytesKind:
		if b := r.GetBytes(); max(b.GetMaxLen(), b.GetLen()) > 0 {
			return ""
		}
		return "no bound on its length"
	case protoreflect.EnumKind:
		if r.GetEnum().GetDefinedOnly() {
			return ""
		}
		return "no rule that its value is one of those that are defined"
	case protoreflect.MessageKind, protoreflect.GroupKind:
		if r.GetRequired() || len(r.GetCel()) > 0 || r.GetType() != nil {
			return ""
		}
		return "no rule whether it must be there"
	default:
		if r.GetType() != nil {
			return ""
		}
		return "no rule on its value"
	}
}

// bounded reports whether nothing of any length matches a pattern.
func bounded(pattern string) bool {
	re, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil || !strings.HasPrefix(pattern, "^") || !strings.HasSuffix(pattern, "$") {
		return false
	}
	return !endless(re)
}

// endless reports whether a part of it may come again and again.
func endless(re *syntax.Regexp) bool {
	if re.Op == syntax.OpStar || re.Op == syntax.OpPlus || re.Op == syntax.OpRepeat && re.Max < 0 {
		return true
	}
	return slices.ContainsFunc(re.Sub, endless)
}

// TestWhatHasNoRuleIsFound: the walk above can fail, for each of the reasons that it names.
func TestWhatHasNoRuleIsFound(t *testing.T) {
	for name, c := range map[string]struct {
		of    protoreflect.ProtoMessage
		rules *validate.FieldRules
	}{
		"version":                  {&releasev1.Request{}, &validate.FieldRules{Cel: []*validate.Rule{{Id: proto.String("text.blank"), Expression: proto.String("this.matches(r'[^ ]')")}}}},
		"service":                  {&releasev1.Request{}, rules(&validate.StringRules{Pattern: proto.String("^[a-z]+$")})},
		"environment":              {&releasev1.Request{}, rules(&validate.StringRules{Pattern: proto.String("[a-z]{1,4}")})},
		"owner":                    {&releasev1.Request{}, rules(&validate.StringRules{MinLen: proto.Uint64(1)})},
		"trigger":                  {&releasev1.Request{}, &validate.FieldRules{}},
		"plan":                     {&releasev1.Request{}, &validate.FieldRules{}},
		"artifacts":                {&releasev1.Request{}, &validate.FieldRules{}},
		"authors":                  {&releasev1.Request{}, &validate.FieldRules{Type: &validate.FieldRules_Repeated{Repeated: &validate.RepeatedRules{MaxItems: proto.Uint64(1)}}}},
		"parameters":               {&releasev1.Plan{}, &validate.FieldRules{Type: &validate.FieldRules_Map{Map: &validate.MapRules{MaxPairs: proto.Uint64(1)}}}},
		"document":                 {&approvalv1.ProposeRequest{}, &validate.FieldRules{Type: &validate.FieldRules_Bytes{Bytes: &validate.BytesRules{MinLen: proto.Uint64(1)}}}},
		"page_size":                {&approvalv1.ListPendingRequest{}, &validate.FieldRules{}},
		"min_sequence":             {&recorderv1.GetReleaseRequest{}, &validate.FieldRules{}},
		"require_signed_approvals": {&policyv1.Environment{}, nil},
	} {
		f := c.of.ProtoReflect().Descriptor().Fields().ByName(protoreflect.Name(name))
		if missing := unruled(f, c.rules); (missing == "") != (c.rules == nil) {
			t.Errorf("%s with %v: %q", name, c.rules, missing)
		}
	}
}

func rules(s *validate.StringRules) *validate.FieldRules {
	return &validate.FieldRules{Type: &validate.FieldRules_String_{String_: s}}
}
