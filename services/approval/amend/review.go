package amend

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"time"

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
// fixed ones, and the group is that of the new document. Of a document of another id it is
// due no later than what is owed under those beside it, which may be over: releases do not
// run under them any more, and what blocks them would be shed.
func (c Config) debt(ctx context.Context, active standing.Procedure, beside []string, doc Document) (*releasev1.ProcedureDebt, error) {
	by := active.Document.JudgedBy()
	others, err := c.others(ctx, beside)
	if err != nil {
		return nil, err
	}
	if by == "" && len(others) > 0 {
		by = others[0].Document.JudgedBy()
	}
	within, grace := procedure.UnreadReviewWithin, procedure.UnreadReviewGrace
	group := doc.Procedure.GetEmergency().GetReviewGroup()
	before, err := c.readable(ctx, by)
	if err != nil {
		return nil, err
	}
	if before != nil {
		lane := before.Document().GetEmergency()
		within, grace, group = lane.GetReviewWithin().AsDuration(), lane.GetGrace().AsDuration(), lane.GetReviewGroup()
	}
	due := c.Now().Add(within)
	blocks := due.Add(grace)
	for _, other := range others {
		for _, o := range other.Document.Standing.GetDebts() {
			due, blocks = earlier(due, o.GetDue().AsTime()), earlier(blocks, o.GetBlocksFrom().AsTime())
		}
	}
	return &releasev1.ProcedureDebt{JudgedBy: by, Group: group, Due: stamp(due), BlocksFrom: stamp(blocks)}, nil
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// others are the procedures beside which a document is put: first that under which the newest
// release was requested, which is the one that is replaced; then those whose history went on
// last.
func (c Config) others(ctx context.Context, beside []string) ([]standing.Procedure, error) {
	var out []standing.Procedure
	for _, id := range beside {
		other, err := standing.ReadProcedure(ctx, c.Store, id)
		if err != nil {
			return nil, err
		}
		out = append(out, other)
	}
	if len(out) < 2 {
		return out, nil
	}
	ran := ""
	e, found, err := c.Store.NewestRequest(ctx)
	if err != nil {
		return nil, err
	}
	if found {
		index, err := c.readable(ctx, e.Event.GetProcedureDigest())
		if err != nil {
			return nil, err
		}
		if index != nil {
			ran = procedure.ProcedureAggregate(index.Document().GetId())
		}
	}
	slices.SortStableFunc(out, func(a, b standing.Procedure) int {
		if first := a.Aggregate == ran; first != (b.Aggregate == ran) {
			if first {
				return -1
			}
			return 1
		}
		return cmp.Compare(b.Expect, a.Expect)
	})
	return out, nil
}

// readable is a document of the record, and nil where it cannot be read by anybody any more.
// An error is worth another try.
func (c Config) readable(ctx context.Context, digest string) (*policy.Index, error) {
	index, err := c.Procedures.ByDigest(ctx, digest)
	for _, lost := range []error{evidence.ErrNotFound, evidence.ErrTampered, evidence.ErrDigest, policy.ErrInvalid, policy.ErrDigest} {
		if errors.Is(err, lost) {
			slog.WarnContext(ctx, "a procedure document on record cannot be read", slog.String("digest", digest), slog.Any("error", err))
			return nil, nil
		}
	}
	return index, err
}

// unread follows the reviewer's reason on record where the document before cannot be read: it
// is not known whether anybody is left of those whom it names.
const unread = " [the document before cannot be read, so that the one in effect says who reviews]"

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
		strings.TrimSuffix(last.GetReason(), unread) == strings.TrimSuffix(review.GetReason(), unread) && same(e.Event.GetActor().GetId(), d.person.GetId(), d.index) {
		return nil
	}
	return procedure.MayReviewDocument(d.active.Document, d.person, review.GetNumber(), review.GetDigest(), "")
}

// reviewer is the caller as a member of the group that reviews, and writes into the review
// which document says so. That is the one before the document that was forced: this one
// does not choose who judges it, and takes nobody the right away but by saying that they
// have left. Those whom the document in effect names do only when nobody of them is left,
// when it is approved as the one before demands, or when that cannot be read; and the review
// says that.
func (s *Server) reviewer(ctx context.Context, d desk, owed *releasev1.ProcedureDebt, review *releasev1.ProcedureReviewed) (*releasev1.Actor, error) {
	before, err := s.readable(ctx, owed.GetJudgedBy())
	if err != nil {
		return nil, err
	}
	forced, err := s.readable(ctx, owed.GetDigest())
	if err != nil {
		return nil, err
	}
	if same(d.person.GetId(), owed.GetClaimedBy(), before, forced, d.index) {
		return nil, procedure.ErrOwnActivation
	}
	var person *releasev1.Actor
	why := errNotBefore
	free := len(left(before, d.index, owed)) == 0
	if !free {
		caller, _ := identity.FromContext(ctx) // They sit at the desk.
		if person, why = authorize.PersonOf(caller, before); why != nil {
			person, why = nil, errNotBefore
		}
		if person != nil && same(person.GetId(), owed.GetClaimedBy(), before, forced, d.index) {
			return nil, procedure.ErrOwnActivation
		}
		if !slices.Contains(person.GetGroups(), owed.GetGroup()) {
			if free, err = s.approvedSince(ctx, d, owed, before, forced); err != nil {
				return nil, err
			}
		}
	}
	switch {
	case free:
		if before == nil {
			review.Reason += unread
		}
		review.NoneLeft, review.JudgedBy, review.Group = true, d.active.Digest, d.index.Document().GetEmergency().GetReviewGroup()
		return d.person, nil
	case person == nil:
		return nil, why
	}
	review.JudgedBy, review.Group = owed.GetJudgedBy(), owed.GetGroup()
	return person, nil
}

// left are those who review by the document before, and have not left by the one in effect.
// Who forced it is among them, although they may not: otherwise whoever is the only one would
// have their friends do it.
func left(before, active *policy.Index, owed *releasev1.ProcedureDebt) []string {
	if before == nil {
		return nil
	}
	return slices.DeleteFunc(before.People(owed.GetGroup()), func(id string) bool {
		return !slices.ContainsFunc(before.Names(id), func(name string) bool {
			p := active.Person(name)
			return p != nil && !p.GetInactive() && !p.GetMachine()
		})
	})
}
