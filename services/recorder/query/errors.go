package query

import (
	"context"
	"errors"
	"log/slog"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"

	"github.com/blackdice/shipwarden/internal/evidence"
	"github.com/blackdice/shipwarden/services/recorder/ledger"
)

// domain names whose reasons those in error details are.
const domain = "recorder.shipwarden"

// Reasons in error details. They are contract.
const (
	reasonNotFound        = "RELEASE_NOT_ON_RECORD"
	reasonNotYet          = "SEQUENCE_NOT_YET_RECORDED"
	reasonFilterTime      = "FILTER_TIME_INVALID"
	reasonPageToken       = "PAGE_TOKEN_INVALID"
	reasonUnauthenticated = "TOKEN_UNKNOWN"
	reasonUnavailable     = "RECORD_UNAVAILABLE"
	reasonNoEvidence      = "EVIDENCE_NOT_STORED"
	reasonTampered        = "EVIDENCE_CHANGED"
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
		return detailed(codes.NotFound, "release is not on record", info(reasonNotFound))
	case errors.Is(err, evidence.ErrNotFound):
		return detailed(codes.NotFound, "there is no such evidence", info(reasonNoEvidence))
	case errors.Is(err, evidence.ErrTampered):
		return detailed(codes.DataLoss, "what is stored is not what the digest names", info(reasonTampered))
	case errors.Is(err, errPageToken):
		return detailed(codes.InvalidArgument, "page_token: "+errPageToken.Error(), info(reasonPageToken),
			&errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{{
				Field: "page_token", Reason: reasonPageToken, Description: errPageToken.Error(),
			}}})
	case errors.Is(err, errFilterTime):
		return detailed(codes.InvalidArgument, "filter: "+errFilterTime.Error(), info(reasonFilterTime),
			&errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{{
				Field: "filter", Reason: reasonFilterTime, Description: errFilterTime.Error(),
			}}})
	case errors.Is(err, errNotYet):
		return detailed(codes.DeadlineExceeded, "min_sequence: "+errNotYet.Error(), info(reasonNotYet))
	case errors.Is(err, context.Canceled) && ctx.Err() != nil:
		return status.FromContextError(context.Canceled).Err()
	case errors.Is(err, context.DeadlineExceeded) && ctx.Err() != nil:
		return status.FromContextError(context.DeadlineExceeded).Err()
	}
	if s, ok := status.FromError(err); ok {
		return s.Err() // A failed send, as gRPC has it.
	}
	slog.ErrorContext(ctx, "reading the record failed", slog.Any("error", err))
	return detailed(codes.Unavailable, "the record cannot be read at the moment", info(reasonUnavailable))
}

func errUnauthenticated(message string) error {
	return detailed(codes.Unauthenticated, message, info(reasonUnauthenticated))
}

func info(reason string) protoadapt.MessageV1 {
	return &errdetails.ErrorInfo{Reason: reason, Domain: domain}
}

func detailed(code codes.Code, message string, details ...protoadapt.MessageV1) error {
	s, err := status.New(code, message).WithDetails(details...)
	if err != nil {
		return status.Error(code, message)
	}
	return s.Err()
}
