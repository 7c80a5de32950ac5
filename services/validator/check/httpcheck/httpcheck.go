// Package httpcheck asks a target for a page and looks at the answer.
//
// Where the target is stands in the configuration; the check adds a path. What else
// could lead elsewhere, such as redirects, names and proxies, is shut off in package
// target. A body is looked at and forgotten: of what it held only the size, the SHA-256
// and those numbers that bounds were asked for are kept, and of headers nothing, since
// pages of production may hold secrets.
package httpcheck

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/blackdice/shipwarden/internal/criterion"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/validator/check"
	"github.com/blackdice/shipwarden/services/validator/target"
)

// Prober takes the samples of HTTP checks (PD-6.1). It is safe for concurrent use.
type Prober struct {
	// Now is the clock that answers are timed by. Nil means the machine's.
	Now func() time.Time
}

var _ check.Prober = Prober{}

// Probe asks once. A wrong status, an answer that is slower than the check allows, a
// header or a body that is not as expected, a connection that is refused or cut, and
// silence until the timeout are failures; that the target could not be asked, or answered
// more than is taken in, is an error.
func (p Prober) Probe(ctx context.Context, t *target.Target, c *releasev1.Check) check.Observation {
	if p.Now == nil {
		p.Now = time.Now
	}
	probe := c.GetHttp()
	ctx, cancel := context.WithTimeout(ctx, criterion.Timeout(c))
	defer cancel()
	expected := criterion.ExpectedStatus(probe)
	// Who expects a redirect wants to see it, not where it leads.
	follow := expected < 300 || expected > 399
	began := p.Now()
	answer, err := t.Get(ctx, probe.GetPath(), follow)
	took := p.Now().Sub(began)
	switch {
	case errors.Is(err, target.ErrNoAnswer):
		return check.Observation{Outcome: check.Failed, Detail: err.Error()}
	case err != nil:
		return check.Observation{Outcome: check.Error, Detail: err.Error()}
	case answer.Status != int(expected):
		return check.Observation{Outcome: check.Failed, Detail: fmt.Sprintf("status %d, expected %d", answer.Status, expected)}
	}
	seen := fmt.Sprintf("status %d, %d bytes, sha256:%x", answer.Status, len(answer.Body), sha256.Sum256(answer.Body))
	numbers, wrong := compare(probe, answer, took)
	if wrong != "" {
		return check.Observation{Outcome: check.Failed, Detail: wrong + ": " + seen}
	}
	return check.Observation{Outcome: check.Passed, Detail: strings.Join(append([]string{seen}, numbers...), ", ")}
}

// compare says what of an answer is not as expected, the first of it, or "" where all is;
// and the numbers that lie within their bounds.
func compare(probe *releasev1.HttpProbe, answer target.Answer, took time.Duration) (numbers []string, wrong string) {
	if slow := probe.GetMaxLatency(); slow != nil && took > slow.AsDuration() {
		return nil, fmt.Sprintf("answered after %s, expected within %s", took.Round(time.Millisecond), slow.AsDuration())
	}
	for _, h := range probe.GetExpectHeaders() {
		if wrong := compareHeader(h, answer.Header); wrong != "" {
			return nil, wrong
		}
	}
	if text := probe.GetExpectBody(); !bytes.Contains(answer.Body, []byte(text)) {
		return nil, "the expected text is missing"
	}
	return compareJSON(probe.GetExpectJson(), answer.Body)
}

// compareHeader says what is wrong with a header, without what it holds.
func compareHeader(h *releasev1.ExpectedHeader, all http.Header) string {
	values := all.Values(h.GetName())
	there, value := len(values) > 0, strings.Join(values, ", ")
	switch e := h.GetExpect().(type) {
	case *releasev1.ExpectedHeader_Present:
		switch {
		case e.Present && !there:
			return "header " + h.GetName() + " is missing"
		case !e.Present && there:
			return "header " + h.GetName() + " is there"
		}
		return ""
	case *releasev1.ExpectedHeader_Equals:
		if there && value == e.Equals {
			return ""
		}
	case *releasev1.ExpectedHeader_Contains:
		if there && strings.Contains(value, e.Contains) {
			return ""
		}
	}
	if !there {
		return "header " + h.GetName() + " is missing"
	}
	return "header " + h.GetName() + " is not as expected"
}
