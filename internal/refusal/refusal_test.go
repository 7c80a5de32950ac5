package refusal_test

import (
	"errors"
	"fmt"
	"testing"

	"buf.build/go/protovalidate"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/internal/refusal"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// want checks the code of a refusal, its reason, and the fields that it blames.
func want(t *testing.T, what string, err error, code codes.Code, reason string, fields ...string) {
	t.Helper()
	var got string
	var blamed []string
	for _, d := range status.Convert(err).Details() {
		switch d := d.(type) {
		case *errdetails.ErrorInfo:
			got = d.GetReason()
		case *errdetails.BadRequest:
			for _, v := range d.GetFieldViolations() {
				blamed = append(blamed, v.GetField())
			}
		}
	}
	if status.Code(err) != code || got != reason || len(blamed) != len(fields) {
		t.Errorf("%s: got %v (%q) that blames %q, want %s (%q) that blames %q", what, err, got, blamed, code, reason, fields)
		return
	}
	for i, f := range fields {
		if blamed[i] != f {
			t.Errorf("%s: blames %q, want %q", what, blamed, fields)
		}
	}
}

func TestWhatProtovalidateSaysBecomesARefusal(t *testing.T) {
	want(t, "fields", refusal.Invalid("d", protovalidate.Validate(&releasev1.FollowUp{Action: "tell", Due: timestamppb.Now()})),
		codes.InvalidArgument, refusal.ReasonField, "owner")
	// A rule that cannot be applied to what is there blames the request as a whole.
	want(t, "unfit", refusal.Invalid("d", fmt.Errorf("look: %w", &protovalidate.RuntimeError{})), codes.InvalidArgument, refusal.ReasonField, "")
	// Whatever else goes wrong is ours, and nothing of it is told.
	err := refusal.Invalid("d", errors.New("secret detail"))
	want(t, "ours", err, codes.Internal, refusal.ReasonInternal)
	if status.Convert(err).Message() != "internal error" {
		t.Errorf("it tells %v", err)
	}
}

func TestTheMessageSaysAllOfIt(t *testing.T) {
	err := refusal.InvalidFields("d", "R", refusal.Field{Path: "a[0].b", Message: "is odd"}, refusal.Field{Message: "it is late"})
	if got := status.Convert(err).Message(); got != "a[0].b: is odd; it is late" {
		t.Errorf("message %q", got)
	}
}

func TestADomainIsThePackageOfTheService(t *testing.T) {
	for method, want := range map[string]string{
		"/shipwarden.approval.v1.ApprovalService/Approve": "shipwarden.approval.v1",
		"/grpc.health.v1.Health/Check":                    "grpc.health.v1",
		"/Bare/Call":                                      "Bare",
		"":                                                "",
	} {
		if got := refusal.Domain(method); got != want {
			t.Errorf("the domain of %q is %q, want %q", method, got, want)
		}
	}
}
