package query

import (
	"context"
	"errors"
	"log/slog"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/blackdice/shipwarden/internal/evidence"
	"github.com/blackdice/shipwarden/internal/refusal"
	"github.com/blackdice/shipwarden/services/recorder/ledger"
)

// domain is that of the reasons in google.rpc.ErrorInfo.
const domain = "shipwarden.recorder.v1"

// Reasons in error details. They are contract.
const (
	reasonNotFound    = "RELEASE_NOT_ON_RECORD"
	reasonNotYet      = "SEQUENCE_NOT_YET_RECORDED"
	reasonFilterTime  = "FILTER_TIME_INVALID"
	reasonPageToken   = "PAGE_TOKEN_INVALID"
	reasonUnavailable = "RECORD_UNAVAILABLE"
	reasonNoEvidence  = "EVIDENCE_NOT_STORED"
	reasonTampered    = "EVIDENCE_CHANGED"
	reasonNoReader    = "NOT_A_READER"
)

var (
	// errPageToken says that a page token is none, or belongs to another question.
	errPageToken = errors.New("page token is not from a previous answer to the same question")
	// errFilterTime says that a time of the filter is none.
	errFilterTime = errors.New("not a time between the years 1 and 9999")
	// errNotYet says that the record has not come to the wanted sequence in time.
	errNotYet = errors.New("the record has not come to that sequence yet")
)

// toStatus turns an error into what the client gets. What is not meant for clients
// goes to the log, and the client learns that it failed.
func toStatus(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ledger.ErrNotFound):
		return refuse(codes.NotFound, reasonNotFound, "release is not on record")
	case errors.Is(err, evidence.ErrNotFound):
		return refuse(codes.NotFound, reasonNoEvidence, "there is no such evidence")
	case errors.Is(err, evidence.ErrTampered):
		return refuse(codes.DataLoss, reasonTampered, "what is stored is not what the digest names")
	case errors.Is(err, errPageToken):
		return invalidField("page_token", reasonPageToken, errPageToken)
	case errors.Is(err, errFilterTime):
		return invalidField("filter", reasonFilterTime, errFilterTime)
	case errors.Is(err, errNotYet):
		return refuse(codes.DeadlineExceeded, reasonNotYet, "min_sequence: "+errNotYet.Error())
	case errors.Is(err, context.Canceled) && ctx.Err() != nil:
		return refuse(codes.Canceled, refusal.ReasonCanceled, context.Canceled.Error())
	case errors.Is(err, context.DeadlineExceeded) && ctx.Err() != nil:
		return refuse(codes.DeadlineExceeded, refusal.ReasonDeadline, context.DeadlineExceeded.Error())
	}
	if s, ok := status.FromError(err); ok {
		return s.Err() // A failed send, as gRPC has it.
	}
	slog.ErrorContext(ctx, "reading the record failed", slog.Any("error", err))
	return refuse(codes.Unavailable, reasonUnavailable, "the record cannot be read at the moment")
}

func errUnauthenticated(message string) error {
	return refuse(codes.Unauthenticated, refusal.ReasonUnauthenticated, message)
}

func refuse(code codes.Code, reason, message string) error {
	return refusal.New(code, domain, reason, message)
}

// invalidField refuses a question for a field that no rule of the schema can judge.
func invalidField(path, reason string, err error) error {
	return refusal.InvalidFields(domain, reason, refusal.Field{Path: path, Rule: reason, Message: err.Error()})
}
