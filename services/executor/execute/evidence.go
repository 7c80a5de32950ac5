package execute

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/reactor"
	"github.com/blackdice/shipwarden/internal/standing"
	"github.com/blackdice/shipwarden/internal/verdict"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/site"
)

// Words for the record: evidence that satisfies its gate no longer, and evidence that is
// not there any more, of which nobody can tell whether it would.
const (
	ruleEvidence        = "evidence.outdated"
	ruleEvidenceUnknown = "evidence.unknown"
)

// proved is what the evidence of a release is worth now.
type proved struct {
	findings []*releasev1.Finding
	holds    []*releasev1.HoldReason
	// around are gates that an emergency goes around and that are not on record as that yet.
	around []string
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
	var out proved
	trusts, active, rootless, err := s.trusts(ctx, t)
	if err != nil || len(trusts) == 0 {
		out.trustedBy = active
		return out, err
	}
	out.trustedBy = active
	envelopes, unread := s.envelopes(ctx, t)
	if ctx.Err() != nil {
		return out, ctx.Err()
	}
	gone := errors.Join(rootless, unread)
	fallen, around := verdict.Again(t.State, envelopes, at, trusts...)
	out.around = around
	for _, v := range fallen {
		if gone == nil {
			out.findings = append(out.findings, &releasev1.Finding{
				Rule: ruleEvidence, Severity: releasev1.Finding_SEVERITY_BLOCKING, Subject: v.GetGate(),
				Message: site.Line("it passed this gate at step 1, and would not at its start: " + v.GetReason() + ": request it again with evidence that counts"),
			})
			continue
		}
		out.holds = append(out.holds, &releasev1.HoldReason{Rule: ruleEvidenceUnknown, Subject: v.GetGate(), Message: site.Line(gone.Error())})
	}
	if len(out.holds) > 0 && outwaited(t, ruleEvidenceUnknown) {
		for _, h := range out.holds {
			out.findings = append(out.findings, &releasev1.Finding{
				Rule: h.GetRule(), Severity: releasev1.Finding_SEVERITY_BLOCKING, Subject: h.GetSubject(), Message: h.GetMessage(),
			})
		}
	}
	return out, nil
}

// trusts are what evidence is judged by: the release's own document, and the signers of the
// one in effect where that is another one, whose digest is returned as well. None where the
// release had no gate to pass. Gone says that a trusted root cannot be read.
func (s shell) trusts(ctx context.Context, t reactor.Task) (trusts []verdict.Trust, active string, gone, err error) {
	own, err := s.Procedures.ByDigest(ctx, t.State.ProcedureDigest)
	if err != nil {
		return nil, "", nil, err
	}
	now, err := standing.ReadProcedure(ctx, s.Store, own.Document().GetId())
	if err != nil {
		return nil, "", nil, err
	}
	if active = now.Digest; active == "" {
		active = t.State.ProcedureDigest
	}
	if len(own.GatesFor(t.State.Request)) == 0 {
		return nil, active, nil, nil
	}
	documents := []*policy.Index{own}
	if active != t.State.ProcedureDigest {
		signers, err := s.Procedures.ByDigest(ctx, active)
		if err != nil {
			return nil, "", nil, err
		}
		documents = append(documents, signers)
	}
	for _, signers := range documents {
		trust := verdict.Trust{Index: own, Signers: signers}
		if digest := signers.Document().GetSigstore().GetTrustedRoot(); digest != "" {
			if trust.Root, err = s.roots.Root(ctx, digest); err != nil {
				gone = errors.Join(gone, fmt.Errorf("by the trusted root %s nothing can be judged again: %w", digest, err))
			}
		}
		trusts = append(trusts, trust)
	}
	return trusts, active, gone, nil
}

// envelopes reads the evidence that step 1 had. Gone says that some of it cannot be read: it is
// not there any more, or not what its digest says, or the store does not answer. What only
// that evidence could show is waited for, and no emergency that goes around it is.
func (s shell) envelopes(ctx context.Context, t reactor.Task) (envelopes [][]byte, gone error) {
	for _, ref := range slices.Concat(t.State.Evidence(), t.State.Confirmed.GetFound()) {
		if t.State.UnkeptReason(ref.GetDigest()) != "" {
			continue
		}
		content, err := s.Blobs.Get(ctx, ref.GetDigest())
		if err != nil {
			gone = errors.Join(gone, fmt.Errorf("the evidence %s cannot be judged again: %w", ref.GetDigest(), err))
			continue
		}
		envelopes = append(envelopes, content)
	}
	return envelopes, gone
}

// outdated says why a wave that was claimed must not begin any more by its evidence: between
// a claim and its effect may lie a night. An error means that nobody can tell.
func (s shell) outdated(ctx context.Context, t reactor.Task, now time.Time) (string, error) {
	at := now
	if !begins(t.State) {
		at = verdict.At(t.State, now)
	}
	p, err := s.evidence(ctx, t, at)
	switch {
	case ctx.Err() != nil:
		return "", ctx.Err()
	case err != nil:
		return unsure(t, now, err)
	case len(p.findings) > 0:
		return "gate " + p.findings[0].GetSubject() + ": " + p.findings[0].GetMessage(), nil
	case len(p.holds) > 0:
		return unsure(t, now, errors.New(p.holds[0].GetMessage()))
	}
	return "", nil
}
