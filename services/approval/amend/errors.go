package amend

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/evidence"
	"github.com/blackdice/shipwarden/internal/refusal"
	"github.com/blackdice/shipwarden/procedure"
)

// domain is that of the reasons in google.rpc.ErrorInfo.
const domain = "shipwarden.approval.v1"

// Answers that need nothing of the call.
var (
	errUnauthenticated = refuse(codes.Unauthenticated, refusal.ReasonUnauthenticated, "nobody is known to be calling")
	errNothing         = refuse(codes.FailedPrecondition, "NO_DOCUMENT", "no procedure document is in effect: an administrator activates the first one")
	errNotBefore       = refuse(codes.PermissionDenied, "NOT_REVIEWER", "the document that says who reviews, the one before, does not know the caller as somebody who can")
	errUngoverned      = refuse(codes.FailedPrecondition, "NO_CHANGE_CONTROL",
		"the procedure document in effect has no section change_control, and so nobody may change it: an administrator can, with an override")
)

func refuse(code codes.Code, reason, message string) error {
	return refusal.New(code, domain, reason, message)
}

func denied(format string, args ...any) error {
	return refuse(codes.PermissionDenied, "NOT_ALLOWED", fmt.Sprintf(format, args...))
}

func invalidField(path, message string) error {
	return refusal.InvalidFields(domain, refusal.ReasonField, refusal.Field{Path: path, Rule: refusal.ReasonField, Message: message})
}

func noProposal(number uint32) error { return fmt.Errorf("%w: %d", procedure.ErrNoProposal, number) }

// reasons maps what goes wrong to what the caller is told. Words are given where the
// error's own are not the caller's business.
var reasons = []struct {
	err    error
	code   codes.Code
	reason string
	words  string
}{
	{procedure.ErrNoProposal, codes.NotFound, "NO_PROPOSAL", ""},
	{procedure.ErrOtherBase, codes.Aborted, "OTHER_DOCUMENT_IN_EFFECT", ""},
	{procedure.ErrOtherDocument, codes.Aborted, "OTHER_DOCUMENT_PROPOSED", ""},
	{procedure.ErrOwnProposal, codes.PermissionDenied, "OWN_PROPOSAL", ""},
	{procedure.ErrNotApprover, codes.PermissionDenied, "NOT_APPROVER", ""},
	{procedure.ErrNotHuman, codes.PermissionDenied, "MACHINE", ""},
	{procedure.ErrApprovedAlready, codes.AlreadyExists, "APPROVED_ALREADY", ""},
	{procedure.ErrProposedAlready, codes.AlreadyExists, "PROPOSED_ALREADY", ""},
	{procedure.ErrTooManyProposals, codes.ResourceExhausted, "TOO_MANY_PROPOSALS", ""},
	{procedure.ErrProposalExpired, codes.FailedPrecondition, "PROPOSAL_EXPIRED", ""},
	{procedure.ErrApprovalsMissing, codes.FailedPrecondition, "APPROVALS_MISSING", ""},
	{procedure.ErrNotCompared, codes.FailedPrecondition, "NOT_COMPARED", ""},
	{procedure.ErrNoDebt, codes.NotFound, "NO_REVIEW_OWED", ""},
	{procedure.ErrOtherDebt, codes.Aborted, "OTHER_DOCUMENT_OWED", ""},
	{procedure.ErrOwnActivation, codes.PermissionDenied, "OWN_ACTIVATION", ""},
	{procedure.ErrNotReviewer, codes.PermissionDenied, "NOT_REVIEWER", ""},
	{procedure.ErrInvalidTransition, codes.FailedPrecondition, "OTHER_STATE", ""},
	{eventstore.ErrUnavailable, codes.Unavailable, "BUS_UNAVAILABLE", "the record cannot be reached: nothing is known to be changed, look again and then try again"},
	{eventstore.ErrUndecided, codes.Unavailable, "BUS_UNAVAILABLE", "it is not known whether it was stored: look, and try again where it was not"},
	{eventstore.ErrRefused, codes.ResourceExhausted, "BUS_REFUSES", "the record takes nothing in: nothing was changed"},
	{evidence.ErrFull, codes.ResourceExhausted, "EVIDENCE_FULL", "the document cannot be kept as evidence, because the store is full: nothing was changed"},
	{context.DeadlineExceeded, codes.DeadlineExceeded, refusal.ReasonDeadline, "it took too long"},
	{context.Canceled, codes.Canceled, refusal.ReasonCanceled, "it was called off"},
}

// toStatus is the one place where errors become answers. What is not the caller's
// business is logged.
func toStatus(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if _, ok := status.FromError(err); ok {
		return err
	}
	for _, r := range reasons {
		if !errors.Is(err, r.err) {
			continue
		}
		words := r.words
		if words == "" {
			words = strings.TrimPrefix(err.Error(), procedure.ErrInvalidTransition.Error()+": ")
		} else {
			slog.WarnContext(ctx, "nothing was decided about the procedure document", slog.String("reason", r.reason), slog.Any("error", err))
		}
		return refuse(r.code, r.reason, words)
	}
	slog.ErrorContext(ctx, "nothing was decided about the procedure document", slog.Any("error", err))
	return refuse(codes.Internal, refusal.ReasonInternal, "nothing was decided, because of an internal error")
}
