package standing_test

import (
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/internal/standing"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// TestARevokedDelegationStaysRevoked: also when its time would be over, and when others
// were made and revoked since; approvals that were given by it may still wait.
func TestARevokedDelegationStaysRevoked(t *testing.T) {
	start := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	one := &releasev1.Delegation{Number: 1, From: timestamppb.New(start), Until: timestamppb.New(start.Add(time.Hour))}
	two := &releasev1.Delegation{Number: 2, From: timestamppb.New(start), Until: timestamppb.New(start.Add(time.Hour))}
	d := standing.Delegations{All: []*releasev1.Delegation{one, two}, Last: 2}
	for _, at := range []time.Time{start, start.Add(2 * time.Hour)} {
		if !d.Counts(one, at) || !d.Counts(two, at) {
			t.Errorf("at %s one that nobody revoked does not count", at)
		}
	}
	e := d.Revoked(one, "misused", start).GetDelegationsChanged()
	d = standing.Delegations{All: e.GetDelegations(), Last: e.GetLastNumber(), Void: e.GetRevokedNumbers()}
	e = d.Made(&releasev1.Delegation{From: timestamppb.New(start), Until: timestamppb.New(start.Add(3 * time.Hour))}, start.Add(2*time.Hour)).GetDelegationsChanged()
	d = standing.Delegations{All: e.GetDelegations(), Last: e.GetLastNumber(), Void: e.GetRevokedNumbers()}
	for _, at := range []time.Time{start, start.Add(2 * time.Hour)} {
		if d.Counts(one, at) {
			t.Errorf("at %s the revoked one counts", at)
		}
	}
	if !d.Counts(two, start.Add(2*time.Hour)) || d.Find(2) != nil {
		t.Error("one that came to its end by itself is taken for revoked, or is still there")
	}
	d.Void = nil
	for range 5000 {
		d.Last++
		d.Void = d.Revoked(&releasev1.Delegation{Number: d.Last}, "", start).GetDelegationsChanged().GetRevokedNumbers()
	}
	if len(d.Void) != 4096 || !slices.Contains(d.Void, d.Last) {
		t.Errorf("%d numbers are kept", len(d.Void))
	}
}
