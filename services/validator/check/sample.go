package check

import (
	"context"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/blackdice/shipwarden/internal/criterion"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/validator/target"
)

// Outcome is how one sample came out.
type Outcome int

// The outcomes. The zero value is an error, so that a sample that nobody filled in
// can never count for the deployment.
const (
	// Error means that the target could not be asked, or its answer not be taken in.
	Error Outcome = iota
	// Passed means that the target answered as it should.
	Passed
	// Failed means that the target answered otherwise, or not at all.
	Failed
)

// String returns the outcome as it stands in the evidence.
func (o Outcome) String() string {
	switch o {
	case Passed:
		return "passed"
	case Failed:
		return "failed"
	case Error:
	}
	return "error"
}

// MarshalText writes the outcome into the evidence.
func (o Outcome) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// UnmarshalText reads an outcome from the evidence; what is none of them is refused.
func (o *Outcome) UnmarshalText(text []byte) error {
	for _, known := range []Outcome{Error, Passed, Failed} {
		if known.String() == string(text) {
			*o = known
			return nil
		}
	}
	return fmt.Errorf("%w: outcome %.20q", ErrDocument, text)
}

// Observation is what one look at a target showed.
type Observation struct {
	// Outcome is how it came out.
	Outcome Outcome
	// Detail says what was seen, for a person: never a body, which may hold secrets.
	Detail string
	// Measured is what was counted of an answer of a source of metrics; nil otherwise.
	Measured *Measured
	// Inspected is what was found of objects of a cluster; nil otherwise. Where it is not, the
	// rest is derived from it.
	Inspected *Inspected
	// Counted is what a source of logs counted; nil otherwise.
	Counted *Counted
	// Ran is what became of a program; nil otherwise.
	Ran *Ran
	// Answered is what a person said; nil otherwise.
	Answered *Answer
}

// Sample is one observation at its place in the window.
type Sample struct {
	// Number is the place of the sample among the times of the window, from 0.
	Number int `json:"number"`
	// Time is when it was taken, and Took how long that took.
	Time time.Time     `json:"time"`
	Took time.Duration `json:"took_nanoseconds"`
	// Outcome and Detail are what was observed.
	Outcome Outcome `json:"outcome"`
	Detail  string  `json:"detail,omitempty"`
	// Measured is what the outcome of a Prometheus check was derived from.
	Measured *Measured `json:"measured,omitempty"`
	// Inspected is what the outcome of a check of objects of a cluster was derived from.
	Inspected *Inspected `json:"inspected,omitempty"`
	// Counted is what the outcome of a check of logs was derived from.
	Counted *Counted `json:"counted,omitempty"`
	// Ran is what the outcome of a check by a program was derived from.
	Ran *Ran `json:"ran,omitempty"`
	// Answered is what the outcome of a check that a person answers was derived from.
	Answered *Answer `json:"answered,omitempty"`
}

// Prober takes one sample of one kind of check. It must be safe for concurrent use,
// must return soon after the context is done, and never panics; whatever goes wrong
// is an observation.
type Prober interface {
	Probe(ctx context.Context, t *target.Target, c *releasev1.Check) Observation
}

// Dated is a prober that looks at what was since the change, which began at that time; zero means
// that nobody knows when.
type Dated interface {
	ProbeSince(ctx context.Context, t *target.Target, c *releasev1.Check, since time.Time) Observation
}

// Named is a prober that tells what it asks for which service and environment a check is made, and of
// which artifact.
type Named interface {
	ProbeNamed(ctx context.Context, t *target.Target, c *releasev1.Check, names criterion.Names) Observation
}

// Placed is a prober that asks sources, or clusters, which have names.
type Placed interface {
	// Place says where one is, without anything secret; "" where there is none.
	Place(source string) string
}

// Kinds of checks whose probers are asked where they look.
const (
	kindPrometheus = "prometheus"
	kindRollout    = "kubernetes_rollout"
	kindLogs       = "logs"
)

// maxDetail bounds the detail of a sample in bytes, so that a window of samples stays
// a document of known size.
const maxDetail = 160

// clean makes a detail fit to be stored and shown: one short line of printable
// characters, none of which JSON has to escape, whatever the target put into it.
func clean(detail string) string { return cleanTo(detail, maxDetail) }

// cleanTo is clean with another bound, in bytes.
func cleanTo(detail string, most int) string {
	detail = strings.Map(func(r rune) rune {
		switch {
		case r == '"':
			return '\''
		case r == '\\' || r == utf8.RuneError || !unicode.IsPrint(r):
			return '.'
		}
		return r
	}, detail)
	if len(detail) <= most {
		return detail
	}
	cut := most
	for cut > 0 && !utf8.RuneStart(detail[cut]) {
		cut--
	}
	return detail[:cut] + "…"
}
