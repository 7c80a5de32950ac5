package verdict

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/blackdice/shipwarden/internal/policy"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
)

// trusted returns the signer that counts for that use, or why none does.
func (s *statement) trusted(index *policy.Index, use purpose, now time.Time) (signer, reason string) {
	if s.certificate != nil {
		return certified(index.Document().GetSigstore().GetIdentities(), *s.certificate, use)
	}
	var reasons []string
	for _, id := range s.signers {
		key := index.Key(id)
		switch {
		case !use.trusts(key):
			reasons = append(reasons, fmt.Sprintf("is signed by the key %q, which is not trusted for %s", id, use))
		case key.GetRevoked():
			reasons = append(reasons, fmt.Sprintf("is signed by the key %q, which is revoked", id))
		case key.GetNotBefore() != nil && now.Before(key.GetNotBefore().AsTime()):
			reasons = append(reasons, fmt.Sprintf("is signed by the key %q, which is not valid yet", id))
		case key.GetNotAfter() != nil && now.After(key.GetNotAfter().AsTime()):
			reasons = append(reasons, fmt.Sprintf("is signed by the key %q, which is no longer valid", id))
		default:
			return id, ""
		}
	}
	return "", strings.Join(reasons, " and ")
}

// content returns why the predicate does not satisfy a gate, or nothing. Whoever wrote
// the change by any source is given, by id, and whether statements are dated as they were
// once (Trust.Stamped).
func (s *statement) content(index *policy.Index, gate *policyv1.Gate, wrote []string, stamped bool, now time.Time) string {
	var reasons []string
	for _, reason := range []string{s.field(gate), s.age(gate, stamped, now), s.reviewers(index, gate, wrote)} {
		if reason != "" {
			reasons = append(reasons, reason)
		}
	}
	return strings.Join(reasons, " and ")
}

// value is what a field of the predicate holds, or nil. A name that holds a dot itself
// cannot be reached, and neither can the elements of a list.
func (s *statement) value(field string) any {
	var value any = s.predicate
	for name := range strings.SplitSeq(field, ".") {
		object, _ := value.(map[string]any)
		value = object[name]
	}
	return value
}

// field checks the field that must hold one of some values.
func (s *statement) field(gate *policyv1.Gate) string {
	if gate.GetField() == "" {
		return ""
	}
	var got string
	switch value := s.value(gate.GetField()).(type) {
	case string:
		got = value
	case bool:
		got = fmt.Sprint(value)
	case json.Number:
		got = value.String()
	default:
		return fmt.Sprintf("has no value in %s", gate.GetField())
	}
	if !slices.Contains(gate.GetValues(), got) {
		return fmt.Sprintf("says %s = %.64q instead of %s", gate.GetField(), got, strings.Join(gate.GetValues(), " or "))
	}
	return ""
}

// reviewers checks who reviewed. One person counts once under all their names;
// whoever the procedure does not know, or who may decide nothing, does not count.
func (s *statement) reviewers(index *policy.Index, gate *policyv1.Gate, wrote []string) string {
	if gate.GetMinReviewers() == 0 {
		return ""
	}
	if len(s.authors(index)) == 0 {
		return "names no authors, so that nobody knows who reviewed their own work"
	}
	if _, ok := texts(s.predicate["reviewers"]); !ok {
		return "names no reviewers"
	}
	counted := slices.DeleteFunc(s.counted(index, wrote), func(person string) bool {
		group := gate.GetReviewerGroup()
		return group != "" && !slices.Contains(index.GroupsOf(person), group)
	})
	if len(counted) < int(gate.GetMinReviewers()) {
		return fmt.Sprintf("names %d of %d %s", len(counted), gate.GetMinReviewers(), reviewersOf(gate))
	}
	return ""
}

// counted returns the ids of the reviewers that the predicate names and that count: people
// of the procedure who may decide something and wrote nothing of the change, each once
// under all their names.
func (s *statement) counted(index *policy.Index, wrote []string) []string {
	named, _ := texts(s.predicate["reviewers"])
	var out []string
	for _, name := range named {
		person := index.Person(name)
		if person == nil || person.GetInactive() || person.GetMachine() || slices.Contains(wrote, person.GetId()) || slices.Contains(out, person.GetId()) {
			continue
		}
		out = append(out, person.GetId())
	}
	return out
}

func reviewersOf(gate *policyv1.Gate) string {
	if gate.GetReviewerGroup() == "" {
		return "reviewers who are not authors"
	}
	return "reviewers of the group " + gate.GetReviewerGroup() + " who are not authors"
}

// authors returns the persons that the predicate names as authors: by id where
// the procedure knows them, else as they are written. It returns nil where the
// field is not a list of names, all of them.
func (s *statement) authors(index *policy.Index) []string {
	named, ok := texts(s.predicate["authors"])
	if !ok {
		return nil
	}
	return persons(index, named)
}

// persons returns names by id where the procedure knows them, else as they are
// written, each once.
func persons(index *policy.Index, names []string) []string {
	out := slices.Clone(names)
	for i, name := range out {
		if person := index.Person(name); person != nil {
			out[i] = person.GetId()
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// texts returns a JSON list of strings that are not empty.
func texts(value any) ([]string, bool) {
	list, ok := value.([]any)
	if !ok {
		return nil, false
	}
	result := make([]string, 0, len(list))
	for _, element := range list {
		element := text(element)
		if element == "" {
			return nil, false
		}
		result = append(result, element)
	}
	return result, len(result) > 0
}
