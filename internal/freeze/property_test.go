package freeze_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/blackdice/shipwarden/internal/freeze"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
)

func drawFreeze(t *rapid.T, name string, at time.Time) *policyv1.Freeze {
	if rapid.IntRange(0, 3).Draw(t, name+" kind") == 0 {
		start := at.Add(time.Duration(rapid.IntRange(-3000, 3000).Draw(t, name+" start")) * time.Minute)
		return once(name, start, start.Add(time.Duration(rapid.IntRange(1, 5000).Draw(t, name+" length"))*time.Minute))
	}
	return drawWeekly(t, name)
}

func drawWeekly(t *rapid.T, name string) *policyv1.Freeze {
	zone := rapid.SampledFrom([]string{"Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "UTC"}).Draw(t, name+" zone")
	// Sunday, where the clocks jump, more often than other days; hours of the jump, too.
	day := rapid.SampledFrom([]policyv1.Weekly_Day{1, 2, 3, 4, 5, 6, 7, 7, 7, 7})
	hour := rapid.SampledFrom([]int{0, 1, 1, 2, 2, 2, 3, 3, 9, 18, 23})
	clock := func(label string) string {
		return fmt.Sprintf("%02d:%02d", hour.Draw(t, label+" hour"), rapid.IntRange(0, 59).Draw(t, label+" minute"))
	}
	window := weekly(name, zone, day.Draw(t, name+" from"), clock(name+" from"), day.Draw(t, name+" to"), clock(name+" to"))
	if span := window.GetWeekly(); span.GetFromDay() == span.GetToDay() && span.GetFromTime() == span.GetToTime() {
		span.ToDay = span.GetToDay()%7 + 1
	}
	return window
}

func TestEarliestStartEqualsAScanOfEveryMinute(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		zone := rapid.SampledFrom([]string{"Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "UTC"}).Draw(t, "zone")
		jump, err := time.Parse(time.RFC3339, rapid.SampledFrom(jumps[zone]).Draw(t, "jump"))
		if err != nil {
			t.Fatal(err)
		}
		at := jump.Add(time.Duration(rapid.IntRange(-2*24*60, 24*60).Draw(t, "at")) * time.Minute)
		var freezes []*policyv1.Freeze
		model := newModel(at)
		for i := range rapid.IntRange(0, 4).Draw(t, "freezes") {
			window, zone, occurrences := drawWindow(t, string(rune('a'+i)), at, model)
			freezes = append(freezes, window)
			model.mark(window, zone, occurrences)
		}
		verdict, err := freeze.Evaluate(freezes, at, freeze.Scope{})
		if err != nil && !errors.Is(err, freeze.ErrFrozen) {
			t.Fatal(err)
		}
		if held := len(verdict.Reasons) > 0; held != model.frozen(before) {
			t.Fatalf("at %v: held %v, the scan says %v", at, held, model.frozen(before))
		}
		const compared = after - 8*24*60
		for i := range compared {
			if !model.frozen(before + i) {
				want := at.Add(time.Duration(i) * time.Minute)
				if err != nil || !verdict.Until.Equal(want) {
					t.Fatalf("at %v: earliest start %v (%v), the scan says %v", at, verdict.Until.UTC(), err, want)
				}
				return
			}
		}
		if verdict.Until.Before(at.Add(compared * time.Minute)) {
			t.Fatalf("at %v: earliest start %v, the scan finds none", at, verdict.Until.UTC())
		}
	})
}

func TestEarliestStartIsFree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		at := time.Unix(rapid.Int64Range(1_700_000_000, 4_000_000_000).Draw(t, "at"), rapid.Int64Range(0, 999_999_999).Draw(t, "nanoseconds"))
		var freezes []*policyv1.Freeze
		for i := range rapid.IntRange(1, 6).Draw(t, "freezes") {
			window := drawFreeze(t, string(rune('a'+i)), at.Truncate(time.Minute))
			window.Kind = rapid.SampledFrom([]policyv1.Freeze_Kind{0, policyv1.Freeze_KIND_DENY, policyv1.Freeze_KIND_ALLOW}).Draw(t, "kind")
			freezes = append(freezes, window)
		}
		verdict, err := freeze.Evaluate(freezes, at, freeze.Scope{})
		if errors.Is(err, freeze.ErrFrozen) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		again, err := freeze.Evaluate(freezes, verdict.Until, freeze.Scope{})
		if err != nil || len(again.Reasons) > 0 || !again.Until.Equal(verdict.Until) {
			t.Fatalf("the earliest start %v is not free: %v, %v", verdict.Until, again.Reasons, err)
		}
		if verdict.Until.After(at) {
			if last, err := freeze.Evaluate(freezes, verdict.Until.Add(-1), freeze.Scope{}); err != nil || len(last.Reasons) == 0 {
				t.Fatalf("a moment before the earliest start %v nothing holds: %v", verdict.Until, err)
			}
		}
	})
}
