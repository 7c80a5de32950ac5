package check

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"slices"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// ChartType is the media type of a chart.
const ChartType = "image/svg+xml"

// opening is how a chart begins. The number is that of the drawing: charts are on record, and are
// drawn again to tell whether they are of their samples. Whoever draws otherwise, whatever it is,
// gives it the next number.
const opening = `<svg xmlns="http://www.w3.org/2000/svg" data-drawing="1" `

// DrawnAlike reports whether a chart is drawn as Chart draws. Of others nobody can tell here
// whether they are of their samples.
func DrawnAlike(chart []byte) bool { return bytes.HasPrefix(chart, []byte(opening)) }

// maxPanels bounds how many comparisons one chart shows: those that did not pass before others.
const maxPanels = 16

// Where things are in a panel, in pixels.
const (
	chartWidth  = 960
	panelHeight = 260
	plotLeft    = 90
	plotRight   = 940
	plotTop     = 58
	plotBottom  = 222
)

// Chart draws the comparisons in the document of a bake by these checks as SVG; nil where there
// are none. It is pure: equal documents give equal bytes, so that whoever has the document can
// tell whether a chart that is DrawnAlike is of it. All text in it is escaped, and it runs and loads nothing. Errors
// wrap ErrDocument.
func Chart(content []byte, checks []*releasev1.Check) ([]byte, error) {
	var d document
	if err := json.Unmarshal(content, &d); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDocument, err)
	}
	var panels []panel
	for _, t := range d.Targets {
		for _, r := range t.Results {
			i := slices.IndexFunc(checks, func(c *releasev1.Check) bool { return c.GetName() == r.Check })
			if r.Comparison != nil && i >= 0 {
				panels = append(panels, panel{t.Target, r.Check, checks[i].GetPrometheus().GetRange(), *r.Comparison})
			}
		}
	}
	if len(panels) == 0 {
		return nil, nil
	}
	rank := map[Outcome]int{Failed: 0, Error: 1, Passed: 2}
	slices.SortStableFunc(panels, func(a, b panel) int { return rank[a.compared.Outcome] - rank[b.compared.Outcome] })
	shown := panels[:min(len(panels), maxPanels)]
	p := &pen{}
	p.add(opening+`width="%d" height="%d" viewBox="0 0 %[1]d %[2]d" role="img" font-family="sans-serif" font-size="12" fill="#222">`,
		chartWidth, len(shown)*panelHeight+30)
	p.add(`<title>Values since the change and of the baseline: %s</title>`, escaped(d.Verdict))
	p.add(`<rect width="100%%" height="100%%" fill="#fff"/>`)
	for i, one := range shown {
		p.add(`<g transform="translate(0 %d)">`, i*panelHeight)
		one.draw(p)
		p.add(`</g>`)
	}
	rest := ""
	if more := len(panels) - len(shown); more > 0 {
		rest = fmt.Sprintf("; %d more are in the samples", more)
	}
	p.text(plotLeft, len(shown)*panelHeight+16, "start", "filled: since the change; hollow: baseline; thin lines: their medians; dashed red: bounds%s", rest)
	p.add(`</svg>`)
	return p.out.Bytes(), nil
}

// pen writes SVG.
type pen struct{ out bytes.Buffer }

func (p *pen) add(format string, args ...any) {
	fmt.Fprintf(&p.out, format, args...)
	p.out.WriteByte('\n')
}

// text writes an escaped text.
func (p *pen) text(x, y int, anchor, format string, args ...any) {
	p.add(`<text x="%d" y="%d" text-anchor="%s">%s</text>`, x, y, anchor, escaped(fmt.Sprintf(format, args...)))
}

// escaped is a text as it stands in XML; what XML cannot have is replaced.
func escaped(text string) string {
	var out bytes.Buffer
	if err := xml.EscapeText(&out, []byte(text)); err != nil {
		return "" // A buffer takes everything.
	}
	return out.String()
}
