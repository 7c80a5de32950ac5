package check_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"math"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/validator/check"
)

var rewrite = flag.Bool("rewrite", false, "write what is drawn to testdata")

// elements are the names of all elements and attributes of a document, which must be one.
func elements(t *testing.T, drawn []byte) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	decoder := xml.NewDecoder(bytes.NewReader(drawn))
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return names
		}
		if err != nil {
			t.Fatalf("%v:\n%s", err, drawn)
		}
		if start, ok := token.(xml.StartElement); ok {
			names[start.Name.Local] = true
			for _, a := range start.Attr {
				names["@"+a.Name.Local] = true
			}
		}
	}
}

// TestTheSameChartIsDrawnOfTheSameSamples, byte by byte: that of testdata. Charts on record depend
// on it, which a replay draws again: with -rewrite goes the next number of the drawing, so that those
// of before are not taken for changed ones.
func TestTheSameChartIsDrawnOfTheSameSamples(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := comparing(t, compared())
		other := compared(kind(releasev1.MetricBaseline_KIND_UNCHANGED))
		other.Name = "elsewhere"
		p.Checks = append(p.Checks, other)
		source := &curves{of: map[string]curve{"eu1": rises(p.Start, steady(0.5), steady(0.7)), "eu2": steady(0.72), "eu3": steady(0.69)}}
		report := compare(t, p, source)
		drawn, err := check.Chart(report.Document, p.Checks)
		if err != nil {
			t.Fatal(err)
		}
		const file = "testdata/chart.svg"
		if *rewrite {
			if err := os.MkdirAll("testdata", 0o750); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, drawn, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil || !bytes.Equal(want, drawn) {
			t.Errorf("%v: another chart is drawn than that of %s; -rewrite writes it, and the drawing needs the next number", err, file)
		}
		if !check.DrawnAlike(drawn) || check.DrawnAlike(bytes.Replace(drawn, []byte("data-drawing=\"1"), []byte("data-drawing=\"10"), 1)) {
			t.Error("it does not tell which drawing it is")
		}
		for name := range elements(t, drawn) {
			if strings.HasPrefix(name, "@on") || strings.Contains(name, "href") || name == "script" || name == "style" || name == "foreignObject" || name == "image" {
				t.Errorf("it has %s", name)
			}
		}
	})
}

// TestAChartIsWellFormedWhateverWasAnswered: texts of a source, values without measure, and no
// values at all.
func TestAChartIsWellFormedWhateverWasAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, change := range map[string]func(*curves, *check.Plan){
			"a text that would be an element": func(c *curves, _ *check.Plan) {
				c.fails, c.says = 100, "</text><script>alert(1)</script> & \x00 \" ]]>"
			},
			"no values": func(c *curves, _ *check.Plan) { c.of["eu1"] = silent },
			"the largest numbers": func(c *curves, p *check.Plan) {
				c.of["eu1"] = rises(p.Start, same(-math.MaxFloat64), same(math.MaxFloat64))
			},
			"the same number":              func(c *curves, _ *check.Plan) { c.of["eu1"] = same(0) },
			"no numbers":                   func(c *curves, _ *check.Plan) { c.of["eu1"] = same(math.NaN()) },
			"a wave of which nobody knows": func(_ *curves, p *check.Plan) { p.Release.Began = map[string]time.Time{} },
		} {
			p := comparing(t, compared())
			source := &curves{of: map[string]curve{"eu1": steady(1)}}
			change(source, &p)
			drawn, err := check.Chart(compare(t, p, source).Document, p.Checks)
			if err != nil || drawn == nil {
				t.Fatal(name, err)
			}
			if elements(t, drawn)["script"] || bytes.Contains(drawn, []byte("NaN\"")) || bytes.Contains(drawn, []byte("Inf\"")) {
				t.Errorf("%s:\n%s", name, drawn)
			}
		}
	})
}

// TestNothingComparedIsNoChart.
func TestNothingComparedIsNoChart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := plan(t, "eu1")
		if drawn, err := check.Chart(newWorld("").bake(t, p).Document, p.Checks); drawn != nil || err != nil {
			t.Errorf("%s, %v", drawn, err)
		}
		if _, err := check.Chart([]byte("["), nil); !errors.Is(err, check.ErrDocument) {
			t.Errorf("%v", err)
		}
	})
}
