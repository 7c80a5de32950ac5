package criterion

import (
	"fmt"
	"net/http"
	"strconv"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// ExpectedStatus returns the status that an HTTP check expects.
func ExpectedStatus(p *releasev1.HttpProbe) uint32 {
	if status := p.GetExpectStatus(); status != 0 {
		return status
	}
	return http.StatusOK
}

func httpLooks(c *releasev1.Check) string {
	out := fmt.Sprintf("http %s answers %d", c.GetHttp().GetPath(), ExpectedStatus(c.GetHttp()))
	if text := c.GetHttp().GetExpectBody(); text != "" {
		out += " with " + strconv.Quote(text)
	}
	return out
}

func httpExpects(c *releasev1.Check) []string {
	var out []string
	for _, h := range c.GetHttp().GetExpectHeaders() {
		out = append(out, "header "+h.GetName()+" "+headerWords(h))
	}
	for _, j := range c.GetHttp().GetExpectJson() {
		out = append(out, Place(j)+" "+jsonWords(j))
	}
	if c.GetHttp().GetMaxLatency() != nil {
		out = append(out, "no answer slower than "+c.GetHttp().GetMaxLatency().AsDuration().String())
	}
	return out
}

// Place is where in a JSON document something is expected.
func Place(j *releasev1.ExpectedJson) string {
	if j.GetPointer() == "" {
		return "the document"
	}
	return strconv.Quote(j.GetPointer())
}

func headerWords(h *releasev1.ExpectedHeader) string {
	switch e := h.GetExpect().(type) {
	case *releasev1.ExpectedHeader_Equals:
		return "is " + strconv.Quote(e.Equals)
	case *releasev1.ExpectedHeader_Contains:
		return "holds " + strconv.Quote(e.Contains)
	case *releasev1.ExpectedHeader_Present:
		return there(e.Present)
	}
	return "is as nobody says"
}

func jsonWords(j *releasev1.ExpectedJson) string {
	switch e := j.GetExpect().(type) {
	case *releasev1.ExpectedJson_Text:
		return "is " + strconv.Quote(e.Text)
	case *releasev1.ExpectedJson_Number:
		return "is " + Number(e.Number)
	case *releasev1.ExpectedJson_Truth:
		return "is " + strconv.FormatBool(e.Truth)
	case *releasev1.ExpectedJson_Range:
		return "is " + Bounds(e.Range)
	case *releasev1.ExpectedJson_Present:
		return there(e.Present)
	}
	return "is as nobody says"
}

func there(present bool) string {
	if present {
		return "is there"
	}
	return "is not there"
}
