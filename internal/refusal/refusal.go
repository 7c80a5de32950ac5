// Package refusal is the one form in which our gRPC services say no. A client finds
// in every refusal a google.rpc.ErrorInfo with a reason that programs can compare,
// and, where the request is at fault, a google.rpc.BadRequest with the path of every
// field and what is wrong with it.
package refusal

import (
	"errors"
	"strings"

	"buf.build/go/protovalidate"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
)

// Reasons that both services give. They are contract.
const (
	// ReasonField says that fields of the request are wrong; BadRequest says which.
	ReasonField = "INVALID_FIELD"
	// ReasonInternal says that the fault is the service's own.
	ReasonInternal = "INTERNAL"
	// ReasonUnauthenticated says that nobody is known to be calling.
	ReasonUnauthenticated = "UNAUTHENTICATED"
	// ReasonCanceled and ReasonDeadline say that the client did not wait.
	ReasonCanceled = "CANCELED"
	ReasonDeadline = "DEADLINE_EXCEEDED"
)

// Field is a field of a request that is wrong.
type Field struct {
	// Path leads to it from the request, such as "follow_ups[0].owner". Empty means
	// the request as a whole.
	Path string
	// Rule is the constant name of what it breaks, such as "STRING_MAX_BYTES".
	Rule string
	// Message says for people what is wrong with it.
	Message string
}

// New returns a refusal as a gRPC status. The domain says whose reason it is, and is
// the protobuf package of the service, such as "shipwarden.approval.v1".
func New(code codes.Code, domain, reason, message string) error {
	return detailed(code, message, &errdetails.ErrorInfo{Reason: reason, Domain: domain})
}

// InvalidFields returns the refusal of a request in which these fields are wrong. Its
// message says all of it as well, for clients that do not read details.
func InvalidFields(domain, reason string, fields ...Field) error {
	bad, messages := &errdetails.BadRequest{}, make([]string, 0, len(fields))
	for _, f := range fields {
		bad.FieldViolations = append(bad.FieldViolations, &errdetails.BadRequest_FieldViolation{
			Field: f.Path, Description: f.Message, Reason: f.Rule,
		})
		messages = append(messages, strings.TrimPrefix(f.Path+": "+f.Message, ": "))
	}
	return detailed(codes.InvalidArgument, strings.Join(messages, "; "), bad,
		&errdetails.ErrorInfo{Reason: reason, Domain: domain})
}

// Invalid returns the refusal of a request that protovalidate did not pass, given its
// error. A rule that cannot be applied to what is there, such as a time that no
// calendar holds, is a fault of the request; one that does not compile is ours.
func Invalid(domain string, err error) error {
	var invalid *protovalidate.ValidationError
	if errors.As(err, &invalid) {
		fields := make([]Field, 0, len(invalid.Violations))
		for _, v := range invalid.Violations {
			fields = append(fields, Field{
				Path: protovalidate.FieldPathString(v.Proto.GetField()), Rule: rule(v.Proto.GetRuleId()), Message: v.Proto.GetMessage(),
			})
		}
		return InvalidFields(domain, ReasonField, fields...)
	}
	var unfit *protovalidate.RuntimeError
	if errors.As(err, &unfit) {
		return InvalidFields(domain, ReasonField, Field{Message: err.Error()})
	}
	return New(codes.Internal, domain, ReasonInternal, "internal error")
}

// rule spells the name of a protovalidate rule as google.rpc.BadRequest wants it:
// "string.max_bytes" becomes "STRING_MAX_BYTES".
func rule(id string) string {
	return strings.ToUpper(strings.NewReplacer(".", "_", "-", "_").Replace(id))
}

// Domain is that of a method's refusals, given its full name: that of
// "/shipwarden.approval.v1.ApprovalService/Approve" is "shipwarden.approval.v1".
func Domain(method string) string {
	service, _, _ := strings.Cut(strings.TrimPrefix(method, "/"), "/")
	if dot := strings.LastIndexByte(service, '.'); dot >= 0 {
		return service[:dot]
	}
	return service
}

func detailed(code codes.Code, message string, details ...protoadapt.MessageV1) error {
	s, err := status.New(code, message).WithDetails(details...)
	if err != nil {
		return status.Error(code, message) // Only a status that is OK takes no details.
	}
	return s.Err()
}
