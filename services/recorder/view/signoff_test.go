package view_test

import (
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	recorderv1 "github.com/blackdice/shipwarden/proto/shipwarden/recorder/v1"
	"github.com/blackdice/shipwarden/services/recorder/view"
)

// TestEachCheckIsAnsweredInItsOwnTime: of two checks with different times, what is late is said of it
// alone, and people are told what they can do while there is one that they can answer.
func TestEachCheckIsAnsweredInItsOwnTime(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)
	one, two := noon.Add(time.Hour), noon.Add(2*time.Hour)
	ledger := &recorderv1.SignOff{Check: "ledger", Groups: []string{"finance"}, Until: timestamppb.New(one)}
	stock := &recorderv1.SignOff{Check: "stock", Groups: []string{"sre", "shop"}, Until: timestamppb.New(two)}
	answered := proto.CloneOf(ledger)
	answered.Person, answered.Passed = "rita", true
	const (
		ledgerUntil = "ledger by finance until 2026-12-01T13:00:00Z"
		stockUntil  = "stock by sre or shop until 2026-12-01T14:00:00Z"
		waits       = ", and waits to be signed off: "
		late        = ", and was not signed off in time: "
	)
	for _, test := range []struct {
		name    string
		asked   []*recorderv1.SignOff
		at      time.Time
		before  string
		says    string
		signOff bool
		lapses  time.Time
	}{
		{"both in time", []*recorderv1.SignOff{ledger, stock}, noon, waits + ledgerUntil + ", " + stockUntil, waits + ledgerUntil + ", " + stockUntil, true, one},
		{"one late, the other not", []*recorderv1.SignOff{ledger, stock}, one, waits + ledgerUntil + ", " + stockUntil, waits + stockUntil + late + ledgerUntil, true, two},
		{"both late", []*recorderv1.SignOff{ledger, stock}, two, waits + ledgerUntil + ", " + stockUntil, late + ledgerUntil + ", " + stockUntil, false, time.Time{}},
		{"one answered, the other late", []*recorderv1.SignOff{answered, stock}, two, waits + stockUntil, late + stockUntil, false, time.Time{}},
		{"one answered, the other not", []*recorderv1.SignOff{answered, stock}, two.Add(-time.Nanosecond), waits + stockUntil, waits + stockUntil, true, two},
		{"answered", []*recorderv1.SignOff{answered}, two, "", "", true, time.Time{}},
	} {
		r := &recorderv1.Release{Summary: "It is being verified" + test.before + ".", SignOffs: test.asked, Actions: []string{"abort", "sign-off", "pause"}}
		view.AsOf(r, test.at)
		if want := "It is being verified" + test.says + "."; r.GetSummary() != want {
			t.Errorf("%s: it says %q, want %q", test.name, r.GetSummary(), want)
		}
		if got := slices.Contains(r.GetActions(), "sign-off"); got != test.signOff || !slices.Contains(r.GetActions(), "pause") {
			t.Errorf("%s: possible %v", test.name, r.GetActions())
		}
		if got := view.Lapses(r, test.at); !got.Equal(test.lapses) {
			t.Errorf("%s: lapses %v, want %v", test.name, got, test.lapses)
		}
	}
}
