package authorize

import (
	"context"
	"errors"
	"slices"

	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/failpoint"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/standing"
	"github.com/blackdice/shipwarden/procedure"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// counter is one call's view of an artifact in quarantine, under the document in effect
// now: an artifact belongs to no release.
type counter struct {
	artifact standing.Artifact
	index    *policy.Index
	person   *releasev1.Actor
}

// ProposeClearance implements approvalv1.ApprovalServiceServer (PD-2.3). Whoever owns a
// service that released the artifact, handles releases, or may agree, may also ask.
func (s *Server) ProposeClearance(ctx context.Context, r *approvalv1.ProposeClearanceRequest) (*approvalv1.ProposeClearanceResponse, error) {
	state, sequence, err := s.clear(ctx, r.GetDigest(), func(c counter) (*releasev1.Event, error) {
		if err := c.concerned(); err != nil {
			return nil, err
		}
		return procedure.DecideProposal(c.artifact.Quarantined, c.person, r.GetReason(), s.now())
	})
	return &approvalv1.ProposeClearanceResponse{State: state, Sequence: sequence}, err
}

// ConfirmClearance implements approvalv1.ApprovalServiceServer (PD-2.3): by somebody of
// the group that the document names, who is not who asked and had no part in what put
// the artifact there, by no name that they have, and who saw what it stands at.
func (s *Server) ConfirmClearance(ctx context.Context, r *approvalv1.ConfirmClearanceRequest) (*approvalv1.ConfirmClearanceResponse, error) {
	state, sequence, err := s.clear(ctx, r.GetDigest(), func(c counter) (*releasev1.Event, error) {
		if group := c.group(); !slices.Contains(c.person.GetGroups(), group) {
			return nil, denied("only a member of %s may let an artifact out of quarantine", group)
		}
		if c.artifact.Held && c.artifact.Expect != r.GetSequence() {
			return nil, errOtherStanding
		}
		by := c.artifact.State.GetClearance().GetProposedBy()
		if p := c.index.Person(by); by != "" && (p == nil || p.GetId() != by || p.GetInactive() || p.GetMachine()) {
			return nil, precondition("%s, who asked for it, has left: it has to be asked for again", by)
		}
		of := map[string]procedure.State{}
		for _, reason := range c.artifact.State.GetReasons() {
			h, err := s.store.Load(ctx, procedure.Aggregate(reason.GetRelease()))
			if err != nil {
				return nil, err
			}
			of[reason.GetRelease()], _ = procedure.Fold(reason.GetRelease(), h.Entries)
		}
		return procedure.DecideClearance(c.artifact.Quarantined, of, c.person, c.index.Names(c.person.GetId()), r.GetComment(), s.now())
	})
	return &approvalv1.ConfirmClearanceResponse{State: state, Sequence: sequence}, err
}

// group is who agrees: that of the section, or else the operators.
func (c counter) group() string {
	if g := c.index.Document().GetQuarantine().GetGroup(); g != "" {
		return g
	}
	return c.index.Document().GetOperatorsGroup()
}

// concerned refuses people who have nothing to do with the artifact.
func (c counter) concerned() error {
	may := []string{c.group(), c.index.Document().GetOperatorsGroup()}
	for _, r := range c.artifact.State.GetReasons() {
		if c.index.OwnsIn(c.person.GetGroups(), c.person.GetId(), r.GetService()) {
			return nil
		}
	}
	if slices.ContainsFunc(may, func(g string) bool { return slices.Contains(c.person.GetGroups(), g) }) {
		return nil
	}
	return denied("only owners of the service, operators and members of %s may ask for it", c.group())
}

// clear lets the caller decide something about an artifact, and stores it. The decision
// is made again where somebody else wrote in between.
func (s *Server) clear(ctx context.Context, digest string, what func(counter) (*releasev1.Event, error)) (*releasev1.Quarantine, uint64, error) {
	for {
		event, draft, err := s.decideClearance(ctx, digest, what)
		if err != nil {
			return nil, 0, toStatus(ctx, err)
		}
		stored, err := s.store.Append(ctx, draft)
		if errors.Is(err, eventstore.ErrSequenceConflict) {
			continue
		}
		if err != nil {
			return nil, 0, toStatus(ctx, err)
		}
		failpoint.At("desk.stored")
		state := event.GetClearanceProposed().GetState()
		if state == nil {
			state = event.GetQuarantineCleared().GetState()
		}
		return state, stored[0].Sequence, nil
	}
}

func (s *Server) decideClearance(ctx context.Context, digest string, what func(counter) (*releasev1.Event, error)) (*releasev1.Event, eventstore.Draft, error) {
	caller, index, err := s.known(ctx)
	if err != nil {
		return nil, eventstore.Draft{}, err
	}
	c := counter{index: index}
	if c.person, err = personOf(caller, index); err != nil {
		return nil, eventstore.Draft{}, err
	}
	active, err := standing.ReadProcedure(ctx, s.store, s.procedureID)
	if err != nil {
		return nil, eventstore.Draft{}, err
	}
	if c.artifact, err = standing.ReadArtifact(ctx, s.store, digest); err != nil {
		return nil, eventstore.Draft{}, err
	}
	if !c.artifact.Held && len(c.artifact.Within) > 0 {
		return nil, eventstore.Draft{}, precondition("it is in quarantine as an image of the index %s: that is what has to be let out", c.artifact.Within[0].Digest)
	}
	event, err := what(c)
	if err != nil {
		return nil, eventstore.Draft{}, err
	}
	if err := failpoint.Hit("desk.decided"); err != nil {
		return nil, eventstore.Draft{}, err
	}
	event.Actor, event.ProcedureDigest = c.person, active.Digest
	return event, c.artifact.Draft(event), nil
}
