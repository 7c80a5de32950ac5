package authorize

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/evidence"
	"github.com/blackdice/shipwarden/internal/refusal"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/services/approval/whatif"
)

// domain is that of the reasons in google.rpc.ErrorInfo.
const domain = "shipwarden.approval.v1"

// reasonNotAllowed is that of somebody who is in none of the groups that may.
const reasonNotAllowed = "NOT_ALLOWED"

// Answers that need nothing of the call.
var (
	errNotFound        = refuse(codes.NotFound, "RELEASE_NOT_FOUND", "there is no such release")
	errUnauthenticated = refuse(codes.Unauthenticated, refusal.ReasonUnauthenticated, "nobody is known to be calling")
	errStranger        = refuse(codes.PermissionDenied, "UNKNOWN_PERSON", "the caller is no person of the procedure: people of its document names nobody so")
	errInactive        = refuse(codes.PermissionDenied, "INACTIVE_PERSON", "the caller has left")
	errAmbiguous       = refuse(codes.PermissionDenied, "AMBIGUOUS_PERSON", "the caller's certificate names several people")
	errFull            = refuse(codes.ResourceExhausted, "HISTORY_FULL", "too much has happened to this release: withdraw it and request it again")
	errOtherStanding   = refuse(codes.Aborted, "STALE_QUARANTINE", "the artifact does not stand at what the caller saw: look again")
	errOtherIncident   = refuse(codes.Aborted, "STALE_INCIDENT", "people were called for something else meanwhile: look again")
	errMachine         = refuse(codes.PermissionDenied, "MACHINE", "machines never decide about releases")
)

func refuse(code codes.Code, reason, message string) error {
	return refusal.New(code, domain, reason, message)
}

func denied(format string, args ...any) error {
	return refuse(codes.PermissionDenied, reasonNotAllowed, fmt.Sprintf(format, args...))
}

func precondition(format string, args ...any) error {
	return refuse(codes.FailedPrecondition, "OTHER_STATE", fmt.Sprintf(format, args...))
}

// invalidField refuses a request for a field that no rule of the schema can judge.
func invalidField(path, message string) error {
	return refusal.InvalidFields(domain, refusal.ReasonField, refusal.Field{Path: path, Rule: refusal.ReasonField, Message: message})
}

// reasons maps what package procedure answers to what the caller is told. Words stand where
// the error's own are those of the bus's client, which are nobody's business but operators'.
var reasons = []struct {
	err    error
	code   codes.Code
	reason string
	words  string
}{
	{procedure.ErrOwnChange, codes.PermissionDenied, "OWN_CHANGE", ""},
	{procedure.ErrOwnFreeze, codes.PermissionDenied, "OWN_CHANGE", ""},
	{procedure.ErrStandardChange, codes.FailedPrecondition, "STANDARD_CHANGE", ""},
	{procedure.ErrNotApprover, codes.PermissionDenied, "NOT_APPROVER", ""},
	{procedure.ErrNotHuman, codes.PermissionDenied, "MACHINE", ""},
	{procedure.ErrStaleDigest, codes.Aborted, "STALE_CHANGE_DIGEST", ""},
	{procedure.ErrApprovedAlready, codes.AlreadyExists, "APPROVED_ALREADY", ""},
	{procedure.ErrNotQuarantined, codes.FailedPrecondition, "NOT_QUARANTINED", ""},
	{procedure.ErrNotProposed, codes.FailedPrecondition, "NOT_PROPOSED", ""},
	{procedure.ErrForgotten, codes.FailedPrecondition, "FORGOTTEN", ""},
	{procedure.ErrOwnClearance, codes.PermissionDenied, "OWN_PROPOSAL", ""},
	{procedure.ErrNotPending, codes.FailedPrecondition, "NOT_PENDING", ""},
	{procedure.ErrStandIn, codes.PermissionDenied, "NO_STAND_IN", ""},
	{procedure.ErrOffDuty, codes.FailedPrecondition, "NOT_ON_CALL", ""},
	{procedure.ErrUnsigned, codes.PermissionDenied, "SIGNATURE_REQUIRED", ""},
	{procedure.ErrSignature, codes.PermissionDenied, "SIGNATURE", ""},
	{procedure.ErrTooLate, codes.FailedPrecondition, "TOO_LATE", ""},
	{procedure.ErrNoImpact, codes.FailedPrecondition, "NO_IMPACT", ""},
	{procedure.ErrNotTold, codes.FailedPrecondition, "NOT_TOLD", ""},
	{procedure.ErrNotMeant, codes.PermissionDenied, "NOT_MEANT", ""},
	{procedure.ErrKnownAlready, codes.AlreadyExists, "KNOWN_ALREADY", ""},
	{procedure.ErrInvalidTransition, codes.FailedPrecondition, "OTHER_STATE", ""},
	{whatif.ErrUnknownRelease, codes.NotFound, "RELEASE_NOT_FOUND", ""},
	{eventstore.ErrUnavailable, codes.Unavailable, "BUS_UNAVAILABLE", "the record cannot be reached: nothing is known to be decided, look again and then try again"},
	{eventstore.ErrUndecided, codes.Unavailable, "BUS_UNAVAILABLE", "it is not known whether the decision was stored: look, and try again where it was not"},
	{eventstore.ErrRefused, codes.ResourceExhausted, "BUS_REFUSES", "the record takes nothing in: nothing was decided"},
	{evidence.ErrFull, codes.ResourceExhausted, "EVIDENCE_FULL", "what you were shown cannot be kept as evidence, because the store is full: nothing was decided"},
	{context.DeadlineExceeded, codes.DeadlineExceeded, refusal.ReasonDeadline, "it took too long: look whether it was decided"},
	{context.Canceled, codes.Canceled, refusal.ReasonCanceled, "the call was called off: look whether it was decided"},
}

// toStatus is the one place where errors become answers. What is not the caller's
// business is logged and told as an internal error.
func toStatus(ctx context.Context, err error) error {
	if _, ok := status.FromError(err); ok {
		return err
	}
	for _, r := range reasons {
		switch {
		case !errors.Is(err, r.err):
		case r.words == "":
			return refuse(r.code, r.reason, plain(err))
		default:
			slog.WarnContext(ctx, "a decision was not taken", slog.String("reason", r.reason), slog.Any("error", err))
			return refuse(r.code, r.reason, r.words)
		}
	}
	slog.ErrorContext(ctx, "a decision was not taken", slog.Any("error", err))
	return refuse(codes.Internal, refusal.ReasonInternal, "the decision was not taken, because of an internal error")
}
