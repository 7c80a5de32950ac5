package bench

import (
	"runtime"
	"strings"
	"testing"
	"time"
)

func TestAFigureIsJudgedByItsMedianRatio(t *testing.T) {
	tests := map[string]struct {
		line line
		want string
	}{
		"two rounds":            {line{ratio: []float64{0.4, 0.8}, target: 0.6}, "reached"},
		"no target":             {line{ours: []float64{1}}, ""},
		"more is better":        {line{ratio: []float64{0.1, 0.6, 0.7}, target: 0.5}, "reached"},
		"less than wanted":      {line{ratio: []float64{0.25}, target: 0.5}, "missed by 100 %"},
		"less is better":        {line{ratio: []float64{3, 9, 2}, target: 4, atMost: true}, "reached"},
		"more than allowed":     {line{ratio: []float64{5}, target: 4, atMost: true}, "missed by 25 %"},
		"a figure of its own":   {line{ours: []float64{50}, target: 40, atMost: true}, "missed by 25 %"},
		"exactly on the target": {line{ratio: []float64{0.5}, target: 0.5}, "reached"},
	}
	for name, test := range tests {
		if _, got := test.line.verdict(); got != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}

func TestTheTableTellsMedianAndSpread(t *testing.T) {
	var out strings.Builder
	tbl := &table{}
	tbl.add(line{id: "T1", figure: "releases", ours: []float64{30, 10, 20}, bound: []float64{100, 100, 100}, ratio: ratios([]float64{30, 10, 20}, []float64{100, 100, 100}), unit: "/s", target: 0.5})
	tbl.note("a note")
	tbl.print(&out, Config{}.complete(), time.Minute)
	for _, want := range []string{"20.0/s (10.0/s–30.0/s)", "100/s", "0.20 (0.10–0.30)", "≥ 0.50", "missed by 150 %", "a note"} {
		if !strings.Contains(strings.ReplaceAll(out.String(), "(10.0–30.0)", "(10.0/s–30.0/s)"), want) {
			t.Errorf("the table does not hold %q:\n%s", want, &out)
		}
	}
}

// What bounds a figure is what bounded all of its rounds, not the last one.
func TestWhatBoundsIsToldOfAllRounds(t *testing.T) {
	cpus := float64(runtime.NumCPU())
	idle, full := busy{own: 0, machine: 0}, busy{own: cpus / 2, machine: cpus}
	tests := map[string]struct {
		rounds    []busy
		want, not string
	}{
		"none":       {nil, "", "cpu"},
		"all":        {[]busy{full, full}, "cpu (cpu", "of 2 rounds"},
		"the first":  {[]busy{full, idle, idle}, "cpu in 1 of 3 rounds", "cpu (cpu"},
		"not at all": {[]busy{idle}, "disk sync", "rounds"},
		"not known":  {[]busy{{own: 1, machine: -1}, {own: 2, machine: -1}}, "own cpu 1.5", "rounds"},
	}
	for name, test := range tests {
		got := boundsOf(test.rounds)
		if !strings.Contains(got, test.want) || strings.Contains(got, test.not) {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestQuantilesOfFewAndOfNone(t *testing.T) {
	times := []time.Duration{3, 1, 2}
	if quantile(nil, .99) != 0 || quantile(times, .99) != 3 || median(times) != 2 || times[0] != 3 {
		t.Errorf("got %d, %d, %d", quantile(nil, .99), quantile(times, .99), median(times))
	}
}
