package amend

import (
	"context"
	"errors"
	"log/slog"
	"slices"

	"github.com/blackdice/shipwarden/internal/evidence"
	"github.com/blackdice/shipwarden/internal/identity"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/standing"
	"github.com/blackdice/shipwarden/procedure"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/approval/authorize"
)

// debt is the review that will be owed of a document which goes around the change control:
// by whom, due when, and blocking from when, as the document before says for emergencies.
// Where that one cannot be read, which may be why an administrator is here, the times are
// fixed ones, and the group is that of the new document.
func (c Config) debt(ctx context.Context, active standing.Procedure, beside []string, doc Document) (*releasev1.ProcedureDebt, error) {
	by := active.Document.JudgedBy()
	for _, id := range beside {
		if by != "" {
			break
		}
		other, err := standing.ReadProcedure(ctx, c.Store, id)
		if err != nil {
			return nil, err
		}
		by = other.Document.JudgedBy()
	}
	within, grace := procedure.UnreadReviewWithin, procedure.UnreadReviewGrace
	group := doc.Procedure.GetEmergency().GetReviewGroup()
	before, err := c.before(ctx, by)
	if err != nil {
		return nil, err
	}
	if before != nil {
		lane := before.Document().GetEmergency()
		within, grace, group = lane.GetReviewWithin().AsDuration(), lane.GetGrace().AsDuration(), lane.GetReviewGroup()
	}
	due := c.Now().Add(within)
	return &releasev1.ProcedureDebt{JudgedBy: by, Group: group, Due: stamp(due), BlocksFrom: stamp(due.Add(grace))}, nil
}

// before is the document that says who reviews, and nil where it cannot be read by anybody
// any more. An error is worth another try.
func (c Config) before(ctx context.Context, digest string) (*policy.Index, error) {
	index, err := c.Procedures.ByDigest(ctx, digest)
	for _, lost := range []error{evidence.ErrNotFound, evidence.ErrTampered, evidence.ErrDigest, policy.ErrInvalid, policy.ErrDigest} {
		if errors.Is(err, lost) {
			slog.WarnContext(ctx, "the document that says who reviews cannot be read", slog.Any("error", err))
			return nil, nil
		}
	}
	return index, err
}

// ReviewDocument implements approvalv1.ProcedureServiceServer. Called again after an answer
// that was lost, it finds the review on record, and says so.
func (s *Server) ReviewDocument(ctx context.Context, r *approvalv1.ReviewDocumentRequest) (*approvalv1.ReviewDocumentResponse, error) {
	out := &approvalv1.ReviewDocumentResponse{}
	event, err := s.decide(ctx, func(d desk) (*releasev1.Event, error) {
		review := &releasev1.ProcedureReviewed{Number: r.GetNumber(), Digest: r.GetDigest(), Result: r.GetResult(), Reason: r.GetReason()}
		owed := d.active.Document.Debt(r.GetNumber())
		if owed == nil {
			out.Owed = uint32(len(d.active.Document.Standing.GetDebts())) //nolint:gosec // There are a few.
			return nil, s.reviewed(ctx, d, review)
		}
		by, err := s.reviewer(ctx, d, owed, review)
		if err != nil {
			return nil, err
		}
		return procedure.DecideDocumentReviewed(d.active.Document, by, review, d.now)
	})
	if event != nil {
		out.Owed = uint32(len(procedure.StandingOf(event).GetDebts())) //nolint:gosec // There are a few.
	}
	return out, err
}

// reviewed is nil where the newest event is this very review by the caller, and otherwise
// says that none is owed.
func (s *Server) reviewed(ctx context.Context, d desk, review *releasev1.ProcedureReviewed) error {
	e, found, err := s.Store.Last(ctx, d.active.Aggregate)
	if err != nil {
		return err
	}
	last := e.Event.GetProcedureReviewed()
	if found && last.GetNumber() == review.GetNumber() && last.GetDigest() == review.GetDigest() && last.GetResult() == review.GetResult() &&
		last.GetReason() == review.GetReason() && same(e.Event.GetActor().GetId(), d.person.GetId(), d.index) {
		return nil
	}
	return procedure.MayReviewDocument(d.active.Document, d.person, review.GetNumber(), review.GetDigest(), "")
}

// reviewer is the caller as a member of the group that reviews, and writes into the review
// which document says so. That is the one before the document that was forced: this one
// does not choose who judges it, and takes nobody the right away but by saying that they
// have left. Only when nobody of them is left do those review whom the document in effect
// names, and the review says that.
func (s *Server) reviewer(ctx context.Context, d desk, owed *releasev1.ProcedureDebt, review *releasev1.ProcedureReviewed) (*releasev1.Actor, error) {
	before, err := s.before(ctx, owed.GetJudgedBy())
	if err != nil {
		return nil, err
	}
	if len(left(before, d.index, owed)) == 0 {
		review.NoneLeft, review.JudgedBy, review.Group = true, d.active.Digest, d.index.Document().GetEmergency().GetReviewGroup()
		if same(d.person.GetId(), owed.GetClaimedBy(), before, d.index) {
			return nil, procedure.ErrOwnActivation
		}
		return d.person, nil
	}
	review.JudgedBy, review.Group = owed.GetJudgedBy(), owed.GetGroup()
	caller, _ := identity.FromContext(ctx) // They sit at the desk.
	person, err := authorize.PersonOf(caller, before)
	switch {
	case err != nil:
		return nil, errNotBefore
	case same(person.GetId(), owed.GetClaimedBy(), before, d.index) || same(d.person.GetId(), owed.GetClaimedBy(), before, d.index):
		return nil, procedure.ErrOwnActivation
	}
	return person, nil
}

// left are those who review by the document before, have not left by the one in effect, and
// are not who forced it.
func left(before, active *policy.Index, owed *releasev1.ProcedureDebt) []string {
	if before == nil {
		return nil
	}
	return slices.DeleteFunc(before.People(owed.GetGroup()), func(id string) bool {
		gone := !slices.ContainsFunc(before.Names(id), func(name string) bool {
			p := active.Person(name)
			return p != nil && !p.GetInactive() && !p.GetMachine()
		})
		return gone || same(id, owed.GetClaimedBy(), before, active)
	})
}

// same reports whether two names are those of one person by any of the documents.
func same(a, b string, documents ...*policy.Index) bool {
	return a == b || slices.ContainsFunc(documents, func(x *policy.Index) bool {
		return x != nil && x.Person(a) != nil && x.Person(a) == x.Person(b)
	})
}
