package chaos

import (
	"errors"
	"testing"
)

// A bug whose place is gone would not be one, and one that nothing is to notice would
// never be caught.
func TestBugsCanBeBuiltIn(t *testing.T) {
	names, wanted := map[string]bool{}, map[string]bool{}
	for _, b := range bugs {
		if names[b.name] {
			t.Errorf("%s: its name is there twice", b.name)
		}
		names[b.name] = true
		if _, err := b.overlay("../..", t.TempDir()); err != nil {
			t.Errorf("%s: %v", b.name, err)
		}
		if len(b.wants) == 0 {
			t.Errorf("%s: nothing is to notice it", b.name)
		}
		for _, name := range b.wants {
			if _, known := (Verdict{}).Counts()[name]; !known {
				t.Errorf("%s is to be noticed by %s, which is no count", b.name, name)
			}
			wanted[name] = true
		}
	}
	for name := range (Verdict{}).Counts() {
		if !wanted[name] {
			t.Errorf("no bug is to be noticed by %s", name)
		}
	}
}

func TestABugIsCaughtByTheCountsItNamesAlone(t *testing.T) {
	b := bug{wants: []string{"double"}, edits: []edit{{}}}
	tests := map[string]struct {
		bug  bug
		v    Verdict
		err  error
		word string
		good bool
	}{
		"by its count":          {b, Verdict{Double: 1, Stuck: 2}, nil, "caught", true},
		"by another one":        {b, Verdict{Stuck: 2}, nil, "SURVIVED", false},
		"by none":               {b, Verdict{}, nil, "SURVIVED", false},
		"without a verdict":     {b, Verdict{Double: 1}, errors.New("no bus"), "ERROR", false},
		"no bug, and no find":   {control, Verdict{}, nil, "clean", true},
		"no bug, and something": {control, Verdict{Stuck: 1}, nil, "NOT CLEAN", false},
	}
	for name, test := range tests {
		if word, good := test.bug.judged(test.v, test.err); word != test.word || good != test.good {
			t.Errorf("%s: %s, %t", name, word, good)
		}
	}
}

// TestFineWeatherKeepsNobodyOffTheBus: a mistake that only copies and forgeries show is looked
// for in runs in which no system around says no.
func TestFineWeatherKeepsNobodyOffTheBus(t *testing.T) {
	for _, test := range []struct {
		cfg             Config
		hostile, spells bool
	}{
		{Config{}, true, true}, {Config{Fine: true}, true, false}, {Config{Quiet: true}, false, false}, {Config{Quiet: true, Fine: true}, false, false},
	} {
		if h, s := test.cfg.hostile(), test.cfg.spells(); h != test.hostile || s != test.spells {
			t.Errorf("quiet %t, fine %t: hostile %t, spells %t", test.cfg.Quiet, test.cfg.Fine, h, s)
		}
	}
}
