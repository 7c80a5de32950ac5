package authorize_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/approval/authorize"
)

// TestBadInput is docs/bad-input.md for approvals: every case is a call that is
// refused with a code and a reason, on a release of its own.
func TestBadInput(t *testing.T) {
	r := newRig(t)
	desk := r.dial(t)
	approveAs := func(person string) func(context.Context, *testing.T, procedure.State) error {
		return func(ctx context.Context, t *testing.T, s procedure.State) error {
			t.Helper()
			_, err := desk.Approve(metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer token of "+person), approve(s))
			return err
		}
	}
	bearer := func(token string) func(context.Context, *testing.T, procedure.State) error {
		return func(ctx context.Context, _ *testing.T, s procedure.State) error {
			_, err := desk.Approve(metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token), approve(s))
			return err
		}
	}
	commented := func(comment string) func(context.Context, *testing.T, procedure.State) error {
		return func(_ context.Context, t *testing.T, s procedure.State) error {
			t.Helper()
			call := approve(s)
			call.Comment = comment
			_, err := desk.Approve(as(t, "anna"), call)
			return err
		}
	}
	listed := func(call *approvalv1.ListPendingRequest) func(context.Context, *testing.T, procedure.State) error {
		return func(_ context.Context, t *testing.T, _ procedure.State) error {
			t.Helper()
			_, err := desk.ListPending(as(t, "anna"), call)
			return err
		}
	}
	encode := base64.RawURLEncoding.EncodeToString
	for i, c := range []struct {
		name    string
		changes []func(*releasev1.Request)
		call    func(context.Context, *testing.T, procedure.State) error
		code    codes.Code
		reason  string
	}{
		{"8 release with a wildcard", nil, func(_ context.Context, t *testing.T, s procedure.State) error {
			t.Helper()
			s.Release = "shop.>"
			_, err := desk.Approve(as(t, "anna"), approve(s))
			return err
		}, codes.InvalidArgument, "INVALID_FIELD"},
		{"37 emergency by a role that may not", []func(*releasev1.Request){proceduretest.Emergency}, approveAs("anna"), codes.PermissionDenied, "NOT_APPROVER"},
		{"44 approved after it was withdrawn", nil, func(ctx context.Context, t *testing.T, s procedure.State) error {
			t.Helper()
			if _, err := desk.Withdraw(as(t, "otto"), &approvalv1.WithdrawRequest{Release: s.Release, Reason: "wrong"}); err != nil {
				t.Fatal(err)
			}
			return approveAs("anna")(ctx, t, s)
		}, codes.FailedPrecondition, "NOT_PENDING"},
		{"45 by the requester", nil, approveAs("rita"), codes.PermissionDenied, "OWN_CHANGE"},
		{"45 by another account of the requester", nil, approveAs("rr"), codes.PermissionDenied, "OWN_CHANGE"},
		{"45 by the requester's mail in another case", nil, func(_ context.Context, t *testing.T, s procedure.State) error {
			t.Helper()
			_, err := r.dial(t, r.ca.issue(t, named("", "RITA@SHOP.EXAMPLE"))).Approve(t.Context(), approve(s))
			return err
		}, codes.PermissionDenied, "OWN_CHANGE"},
		{"45 by a service account", nil, approveAs("ci-bot"), codes.PermissionDenied, "MACHINE"},
		{"45 by the owner", nil, approveAs("otto"), codes.PermissionDenied, "OWN_CHANGE"},
		{"46 by an author", nil, approveAs("ada"), codes.PermissionDenied, "OWN_CHANGE"},
		{"46 by an author whom only the evidence names", nil, approveAs("alan"), codes.PermissionDenied, "OWN_CHANGE"},
		{"47 twice", nil, func(ctx context.Context, t *testing.T, s procedure.State) error {
			t.Helper()
			if err := approveAs("anna")(ctx, t, s); err != nil {
				t.Fatal(err)
			}
			return approveAs("ANNA@shop.example")(ctx, t, s)
		}, codes.AlreadyExists, "APPROVED_ALREADY"},
		{"48 of an older change", nil, func(ctx context.Context, t *testing.T, s procedure.State) error {
			t.Helper()
			s.ChangeDigest = proceduretest.Digest('0')
			return approveAs("anna")(ctx, t, s)
		}, codes.Aborted, "STALE_CHANGE_DIGEST"},
		{"48 of a change without a digest", nil, func(ctx context.Context, t *testing.T, s procedure.State) error {
			t.Helper()
			s.ChangeDigest = ""
			return approveAs("anna")(ctx, t, s)
		}, codes.InvalidArgument, "INVALID_FIELD"},
		{"51 taken back after it started", nil, func(_ context.Context, t *testing.T, s procedure.State) error {
			t.Helper()
			r.To(t, s.Release, procedure.PhaseExecuting)
			_, err := desk.WithdrawApproval(as(t, "anna"), &approvalv1.WithdrawApprovalRequest{Release: s.Release, Reason: "late"})
			return err
		}, codes.FailedPrecondition, "OTHER_STATE"},
		{"52 approved after a rejection that came after the approvals", nil, func(ctx context.Context, t *testing.T, s procedure.State) error {
			t.Helper()
			r.To(t, s.Release, procedure.PhaseExecute)
			if _, err := desk.Reject(as(t, "cleo"), &approvalv1.RejectRequest{Release: s.Release, Reason: "no"}); err != nil {
				t.Fatal(err)
			}
			return approveAs("dan")(ctx, t, s)
		}, codes.FailedPrecondition, "NOT_PENDING"},
		{"53 without a release", nil, func(ctx context.Context, t *testing.T, s procedure.State) error {
			t.Helper()
			s.Release = "shop-nothing"
			return approveAs("anna")(ctx, t, s)
		}, codes.NotFound, "RELEASE_NOT_FOUND"},
		{"56 token that says alg=none", nil, bearer(encode([]byte(`{"alg":"none"}`)) + "." + encode([]byte(`{"sub":"anna"}`)) + "."), codes.Unauthenticated, "UNAUTHENTICATED"},
		{"56 token of nobody", nil, bearer("anna"), codes.Unauthenticated, "UNAUTHENTICATED"},
		{"56 no token", nil, bearer(""), codes.Unauthenticated, "UNAUTHENTICATED"},
		{"56 caller who is in no document", nil, approveAs("mallory"), codes.PermissionDenied, "UNKNOWN_PERSON"},
		{"57 comment of 4 KiB and one byte", nil, commented(strings.Repeat("x", 4097)), codes.InvalidArgument, "INVALID_FIELD"},
		{"57 comment of 1 MiB", nil, commented(strings.Repeat("x", 1<<20)), codes.ResourceExhausted, ""},
		{"82 garbage as a page token", nil, listed(&approvalv1.ListPendingRequest{PageToken: "garbage!"}), codes.InvalidArgument, "INVALID_FIELD"},
		{"82 page token with a number in it", nil, listed(&approvalv1.ListPendingRequest{PageToken: encode([]byte("1234"))}), codes.InvalidArgument, "INVALID_FIELD"},
		{"82 negative page", nil, listed(&approvalv1.ListPendingRequest{PageSize: -5}), codes.InvalidArgument, "INVALID_FIELD"},
		{"82 page of a billion", nil, listed(&approvalv1.ListPendingRequest{PageSize: 1e9}), codes.InvalidArgument, "INVALID_FIELD"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := r.pending(t, append(c.changes, key(fmt.Sprintf("bad-%d", i)))...)
			err := c.call(t.Context(), t, s)
			want(t, c.name, err, c.code, c.reason)
			r.State(t, s.Release) // which fails where something is on record that does not count
		})
	}
}

func TestBadInput49AnApprovalCountsUpToItsEndAndNotAtIt(t *testing.T) {
	r := newRig(t)
	s, desk := r.pending(t), r.dial(t)
	for _, person := range []string{"anna", "ben"} {
		if _, err := desk.Approve(as(t, person), approve(s)); err != nil {
			t.Fatal(err)
		}
	}
	s = r.State(t, s.Release)
	end := s.Approvals[0].Expires
	if !procedure.Due(procedure.StepAuthorize, s, end.Add(-1)) {
		t.Error("a nanosecond before its end it does not count")
	}
	if procedure.Due(procedure.StepAuthorize, s, end) {
		t.Error("at its end it counts")
	}
	task := r.Task(t, s.Release, end)
	if drafts, err := authorize.New(r.Procedures).Act(t.Context(), task); err != nil || len(drafts) > 0 {
		t.Errorf("authorized at its end: %v, %v", drafts, err)
	}
}

func TestBadInput53AnApprovalOnTheBusWithoutARequestDoesNotCount(t *testing.T) {
	r := newRig(t)
	event := &releasev1.Event{
		Actor: proceduretest.Person("anna"), ProcedureDigest: r.Digest,
		Data: &releasev1.Event_ApprovalGiven{ApprovalGiven: &releasev1.ApprovalGiven{
			ChangeDigest: proceduretest.Digest('a'), Expires: timestamppb.New(time.Now().Add(time.Hour)),
		}},
	}
	if _, err := r.Store.Append(t.Context(), eventstore.Draft{Aggregate: "rel.shop-nothing", Event: event}); err != nil {
		t.Fatal(err)
	}
	h, err := r.Store.Load(t.Context(), "rel.shop-nothing")
	if err != nil {
		t.Fatal(err)
	}
	if s, rejected := procedure.Fold("shop-nothing", h.Entries); s.Phase != procedure.PhaseNone || len(rejected) != 1 {
		t.Errorf("phase %s, rejected %v", s.Phase, rejected)
	}
}

// TestBadInput57ACommentIsOnRecordAsItWasWritten: nothing is taken out of what a person
// said. Whoever shows it escapes it.
func TestBadInput57ACommentIsOnRecordAsItWasWritten(t *testing.T) {
	r := newRig(t)
	s, desk := r.pending(t), r.dial(t)
	comment := "<script>alert(1)</script>\x1b[31m\r\nlevel=INFO msg=approved"
	call := approve(s)
	call.Comment = comment
	if _, err := desk.Approve(as(t, "anna"), call); err != nil {
		t.Fatal(err)
	}
	given := r.Task(t, s.Release, time.Now()).Cause.Event.GetApprovalGiven()
	if given == nil || given.GetComment() != comment {
		t.Errorf("on record is %q", given.GetComment())
	}
}

func TestBadInput54TwoOfOneTeamAreNotTwoTeams(t *testing.T) {
	r := newRig(t)
	s, desk := r.pending(t), r.dial(t)
	for _, person := range []string{"anna", "dan"} {
		if got, err := desk.Approve(as(t, person), approve(s)); err != nil || got.GetAuthorized() {
			t.Fatal(got, err)
		}
	}
	if procedure.Due(procedure.StepAuthorize, r.State(t, s.Release), time.Now()) {
		t.Error("it is due")
	}
	// Cleo is in both groups, and is one person.
	if got, err := desk.Approve(as(t, "cleo"), approve(s)); err != nil || !got.GetAuthorized() {
		t.Error(got, err)
	}
}
