package verdict

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/internal/condition"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// rules returns which of the gate's rules do not hold of a statement, or nothing. A
// rule that cannot be evaluated does not hold.
func (j *judge) rules(s *statement, signer string, artifact *releasev1.Artifact) string {
	if len(j.gate.GetRules()) == 0 {
		return ""
	}
	seen, err := s.seen(signer)
	if err != nil {
		return fmt.Sprintf("cannot be judged by the rules: %v", err)
	}
	// A list that cannot be read must not look like one that is empty: of that, all
	// conditions with "all" and "not exists" are true.
	for _, field := range []string{"authors", "reviewers"} {
		if _, there := s.predicate[field]; there {
			if _, ok := texts(s.predicate[field]); !ok && !emptyList(s.predicate[field]) {
				return "cannot be judged by the rules: " + field + " is no list of names"
			}
		}
	}
	facts := condition.Facts{
		Attestation: seen, Artifact: artifact, Request: j.request, Now: j.now,
		Authors: j.wrote, Reviewers: s.counted(j.index, j.wrote), Groups: j.index.Members(),
	}
	var reasons []string
	for _, rule := range j.gate.GetRules() {
		compiled, err := j.index.Condition(rule)
		if err != nil {
			reasons = append(reasons, fmt.Sprintf("fails the rule %s: %v", rule.GetName(), err))
			continue
		}
		switch holds, err := compiled.Holds(facts); {
		case err != nil:
			reasons = append(reasons, fmt.Sprintf("fails the rule %s: %s (%v)", rule.GetName(), rule.GetMessage(), err))
		case !holds:
			reasons = append(reasons, fmt.Sprintf("fails the rule %s: %s", rule.GetName(), rule.GetMessage()))
		}
	}
	return strings.Join(reasons, " and ")
}

func emptyList(value any) bool {
	list, ok := value.([]any)
	return ok && len(list) == 0
}

// seen is the statement as rules see it.
func (s *statement) seen(signer string) (*policyv1.Attestation, error) {
	predicate := &structpb.Struct{}
	if s.predicate != nil {
		data, err := json.Marshal(s.predicate)
		if err != nil {
			return nil, fmt.Errorf("read the predicate: %w", err)
		}
		if err := predicate.UnmarshalJSON(data); err != nil {
			return nil, fmt.Errorf("read the predicate: %w", err)
		}
	}
	out := &policyv1.Attestation{
		Digest: s.digest, StatementType: s.kind, PredicateType: s.predicateType, Predicate: predicate, Signer: &policyv1.Signer{Id: signer},
	}
	for digest := range s.subjects {
		out.Subjects = append(out.Subjects, "sha256:"+digest)
	}
	slices.Sort(out.GetSubjects())
	if !s.signed.IsZero() {
		out.Signed = timestamppb.New(s.signed)
	}
	if c := s.certificate; c != nil {
		out.Signer = &policyv1.Signer{
			Id: signer, Issuer: c.Issuer, Subject: c.Subject, SourceRepository: c.SourceRepository, SourceRef: c.SourceRef,
			BuildSigner: c.BuildSigner, BuildTrigger: c.BuildTrigger, Runner: c.Runner,
		}
	}
	return out, nil
}
