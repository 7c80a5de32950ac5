package approval

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"google.golang.org/protobuf/types/known/timestamppb"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// TestReviewsOfDocumentsAreShownUntilTheyAreGiven, each in one state at a time.
func TestReviewsOfDocumentsAreShownUntilTheyAreGiven(t *testing.T) {
	now := time.Date(2026, 12, 1, 10, 0, 0, 0, time.UTC)
	u := &unreviewed{now: func() time.Time { return now }, gauge: unreviewedGauge()}
	s := &releasev1.ProcedureStanding{}
	compare := func(owed, overdue, blocking int) {
		t.Helper()
		u.show(s)
		want := "# HELP shipwarden_procedure_reviews Reviews that are owed of procedure documents that took effect around the change control: not due yet, overdue, and blocking normal releases.\n" +
			"# TYPE shipwarden_procedure_reviews gauge\n" +
			fmt.Sprintf("shipwarden_procedure_reviews{state=\"blocking\"} %d\nshipwarden_procedure_reviews{state=\"overdue\"} %d\nshipwarden_procedure_reviews{state=\"owed\"} %d\n", blocking, overdue, owed)
		if err := testutil.CollectAndCompare(u.gauge, strings.NewReader(want)); err != nil {
			t.Error(err)
		}
	}
	compare(0, 0, 0)
	s.Debts = []*releasev1.ProcedureDebt{
		{Number: 1, Due: timestamppb.New(now.Add(time.Hour)), BlocksFrom: timestamppb.New(now.Add(2 * time.Hour))},
		{Number: 2, Due: timestamppb.New(now.Add(90 * time.Minute)), BlocksFrom: timestamppb.New(now.Add(4 * time.Hour))},
	}
	compare(2, 0, 0)
	now = now.Add(time.Hour)
	compare(1, 1, 0)
	now = now.Add(time.Hour)
	compare(0, 1, 1)
	// A clock that goes back makes them due later, and pays nothing.
	now = now.Add(-24 * time.Hour)
	compare(2, 0, 0)
	s.Debts = nil
	compare(0, 0, 0)
}
