package execute

import (
	"context"
	"time"

	"github.com/blackdice/shipwarden/internal/reactor"
	"github.com/blackdice/shipwarden/internal/verdict"
	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/site"
)

// proved is what the evidence of a release is worth now.
type proved struct {
	findings []*releasev1.Finding
	holds    []*releasev1.HoldReason
	// around are gates that an emergency goes around and that are not on record as that yet,
	// and called why, one finding for each.
	around []string
	called []*releasev1.Finding
	// trustedBy is the digest of the document in effect, by whose signers it was judged.
	trustedBy string
}

// evidence judges the gates of step 1 again (PD-1.2, PD-1.3): a start may come a week after
// them. What was fresh then may be too old by then, and who signed it may have been found
// out since: that the approval service once said that a gate passed starts nothing. It is
// refused, because nothing makes a statement younger or its signer trusted, and what came
// later would have been approved by nobody; evidence that cannot be read any more is waited
// for, and refused when that has lasted for as long as a person has to decide.
func (s shell) evidence(ctx context.Context, t reactor.Task, at time.Time) (proved, error) {
	m, err := s.gather(ctx, t)
	if err != nil {
		return proved{}, err
	}
	out, gone := proved{trustedBy: m.active}, m.why()
	if len(m.trusts) == 0 {
		return out, nil
	}
	fallen, around := verdict.Again(t.State, m.envelopes, at, m.trusts...)
	for _, v := range fallen {
		if gone == "" {
			out.findings = append(out.findings, &releasev1.Finding{
				Rule: verdict.RuleOutdated, Severity: releasev1.Finding_SEVERITY_BLOCKING, Subject: v.GetGate(),
				Message: site.Line("it passed this gate at step 1, and would not at its start: " + v.GetReason() + ": request it again with evidence that counts"),
			})
			continue
		}
		out.holds = append(out.holds, &releasev1.HoldReason{Rule: verdict.RuleUnknown, Subject: v.GetGate(), Message: site.Line(gone)})
	}
	for _, v := range around {
		out.around = append(out.around, procedure.GateBypass(v.GetGate()))
		out.called = append(out.called, called(v, gone))
	}
	if len(out.holds) > 0 && outwaited(t, verdict.RuleUnknown) {
		for _, h := range out.holds {
			out.findings = append(out.findings, &releasev1.Finding{
				Rule: h.GetRule(), Severity: releasev1.Finding_SEVERITY_BLOCKING, Subject: h.GetSubject(), Message: h.GetMessage(),
			})
		}
	}
	return out, nil
}

// called says why an emergency goes around a gate that it passed at step 1: because its evidence
// satisfies the gate no longer, or because nobody can tell. Afterwards nothing else would say
// which it was: what could not be read may be there again.
func called(v *releasev1.GateVerdict, gone string) *releasev1.Finding {
	f := &releasev1.Finding{Rule: verdict.RuleOutdated, Severity: releasev1.Finding_SEVERITY_WARNING, Subject: v.GetGate(), Message: site.Line(v.GetReason())}
	if gone != "" {
		f.Rule, f.Message = verdict.RuleUnknown, site.Line(gone)
	}
	return f
}

// outdated says why a wave that was claimed must not begin any more by its evidence: between
// a claim and its effect may lie a night. An error means that nobody can tell, for now.
func (s shell) outdated(ctx context.Context, t reactor.Task, now time.Time) (string, error) {
	at := now
	if !begins(t.State) {
		at = verdict.At(t.State, now)
	}
	p, err := s.evidence(ctx, t, at)
	switch {
	case err != nil:
		return "", err
	case len(p.findings) > 0:
		return "gate " + p.findings[0].GetSubject() + ": " + p.findings[0].GetMessage(), nil
	case len(p.holds) > 0:
		return "", cannotTell(p.holds[0].GetMessage())
	}
	return "", nil
}
