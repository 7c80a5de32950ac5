package procedure

import (
	"slices"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// DecideScope turns what was found about artifacts, targets, version and owner
// into the end of step 2 (PD-2.1 to PD-2.3): one blocking finding refuses the
// release, and all findings are recorded either way. Bypassed is what an emergency goes
// around at this step.
func DecideScope(artifacts []*releasev1.PinnedArtifact, targets []*releasev1.ScopedTarget, findings []*releasev1.Finding, bypassed ...string) *releasev1.Event {
	if len(blocking(findings)) > 0 {
		return &releasev1.Event{Data: &releasev1.Event_ScopeRefused{ScopeRefused: &releasev1.ScopeRefused{Findings: findings}}}
	}
	return &releasev1.Event{Data: &releasev1.Event_ScopeValidated{ScopeValidated: &releasev1.ScopeValidated{
		Artifacts: artifacts, Targets: targets, Findings: findings, Bypassed: bypassed,
	}}}
}

func blocking(findings []*releasev1.Finding) []*releasev1.Finding {
	return slices.DeleteFunc(slices.Clone(findings), func(f *releasev1.Finding) bool {
		return f.GetSeverity() != releasev1.Finding_SEVERITY_BLOCKING
	})
}

func reasons(step string, findings []*releasev1.Finding) string {
	out := "refused at " + step
	for _, f := range blocking(findings) {
		out += "; " + f.GetRule() + ": " + f.GetMessage()
	}
	return out
}

func (s *State) applyScopeValidated(e Entry, d *releasev1.ScopeValidated) error {
	if err := s.expect(e, PhaseScope); err != nil {
		return err
	}
	if len(blocking(d.GetFindings())) > 0 {
		return s.invalid(e, "a finding is blocking")
	}
	if len(d.GetBypassed()) > 0 && !s.Emergency() {
		return s.invalid(e, "a control is bypassed without an emergency")
	}
	// What is deployed later is what was asked for, no more and no less.
	if len(d.GetArtifacts()) != len(s.Request.GetArtifacts()) {
		return s.invalid(e, "artifacts are missing or added")
	}
	for i, a := range s.Request.GetArtifacts() {
		if p := d.GetArtifacts()[i]; p.GetName() != a.GetName() || p.GetKind() != a.GetKind() || p.GetDigest() != a.GetDigest() || p.GetLocation() != a.GetLocation() {
			return s.invalid(e, "artifact "+a.GetName()+" is not the one that was asked for")
		}
	}
	var scoped []string
	for _, t := range d.GetTargets() {
		scoped = append(scoped, t.GetTarget())
	}
	if !slices.Equal(scoped, Targets(s.Request)) {
		return s.invalid(e, "targets are missing, added or out of order")
	}
	s.Artifacts, s.Targets = d.GetArtifacts(), d.GetTargets()
	s.Findings = d.GetFindings()
	s.bypass(d.GetBypassed())
	s.enter(PhasePreview, e.Stored)
	return nil
}

func (s *State) applyScopeRefused(e Entry, d *releasev1.ScopeRefused) error {
	if err := s.expect(e, PhaseScope); err != nil {
		return err
	}
	s.Findings = append(slices.Clip(s.Findings), d.GetFindings()...)
	s.end(releasev1.Outcome_OUTCOME_REJECTED, "", reasons("step 2", d.GetFindings()), e.Stored)
	return nil
}
