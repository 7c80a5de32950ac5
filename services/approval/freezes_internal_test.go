package approval

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"google.golang.org/protobuf/types/known/timestamppb"

	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
)

// TestFreezesAreShownWhileTheyHold, wherever they hold, and are gone with their document.
func TestFreezesAreShownWhileTheyHold(t *testing.T) {
	now := time.Date(2026, 12, 1, 10, 0, 0, 0, time.UTC)
	once := func(name string, from, to time.Duration, kind policyv1.Freeze_Kind) *policyv1.Freeze {
		return &policyv1.Freeze{Name: name, Kind: kind, Environments: []string{"production"}, Customers: []string{"acme"}, When: &policyv1.Freeze_Once{
			Once: &policyv1.Span{Start: timestamppb.New(now.Add(from)), End: timestamppb.New(now.Add(to))},
		}}
	}
	f := &freezes{now: func() time.Time { return now }, gauge: freezeGauge()}
	compare := func(want string) {
		t.Helper()
		want = "# HELP shipwarden_freeze_active 1 while a freeze of the procedure document in effect holds, 0 while it does not; of a window in which releases may start, 1 outside of it.\n" +
			"# TYPE shipwarden_freeze_active gauge\n" + want
		if err := testutil.CollectAndCompare(f.gauge, strings.NewReader(want)); err != nil {
			t.Error(err)
		}
	}
	document := &policyv1.Procedure{Freezes: []*policyv1.Freeze{
		once("now", -time.Hour, time.Hour, 0), once("over", -time.Hour, 0, 0), once("later", time.Second, time.Hour, 0),
		once("window", -time.Hour, time.Hour, policyv1.Freeze_KIND_ALLOW), once("before-window", time.Hour, 2*time.Hour, policyv1.Freeze_KIND_ALLOW),
		{Name: "broken"},
	}}
	f.show(document)
	compare(`shipwarden_freeze_active{freeze="before-window"} 1
shipwarden_freeze_active{freeze="broken"} 1
shipwarden_freeze_active{freeze="later"} 0
shipwarden_freeze_active{freeze="now"} 1
shipwarden_freeze_active{freeze="over"} 0
shipwarden_freeze_active{freeze="window"} 0
`)
	now = now.Add(time.Minute)
	document.Freezes = document.GetFreezes()[2:3]
	f.show(document)
	compare("shipwarden_freeze_active{freeze=\"later\"} 1\n")
}
