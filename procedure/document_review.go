package procedure

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// MaxDebts bounds how many documents may be in debt of a review at a time: every event of
// the history carries all of them.
const MaxDebts = 16

// When a review is due, and how much later it blocks, where the document that would say so
// cannot be read.
const (
	UnreadReviewWithin = 72 * time.Hour
	UnreadReviewGrace  = 24 * time.Hour
)

// Reasons for which a document is not reviewed, or not forced (PD-9.4).
var (
	// ErrNoDebt says that no review of that number is owed.
	ErrNoDebt = errors.New("no review of a document is owed under that number")
	// ErrOtherDebt says that the review is of another document than the one that is owed.
	ErrOtherDebt = errors.New("the review that is owed is of another document")
	// ErrNotReviewer says that somebody is in no group that reviews it.
	ErrNotReviewer = errors.New("only a member of the group that reviews it may")
	// ErrOwnActivation says that nobody reviews what they put into effect themselves.
	ErrOwnActivation = errors.New("nobody reviews the document that they put into effect themselves")
	// ErrTooManyDebts says that others have to be reviewed first.
	ErrTooManyDebts = errors.New("too many documents wait for their review")
)

// Debt returns the review that is owed under that number, or nil.
func (d Document) Debt(number uint32) *releasev1.ProcedureDebt { return debt(d.Standing, number) }

func debt(s *releasev1.ProcedureStanding, number uint32) *releasev1.ProcedureDebt {
	for _, o := range s.GetDebts() {
		if o.GetNumber() == number {
			return o
		}
	}
	return nil
}

// JudgedBy is the digest of the document that says who reviews the next one that takes
// effect around the change control: that in effect, or, while reviews are owed, the one
// before the oldest of them. Otherwise whoever forces two would choose the reviewers of
// both.
func (d Document) JudgedBy() string {
	if owed := d.Standing.GetDebts(); len(owed) > 0 {
		return owed[0].GetJudgedBy()
	}
	return d.Standing.GetDigest()
}

// DebtsOverdue returns the reviews that are due at that time, and those of them that block
// normal releases.
func DebtsOverdue(s *releasev1.ProcedureStanding, at time.Time) (overdue, blocking []*releasev1.ProcedureDebt) {
	for _, o := range s.GetDebts() {
		if !at.Before(o.GetDue().AsTime()) {
			overdue = append(overdue, o)
		}
		if !at.Before(o.GetBlocksFrom().AsTime()) {
			blocking = append(blocking, o)
		}
	}
	return overdue, blocking
}

// MayReviewDocument reports whether the actor may review what is owed under that number, as
// a member of the group; the error says why not. Whoever is in it by being on call is not.
func MayReviewDocument(d Document, actor *releasev1.Actor, number uint32, digest, group string) error {
	return mayReviewDocument(d.Standing, actor, number, digest, group)
}

func mayReviewDocument(s *releasev1.ProcedureStanding, actor *releasev1.Actor, number uint32, digest, group string) error {
	owed := debt(s, number)
	switch {
	case owed == nil:
		return fmt.Errorf("%w: %d", ErrNoDebt, number)
	case owed.GetDigest() != digest:
		return fmt.Errorf("%w: of %s", ErrOtherDebt, owed.GetDigest())
	case !person(actor):
		return ErrNotHuman
	case strings.EqualFold(actor.GetId(), owed.GetClaimedBy()):
		return fmt.Errorf("%w: %s", ErrOwnActivation, actor.GetId())
	case !slices.Contains(actor.GetGroups(), group) || len(actor.GetOnCall()) > 0:
		return fmt.Errorf("%w: %s is not in %s", ErrNotReviewer, actor.GetId(), group)
	}
	return nil
}

// DecideDocumentReviewed pays a debt. Of the review everything must be given but its
// standing.
func DecideDocumentReviewed(d Document, actor *releasev1.Actor, r *releasev1.ProcedureReviewed, now time.Time) (*releasev1.Event, error) {
	return carry(d, actor, now, &releasev1.Event{Data: &releasev1.Event_ProcedureReviewed{ProcedureReviewed: proto.CloneOf(r)}})
}

func leadReviewed(s *releasev1.ProcedureStanding, actor *releasev1.Actor, r *releasev1.ProcedureReviewed) error {
	if err := mayReviewDocument(s, actor, r.GetNumber(), r.GetDigest(), r.GetGroup()); err != nil {
		return err
	}
	owed := debt(s, r.GetNumber())
	by, group := owed.GetJudgedBy(), owed.GetGroup()
	if r.GetNoneLeft() {
		by, group = s.GetDigest(), r.GetGroup()
	}
	switch {
	case r.GetJudgedBy() != by || r.GetGroup() != group || group == "":
		return fmt.Errorf("%w: it names another document, or another group, than says who reviews", ErrInvalidTransition)
	case r.GetResult() == releasev1.ProcedureReviewed_RESULT_UNSPECIFIED || strings.TrimSpace(r.GetReason()) == "":
		return fmt.Errorf("%w: a review states its result and the reason", ErrInvalidTransition)
	}
	s.Debts = slices.DeleteFunc(s.GetDebts(), func(o *releasev1.ProcedureDebt) bool { return o == owed })
	return nil
}

// owing completes the debt of an activation around the change control; nil where it goes
// around nothing: the first document of all. Of the debt the document and group that say who
// reviews must be given, and both times.
func owing(d Document, a *releasev1.ProcedureActivated, now time.Time) *releasev1.ProcedureDebt {
	if a.GetAdministrative() == releasev1.ProcedureActivated_ADMINISTRATIVE_FIRST && len(a.GetBeside()) == 0 {
		return nil
	}
	owed := proto.CloneOf(a.GetDebt())
	if owed == nil {
		owed = &releasev1.ProcedureDebt{}
	}
	owed.Number, owed.Version, owed.Digest = d.Standing.GetForced()+1, a.GetVersion(), a.GetDigest()
	owed.ClaimedBy, owed.Activated, owed.AssessmentDigest = a.GetClaimedBy(), timestamppb.New(now), a.GetAssessmentDigest()
	return owed
}

// owe adds the debt of an activation. Events of before there were such reviews have none, and
// once one was owed there are no such events any more: an older program sheds no review. What
// is put beside another procedure may be due already, as what is owed there.
func owe(s *releasev1.ProcedureStanding, a *releasev1.ProcedureActivated, at time.Time) error {
	owed := a.GetDebt()
	if owed == nil && (s.GetForced() == 0 || a.GetAdministrative() == releasev1.ProcedureActivated_ADMINISTRATIVE_UNSPECIFIED) {
		return nil
	}
	override := a.GetAdministrative() == releasev1.ProcedureActivated_ADMINISTRATIVE_OVERRIDE
	by := Document{Standing: s}.JudgedBy()
	if !override {
		by = owed.GetJudgedBy() // That of the procedure beside which it is put.
	}
	switch {
	case owed == nil:
		return fmt.Errorf("%w: no review is owed of what went around the change control", ErrInvalidTransition)
	case strings.TrimSpace(owed.GetClaimedBy()) == "":
		return fmt.Errorf("%w: it does not say who forced it, and so may not review it", ErrInvalidTransition)
	case !override && len(a.GetBeside()) == 0:
		return fmt.Errorf("%w: no review is owed of what went around nothing", ErrInvalidTransition)
	case owed.GetNumber() != s.GetForced()+1 || owed.GetVersion() != a.GetVersion() || owed.GetDigest() != a.GetDigest() ||
		owed.GetClaimedBy() != a.GetClaimedBy() || owed.GetAssessmentDigest() != a.GetAssessmentDigest():
		return fmt.Errorf("%w: the review that is owed is of another document", ErrInvalidTransition)
	case owed.GetJudgedBy() == "" || owed.GetJudgedBy() != by || owed.GetGroup() == "":
		return fmt.Errorf("%w: it does not say who reviews it", ErrInvalidTransition)
	case !near(owed.GetActivated(), at):
		return ErrClockSkew
	case owed.GetDue() == nil || override && !owed.GetActivated().AsTime().Before(owed.GetDue().AsTime()) || owed.GetBlocksFrom().AsTime().Before(owed.GetDue().AsTime()):
		return fmt.Errorf("%w: its review is not due in the future", ErrInvalidTransition)
	case len(s.GetDebts()) >= MaxDebts:
		return fmt.Errorf("%w: %d", ErrTooManyDebts, len(s.GetDebts()))
	}
	s.Forced, s.Debts = owed.GetNumber(), append(s.Debts, proto.CloneOf(owed))
	return nil
}
