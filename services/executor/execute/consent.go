package execute

import (
	"context"
	"fmt"
	"slices"

	"github.com/blackdice/shipwarden/internal/consent"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/reactor"
	"github.com/blackdice/shipwarden/internal/standing"
	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// Rules of what is wrong with approvals that were counted.
const (
	// ruleQuorum says that fewer approvals were asked for than the document demands.
	ruleQuorum = "approval.quorum"
	// ruleChosen says that something else was chosen than the document chooses.
	ruleChosen = "risk.chosen"
	// ruleSignature says that an approval is not signed by its person.
	ruleSignature = "approval.signature"
)

// unsigned names what speaks against the approvals that were counted, as far as their
// persons' own signatures are concerned (PD-A.4). The approval service writes down who
// approved and how many are needed, and the fold believes it. So before anything happens
// the executor asks the procedure document itself how many are needed and who has to
// sign, weighs the release and counts the emergencies before it again for that (needed),
// and verifies every signature with the keys that the document has: who could write
// whatever the approval service writes could still not send anything to production where
// people sign. Site.Signers closes what is left, a procedure document with keys of theirs.
func (s shell) unsigned(ctx context.Context, t reactor.Task) ([]*releasev1.Finding, error) {
	documents, err := s.documents(ctx, t)
	if err != nil {
		return nil, err
	}
	needed, out, err := s.needed(ctx, t, documents[0].Document())
	if err != nil {
		return nil, err
	}
	out = append(out, short(t.State.Quorum, needed)...)
	say := func(rule, subject, format string, args ...any) {
		out = append(out, &releasev1.Finding{
			Rule: rule, Severity: releasev1.Finding_SEVERITY_BLOCKING, Subject: subject, Message: fmt.Sprintf(format, args...),
		})
	}
	spare := spare(t.State.Authorized.GetApprovals(), needed, t.State.Quorum)
	for _, c := range t.State.Authorized.GetApprovals() {
		i := slices.IndexFunc(t.State.Approvals, func(a procedure.Approval) bool { return a.Person == c.GetPerson() })
		if i < 0 {
			continue // the fold does not count such
		}
		a := t.State.Approvals[i]
		free := s.Signers == nil && (a.Signature == nil || a.StandIn != nil) && spare[c.GetGroup()] > 0
		if free {
			spare[c.GetGroup()]--
		}
		if a.StandIn != nil {
			why, err := s.standsIn(ctx, t, documents[0], a)
			if err != nil {
				return nil, err
			}
			if why != "" {
				say(ruleApprover, a.Person, "%s", why)
			}
			if !free {
				say(ruleSignature, a.Person, "%s approved in place of %s, and such approvals must be signed by the person", a.Person, a.StandIn.GetPerson())
			}
		}
		if a.Signature == nil && free {
			continue
		}
		whose := documents
		if s.Signers != nil {
			whose = append(slices.Clone(documents), s.Signers)
		}
		if _, err := consent.Verify(t.State, a, s.Roots, whose...); err != nil {
			say(ruleSignature, a.Person, "the approval of %s is not theirs: %v", a.Person, err)
			continue
		}
		if !slices.Contains(documents[0].PeopleAt(c.GetGroup(), a.Given), t.State.StoodInFor(a.Person)) {
			say(ruleSignature, a.Person, "%s approved for %s, and is not among them", a.Person, c.GetGroup())
		}
	}
	return out, nil
}

// standsIn says why a stand-in's approval does not hold any more: one of the delegations
// was revoked since, also where it would be over by now, or the document has no such
// stand-ins at all. One that has come to its end by itself does not matter: the approval
// was given in its time.
func (s shell) standsIn(ctx context.Context, t reactor.Task, document *policy.Index, a procedure.Approval) (string, error) {
	now, err := standing.ReadDelegations(ctx, s.Store, document.Document().GetId())
	if err != nil {
		return "", err
	}
	for _, d := range a.StandIn.GetDelegations() {
		if !now.Counts(d, t.Now) {
			return fmt.Sprintf("%s approved in place of %s, and delegation %d was revoked since: request it again", a.Person, a.StandIn.GetPerson(), d.GetNumber()), nil
		}
	}
	right := document.StandIn(a.StandIn.GetDelegations(), a.StandIn.GetPerson(), a.Person, a.Given)
	for _, g := range a.Groups {
		if !slices.Contains(right.GetGroups(), g) {
			return fmt.Sprintf("%s approved in place of %s for %s, and the procedure has no such stand-in", a.Person, a.StandIn.GetPerson(), g), nil
		}
	}
	return "", nil
}
