package verdict

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/sigstore"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// maxReasons bounds the statements whose faults one artifact's reason tells.
const maxReasons = 5

// Trust is what evidence is judged by.
type Trust struct {
	// Index is the procedure document.
	Index *policy.Index
	// Signers is the document whose keys and identities count, where that is another one than
	// Index; nil where it is not.
	Signers *policy.Index
	// Root is the trusted root that the document of the signers names; nil where it names none.
	Root *sigstore.Root
	// Unseen says of artifacts, by name, why nobody knows what their registry has about
	// them. No gate is satisfied for them: what was not seen is no absence.
	Unseen map[string]string
	// Lost says what came as evidence and could not be kept; empty where nothing is lost. A
	// gate that nothing else satisfies might have been satisfied by it, or not: it fails, and
	// may wait as for what is missing, because what was lost may be sent again.
	Lost string
	// Unbound lets a waiver count whatever it says of where: as it did before it had to
	// name the environment. It is for what was decided then, and for nothing else.
	Unbound bool
	// Stamped dates statements of every type by their field "timestamp", as it was before
	// types had their own (func Stamped). It is for what was decided then, and for nothing else.
	Stamped bool
	// OnlyV1 takes no statements of in-toto v0.1, as it was before they counted (func OnlyV1).
	// It is for what was decided then, and for nothing else.
	OnlyV1 bool
}

// signers is the document whose keys and identities count.
func (t Trust) signers() *policy.Index {
	if t.Signers != nil {
		return t.Signers
	}
	return t.Index
}

// Evaluate returns one verdict for every required gate, in their order: passed, waived
// or failed. It depends on nothing but its arguments, so that a verdict can be
// derived again from the record. The envelopes are what came with the request,
// in any order; none of them can do harm but by being believed.
//
// Whoever is an author by any source is one for every gate: by the request, and by
// every statement that is trusted, whichever gate it is for.
func Evaluate(trust Trust, required []*policyv1.Gate, request *releasev1.Request, envelopes [][]byte, now time.Time) []*releasev1.GateVerdict {
	index, signers := trust.Index, trust.signers()
	statements := make([]*statement, len(envelopes))
	for i, envelope := range envelopes {
		statements[i] = open(envelope, trust)
	}
	wrote := persons(index, request.GetAuthors())
	judges := make([]judge, len(required))
	for i, gate := range required {
		j := &judges[i]
		*j = judge{index: index, vouchers: signers, gate: gate, request: request, statements: statements, unseen: trust.Unseen, lost: trust.Lost, unbound: trust.Unbound, stamped: trust.Stamped, now: now}
		j.listAuthors(request.GetArtifacts())
		wrote = append(wrote, j.authors...)
	}
	verdicts := make([]*releasev1.GateVerdict, len(required))
	for i := range judges {
		judges[i].wrote = wrote
		verdicts[i] = judges[i].verdict(request.GetArtifacts())
	}
	return verdicts
}

// judge judges one gate.
type judge struct {
	index *policy.Index
	// vouchers is the document whose keys and identities count.
	vouchers   *policy.Index
	gate       *policyv1.Gate
	request    *releasev1.Request
	statements []*statement
	unseen     map[string]string
	lost       string
	unbound    bool
	stamped    bool
	now        time.Time
	// wrote is who is an author of the change by any source.
	wrote []string

	evidence, signers, authors, older []string
	// spoken says that somebody who is trusted said something about an artifact that is not
	// covered, or that nobody knows whether.
	spoken  bool
	waivers []*releasev1.Waiver
}

// listAuthors finds whom the statements of the gate name as authors of an artifact.
// Every one of them is looked at, those too that do not satisfy the gate: who is named
// there must not approve.
func (j *judge) listAuthors(artifacts []*releasev1.Artifact) {
	for _, artifact := range artifacts {
		if !j.about(artifact) {
			continue
		}
		for _, s := range j.statements {
			if s.predicateType != j.gate.GetPredicateType() {
				continue
			}
			if signer, _ := j.vouched(s, artifact, purpose{gate: j.gate.GetName()}); signer != "" {
				j.authors = append(j.authors, s.authors(j.index)...)
				j.heard(s)
			}
		}
	}
}

// heard notes which of what trusted people said is in an older statement.
func (j *judge) heard(s *statement) {
	if s.older() {
		j.older = append(j.older, s.digest)
	}
}

// about reports whether the gate is about artifacts of that kind.
func (j *judge) about(artifact *releasev1.Artifact) bool {
	kinds := j.gate.GetKinds()
	return len(kinds) == 0 || slices.Contains(kinds, artifact.GetKind())
}

func (j *judge) verdict(artifacts []*releasev1.Artifact) *releasev1.GateVerdict {
	var passed, waived, failed []string
	for _, artifact := range artifacts {
		if !j.about(artifact) {
			continue
		}
		reasons := j.cover(artifact)
		if why := j.unseen[artifact.GetName()]; why != "" {
			reasons, j.spoken = append(reasons, why), true
		}
		if len(reasons) > 0 && j.lost != "" {
			reasons = append(reasons, j.lost)
		}
		if len(reasons) > 0 {
			waiver, against := j.waive(artifact)
			if waiver != nil {
				j.waivers = append(j.waivers, waiver)
				waived = append(waived, inWords(waiver)+" ("+strings.Join(reasons, "; ")+")")
				continue
			}
			failed = append(failed, fmt.Sprintf("artifact %s: %s", artifact.GetName(), strings.Join(append(reasons, against...), "; ")))
			continue
		}
		passed = append(passed, artifact.GetName())
	}
	verdict := &releasev1.GateVerdict{
		Gate:     j.gate.GetName(),
		Rule:     rule(j.gate, j.stamped),
		Evidence: sorted(j.evidence),
		SignedBy: strings.Join(sorted(j.signers), ", "),
		Authors:  sorted(j.authors),
		Older:    sorted(j.older),
	}
	switch {
	case len(failed) > 0:
		verdict.Status, verdict.Missing = releasev1.GateVerdict_STATUS_FAILED, !j.spoken
		verdict.Reason = strings.Join(failed, ". ")
	case len(waived) > 0:
		verdict.Status, verdict.Waivers = releasev1.GateVerdict_STATUS_WAIVED, j.waivers
		verdict.Reason = strings.Join(waived, ". ")
		if len(passed) > 0 {
			verdict.Reason += ". Proved for " + strings.Join(passed, ", ")
		}
	case len(passed) == 0:
		// Nothing to be covered is no reason to let something pass.
		verdict.Status = releasev1.GateVerdict_STATUS_FAILED
		verdict.Reason = "the release has no artifact that this gate is about"
	default:
		verdict.Status = releasev1.GateVerdict_STATUS_PASSED
		verdict.Reason = "proved for " + strings.Join(passed, ", ")
	}
	return verdict
}

// cover looks for a statement that satisfies the gate for an artifact, and
// returns why there is none, or nothing.
func (j *judge) cover(artifact *releasev1.Artifact) []string {
	var reasons, refused, signers []string
	covered := false
	for _, s := range j.statements {
		if !s.unreadable && s.predicateType != j.gate.GetPredicateType() {
			continue
		}
		signer, reason := j.examine(s, artifact)
		if reason == "" {
			if !covered {
				j.evidence = append(j.evidence, s.digest)
				j.signers = append(j.signers, signer)
			}
			covered = true
			continue
		}
		reasons = append(reasons, fmt.Sprintf("the evidence %.19s… %s", s.digest, reason))
		if signer != "" {
			refused, signers = append(refused, s.digest), append(signers, signer)
		}
	}
	if covered {
		return nil
	}
	j.spoken = j.spoken || len(signers) > 0
	j.evidence, j.signers = append(j.evidence, refused...), append(j.signers, signers...)
	switch {
	case len(reasons) == 0:
		return []string{"there is no evidence of type " + j.gate.GetPredicateType()}
	case len(reasons) > maxReasons:
		return append(reasons[:maxReasons], fmt.Sprintf("and %d more", len(reasons)-maxReasons))
	}
	return reasons
}

// examine returns who vouches for the artifact by this statement, and why it does
// not count all the same. Without a signer it is no evidence at all.
func (j *judge) examine(s *statement, artifact *releasev1.Artifact) (signer, reason string) {
	if signer, reason = j.vouched(s, artifact, purpose{gate: j.gate.GetName()}); reason != "" {
		return "", reason
	}
	reasons := []string{s.content(j.index, j.gate, j.wrote, j.stamped, j.now), j.rules(s, signer, artifact)}
	return signer, strings.Join(slices.DeleteFunc(reasons, func(r string) bool { return r == "" }), " and ")
}

// vouched returns who vouches for the artifact by this statement for that use, whatever
// it says, or why nobody does.
func (j *judge) vouched(s *statement, artifact *releasev1.Artifact, use purpose) (signer, reason string) {
	if s.problem != "" {
		return "", s.problem
	}
	signer, reason = s.trusted(j.vouchers, use, j.now)
	if reason != "" {
		return "", reason
	}
	if digest, ok := strings.CutPrefix(artifact.GetDigest(), "sha256:"); !ok || !s.subjects[digest] {
		return "", "is about something else than " + artifact.GetDigest()
	}
	return signer, ""
}

// Rule says in words what a gate demands, for the record.
func Rule(gate *policyv1.Gate) string { return rule(gate, false) }

func rule(gate *policyv1.Gate, stamped bool) string {
	rule := "a trusted statement of type " + gate.GetPredicateType() + " about the artifact's digest"
	if gate.GetField() != "" {
		rule += ", " + gate.GetField() + " = " + strings.Join(gate.GetValues(), " or ")
	}
	rule += maxAge(gate, stamped)
	for _, r := range gate.GetRules() {
		rule += ", " + r.GetName()
	}
	if gate.GetMinReviewers() > 0 {
		rule += fmt.Sprintf(", at least %d %s", gate.GetMinReviewers(), reviewersOf(gate))
	}
	if gate.GetWaivable() != nil {
		rule += ", or a waiver of at most " + gate.GetWaivable().GetMax().AsDuration().String()
	}
	return rule
}

func sorted(list []string) []string {
	slices.Sort(list)
	return slices.Compact(list)
}
