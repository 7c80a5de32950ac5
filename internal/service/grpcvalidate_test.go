package service_test

import (
	"slices"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/blackdice/shipwarden/internal/service"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
	recorderv1 "github.com/blackdice/shipwarden/proto/shipwarden/recorder/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// TestRequestsAreValidatedBeforeTheHandlerSeesThem holds the promise of both services'
// contracts, over a real connection: the code, the fields, the reason, its domain.
func TestRequestsAreValidatedBeforeTheHandlerSeesThem(t *testing.T) {
	server, _ := serveGRPC(t, service.GRPCConfig{})
	conn := client(t, server)
	records, desk := recorderv1.NewRecorderServiceClient(conn), approvalv1.NewApprovalServiceClient(conn)
	if _, err := records.GetRelease(t.Context(), &recorderv1.GetReleaseRequest{Release: someRelease}); err != nil {
		t.Errorf("a good request: %v", err)
	}
	for name, c := range map[string]struct {
		call   func() error
		domain string
		fields []string
	}{
		"one field": {func() error {
			_, err := records.GetRelease(t.Context(), &recorderv1.GetReleaseRequest{Release: "Shop"})
			return err
		}, "shipwarden.recorder.v1", []string{"release STRING_PATTERN"}},
		"a stream": {func() error {
			watch, err := records.WatchRelease(t.Context(), &recorderv1.WatchReleaseRequest{})
			if err == nil {
				_, err = watch.Recv()
			}
			return err
		}, "shipwarden.recorder.v1", []string{"release STRING_PATTERN"}},
		"fields within fields": {func() error {
			_, err := desk.CompleteReview(t.Context(), &approvalv1.CompleteReviewRequest{
				Release: someRelease, Result: releasev1.ReviewCompleted_RESULT_JUSTIFIED,
				FollowUps: []*releasev1.FollowUp{{Action: "tell", Owner: "ada"}},
			})
			return err
		}, "shipwarden.approval.v1", []string{"residual_risk TEXT_BLANK", "follow_ups[0].due REQUIRED"}},
		"all outcomes, and more": {func() error {
			_, err := records.ListReleases(t.Context(), &recorderv1.ListReleasesRequest{Filter: &recorderv1.Filter{
				Outcomes: make([]releasev1.Outcome, 33),
			}})
			return err
		}, "shipwarden.recorder.v1", []string{"filter.outcomes REPEATED_MAX_ITEMS"}},
	} {
		err := c.call()
		if status.Code(err) != codes.InvalidArgument {
			t.Errorf("%s: got %v, want InvalidArgument", name, err)
		}
		if info := reasonOf(t, err); info.GetReason() != "INVALID_FIELD" || info.GetDomain() != c.domain {
			t.Errorf("%s: reason %v", name, info)
		}
		var fields []string
		for _, v := range detail[*errdetails.BadRequest](err).GetFieldViolations() {
			fields = append(fields, v.GetField()+" "+v.GetReason())
			if v.GetDescription() == "" {
				t.Errorf("%s: nothing is said about %s", name, v.GetField())
			}
		}
		if !slices.Equal(fields, c.fields) {
			t.Errorf("%s: fields %q, want %q", name, fields, c.fields)
		}
	}
}

// reasonOf returns the reason that an error carries, and fails where it has none.
func reasonOf(t *testing.T, err error) *errdetails.ErrorInfo {
	t.Helper()
	info := detail[*errdetails.ErrorInfo](err)
	if info == nil {
		t.Errorf("%v has no google.rpc.ErrorInfo: %v", err, status.Convert(err).Details())
	}
	return info
}

// detail returns the first detail of a type, or nil.
func detail[T any](err error) T {
	var none T
	for _, d := range status.Convert(err).Details() {
		if of, ok := d.(T); ok {
			return of
		}
	}
	return none
}
