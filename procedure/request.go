package procedure

import (
	"strings"

	"google.golang.org/protobuf/types/known/durationpb"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// RequestDigest is the digest of what was asked for: equal requests have equal
// digests, whatever encoding they came in (PD-0.2).
func RequestDigest(r *releasev1.Request) string { return contentDigest(r) }

func (s *State) applyRequested(e Entry, d *releasev1.Requested) error {
	if s.Phase != PhaseNone {
		return s.invalid(e, "the release exists")
	}
	r := d.GetRequest()
	if r.GetService() == "" || len(r.GetArtifacts()) == 0 || len(r.GetPlan().GetWaves()) == 0 || r.GetOwner() == "" {
		return s.invalid(e, "the request is incomplete")
	}
	if ReleaseID(r.GetEnvironment(), r.GetService(), r.GetIdempotencyKey()) != s.Release {
		return s.invalid(e, "the request is that of another release")
	}
	// A deadline that has passed when it begins would pass again and again.
	for _, t := range []*durationpb.Duration{
		d.GetTimeouts().GetStep(), d.GetTimeouts().GetExecute(), d.GetTimeouts().GetVerify(), d.GetTimeouts().GetDecision(),
	} {
		if t.AsDuration() <= 0 {
			return s.invalid(e, "a deadline is missing")
		}
	}
	if d.GetStartBy() == nil {
		return s.invalid(e, "the start has no deadline")
	}
	if !strings.HasPrefix(e.Event.GetProcedureDigest(), "sha256:") {
		return s.invalid(e, "the procedure document is not named")
	}
	for _, w := range r.GetPlan().GetWaves() {
		if len(w.GetTargets()) == 0 {
			return s.invalid(e, "a wave has no target")
		}
	}
	if dup := duplicateTarget(r); dup != "" {
		return s.invalid(e, "target "+dup+" is in two waves")
	}
	s.Requested, s.Request, s.RequestedAt = d, r, e.Stored
	s.ProcedureDigest = e.Event.GetProcedureDigest()
	s.enter(PhaseGates, e.Stored)
	return nil
}

func duplicateTarget(r *releasev1.Request) string {
	seen := map[string]bool{}
	for _, w := range r.GetPlan().GetWaves() {
		for _, t := range w.GetTargets() {
			if seen[t] {
				return t
			}
			seen[t] = true
		}
	}
	return ""
}

// Targets returns every target of a request, in the order of its waves.
func Targets(r *releasev1.Request) []string {
	var all []string
	for _, w := range r.GetPlan().GetWaves() {
		all = append(all, w.GetTargets()...)
	}
	return all
}

// beforeStart are the phases in which nothing was touched yet, unless a wave is
// already done.
var beforeStart = []Phase{
	PhaseGates, PhaseScope, PhasePreview, PhaseRisk, PhaseHeld, PhaseApprove, PhaseNotify, PhaseExecute,
}

// expectNotStarted refuses an event that is only possible before execution.
func (s *State) expectNotStarted(e Entry) error {
	if err := s.expect(e, beforeStart...); err != nil {
		return err
	}
	if s.Started() {
		return s.invalid(e, "execution has started")
	}
	return nil
}

func (s *State) applyWithdrawn(e Entry, d *releasev1.Withdrawn) error {
	if err := s.expectNotStarted(e); err != nil {
		return err
	}
	by, err := s.human(e)
	if err != nil {
		return err
	}
	if by != s.Request.GetOwner() && by != s.Request.GetRequester() {
		return s.invalid(e, by+" is neither its owner nor its requester")
	}
	s.end(releasev1.Outcome_OUTCOME_WITHDRAWN, by, d.GetReason(), e.Stored)
	return nil
}

func (s *State) applySuperseded(e Entry, d *releasev1.Superseded) error {
	if err := s.expectNotStarted(e); err != nil {
		return err
	}
	if d.GetByRelease() == "" || d.GetByRelease() == s.Release {
		return s.invalid(e, "no newer release is named")
	}
	s.end(releasev1.Outcome_OUTCOME_SUPERSEDED, "", "superseded by "+d.GetByRelease(), e.Stored)
	return nil
}
