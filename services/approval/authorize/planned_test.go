package authorize_test

import (
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/approval/authorize"
)

// TestAPlannedStartIsApprovedAhead: approvals of this document count for half a day, and
// the release is to start in two.
func TestAPlannedStartIsApprovedAhead(t *testing.T) {
	r := newRig(t)
	start := time.Now().Add(48 * time.Hour)
	s, desk := r.pending(t, func(q *releasev1.Request) { q.NotBefore = timestamppb.New(start) }), r.dial(t)
	for _, person := range []string{"anna", "ben"} {
		if _, err := desk.Approve(as(t, person), approve(s)); err != nil {
			t.Fatal(err)
		}
	}
	s, err := r.Act(t, authorize.New(r.Procedures), s.Release, time.Now())
	if err != nil || s.Phase != procedure.PhaseNotify {
		t.Fatalf("in phase %s, %v", s.Phase, err)
	}
	until := start.Add(12 * time.Hour)
	if got := s.Authorized.GetValidUntil().AsTime(); !got.Equal(until) || !s.Approvals[0].Expires.Equal(until) {
		t.Errorf("valid until %s, the first approval until %s; want %s", got, s.Approvals[0].Expires, until)
	}
}
