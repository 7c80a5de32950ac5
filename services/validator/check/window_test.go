package check

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

var noon = time.Date(2026, 3, 29, 12, 0, 0, 0, time.UTC)

func TestWindowTimes(t *testing.T) {
	tests := []struct {
		name           string
		bake, interval time.Duration
		want           []time.Duration
	}{
		{"the interval divides the bake", 3 * time.Second, time.Second, []time.Duration{0, time.Second, 2 * time.Second, 3 * time.Second}},
		{"the end is always looked at", 5 * time.Second, 2 * time.Second, []time.Duration{0, 2 * time.Second, 4 * time.Second, 5 * time.Second}},
		{"an interval longer than the bake", time.Second, time.Minute, []time.Duration{0, time.Second}},
		{"no bake", 0, time.Second, []time.Duration{0}},
		{"no interval", time.Second, 0, []time.Duration{0, time.Second}},
		{"nothing at all", 0, 0, []time.Duration{0}},
		{"a negative bake", -time.Second, time.Second, []time.Duration{0}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWindow(noon, noon, tt.bake, tt.interval, 1, 1)
			if w.len() != len(tt.want) {
				t.Fatalf("%d times, want %d", w.len(), len(tt.want))
			}
			for i, offset := range tt.want {
				if got := w.at(i).Sub(noon); got != offset {
					t.Errorf("sample %d at %v, want %v", i, got, offset)
				}
			}
			if !w.at(w.len() - 1).Equal(w.end()) {
				t.Errorf("the last sample is at %v, the end at %v", w.at(w.len()-1), w.end())
			}
		})
	}
}

func TestWindowOfAProcessThatTakesOver(t *testing.T) {
	tests := []struct {
		name    string
		start   time.Time
		late    time.Duration
		needed  int
		fresh   bool
		skipped int
		notes   int
	}{
		{"at the start", noon, 0, 2, false, 0, 0},
		{"a little late", noon, 900 * time.Millisecond, 2, false, 0, 0},
		{"three times late", noon, 3500 * time.Millisecond, 2, false, 3, 1},
		{"with just half of the times left", noon, 5 * time.Second, 2, false, 5, 1},
		{"with less than half of them left", noon, 6 * time.Second, 2, true, 0, 1},
		{"with fewer left than are needed", noon, 3 * time.Second, 9, true, 0, 1},
		{"when it is over", noon, 11 * time.Second, 2, true, 0, 1},
		{"long after it was over", noon, 1000 * time.Hour, 2, true, 0, 1},
		{"without a start", time.Time{}, 0, 2, true, 0, 0},
		{"by a clock that runs ahead", noon.Add(time.Hour), 0, 2, true, 0, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			now := noon.Add(tt.late)
			w := newWindow(tt.start, now, 10*time.Second, time.Second, 1, tt.needed)
			want := tt.start
			if tt.fresh {
				want = now
			}
			if !w.start.Equal(want) {
				t.Errorf("it starts at %v, want %v", w.start, want)
			}
			if w.skipped != tt.skipped || len(w.unusual()) != tt.notes {
				t.Errorf("skipped %d with notes %q, want %d with %d", w.skipped, w.unusual(), tt.skipped, tt.notes)
			}
		})
	}
}

func TestWindowIsWidenedWhereItWouldHoldTooMuch(t *testing.T) {
	w := newWindow(noon, noon, 24*time.Hour, 50*time.Millisecond, 32*201, 2)
	if got := w.len() * 32 * 201; got > maxSamples {
		t.Errorf("%d samples, at most %d", got, maxSamples)
	}
	if len(w.unusual()) != 1 {
		t.Errorf("notes %q", w.unusual())
	}
	if w.end().Sub(noon) != 24*time.Hour {
		t.Errorf("the bake time was changed to %v", w.end().Sub(noon))
	}
}

// TestWindowProperties holds for every window and every moment: the times rise from
// the start to the end, and the latest sample is the one whose time came last.
func TestWindowProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		bake := time.Duration(rapid.Int64Range(int64(100*time.Millisecond), int64(24*time.Hour)).Draw(t, "bake"))
		interval := time.Duration(rapid.Int64Range(int64(50*time.Millisecond), int64(time.Hour)).Draw(t, "interval"))
		late := time.Duration(rapid.Int64Range(0, int64(30*time.Hour)).Draw(t, "late"))
		w := newWindow(noon, noon.Add(late), bake, interval, rapid.IntRange(1, 6432).Draw(t, "series"), 2)
		now := noon.Add(late)
		if w.len() < 2 || w.skipped < 0 || (w.len()-w.skipped)*2 < w.len()-1 {
			t.Fatalf("%d times, %d skipped", w.len(), w.skipped)
		}
		if !w.at(0).Equal(w.start) || !w.at(w.len()-1).Equal(w.end()) {
			t.Fatalf("from %v to %v, want %v to %v", w.at(0), w.at(w.len()-1), w.start, w.end())
		}
		at := w.latest(now)
		if w.at(at).After(now) || (at+1 < w.len() && !w.at(at+1).After(now)) {
			t.Fatalf("at %v the latest is %d at %v", now, at, w.at(at))
		}
		if at+1 < w.len() && !w.at(at+1).After(w.at(at)) {
			t.Fatalf("sample %d is not before the next one", at)
		}
	})
}
