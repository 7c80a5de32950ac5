package criterion

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// What holds where a Prometheus check does not say otherwise, and at most.
const (
	DefaultMaxAge = 5 * time.Minute
	MaxPoints     = 500
	MaxSeries     = 20

	defaultMinPoints = 2
)

// Demand is what a Prometheus check demands, with the defaults in their place.
type Demand struct {
	// Range is what every value must be.
	Range *releasev1.NumberRange
	// Over is how far back values are asked for, each a Step from the next; 0 for that of
	// now alone.
	Over, Step time.Duration
	// Points is how many of them there can be, MinPoints how many there must be.
	Points, MinPoints int
	// MinShare is the share of them that must lie within the range.
	MinShare float64
	// MinSeries and MaxSeries are how many series there may be.
	MinSeries, MaxSeries int
	// MaxAge is how old the newest may be.
	MaxAge time.Duration
}

// DemandOf returns what a Prometheus check demands.
func DemandOf(p *releasev1.PrometheusProbe) Demand {
	m := Demand{
		Range:  p.GetRange(),
		Points: 1, MinPoints: 1, MinShare: 1, MinSeries: 1, MaxAge: DefaultMaxAge,
	}
	if over, step := p.GetOver().AsDuration(), p.GetStep().AsDuration(); over > 0 && step > 0 {
		m.Over, m.Step, m.Points, m.MinPoints = over, step, int(over/step)+1, defaultMinPoints
	}
	if p.MinPoints != nil {
		m.MinPoints = int(p.GetMinPoints())
	}
	if p.MinShare != nil {
		m.MinShare = p.GetMinShare()
	}
	if p.MinSeries != nil {
		m.MinSeries = int(p.GetMinSeries())
	}
	m.MaxSeries = m.MinSeries
	if p.MaxSeries != nil {
		m.MaxSeries = int(p.GetMaxSeries())
	}
	if p.GetMaxAge() != nil {
		m.MaxAge = p.GetMaxAge().AsDuration()
	}
	return m
}

// AgeOf is the selector of the samples of which none may be too old, "" where nothing is
// said of their age.
func AgeOf(p *releasev1.PrometheusProbe) string {
	switch {
	case p.GetMaxAge() == nil:
		return ""
	case p.GetMaxAgeOf() != "":
		return p.GetMaxAgeOf()
	}
	return p.GetQuery()
}

func prometheusLooks(c *releasev1.Check) string {
	p := c.GetPrometheus()
	out := "prometheus " + p.GetSource() + " is asked " + strconv.Quote(p.GetQuery())
	if m := DemandOf(p); m.Over > 0 {
		out += fmt.Sprintf(" over %s every %s", m.Over, m.Step)
	}
	return out
}

func prometheusExpects(c *releasev1.Check) (out []string) {
	p := c.GetPrometheus()
	m := DemandOf(p)
	switch {
	case m.Over > 0 && m.MinShare < 1:
		out = append(out, fmt.Sprintf("%.6g%% of the values of each series are %s", 100*m.MinShare, Bounds(m.Range)))
	default:
		out = append(out, "every value is "+Bounds(m.Range))
	}
	switch {
	case m.MaxSeries == 1:
		out = append(out, "there is one series")
	case m.MinSeries == m.MaxSeries:
		out = append(out, fmt.Sprintf("there are %d series", m.MaxSeries))
	default:
		out = append(out, fmt.Sprintf("there are %d to %d series", m.MinSeries, m.MaxSeries))
	}
	if m.Over > 0 {
		out = append(out, fmt.Sprintf("each has at least %d of %d points", m.MinPoints, m.Points))
	}
	age := "none ends more than " + m.MaxAge.String() + " ago"
	if of := AgeOf(p); of != "" {
		age += ", nor do the samples of " + strconv.Quote(of)
	}
	out = append(out, age)
	if c, ok := ComparisonOf(p); ok {
		out = append(out, compares(c))
	}
	return out
}

// prometheusFaults are what a schema cannot say.
func prometheusFaults(c *releasev1.Check) (all []Fault) {
	p := c.GetPrometheus()
	m := DemandOf(p)
	say := func(field, rule, format string, args ...any) {
		all = append(all, Fault{Field: "prometheus." + field, Rule: rule, Message: fmt.Sprintf(format, args...)})
	}
	if err := readable(p.GetQuery()); err != nil {
		say("query", "query.unclear", "%v", err)
	}
	switch of := p.GetMaxAgeOf(); {
	case of != "":
		if err := readable(of); err != nil {
			say("max_age_of", "query.unclear", "%v", err)
		} else if !isSelector(of) {
			say("max_age_of", "query.selector", "must be a selector alone, such as http_requests_total{job=\"shop\"}")
		}
	case p.GetMaxAge() != nil && !isSelector(p.GetQuery()):
		say("max_age_of", "query.selector", "required with max_age, because the query is no selector alone: of what it computes nobody can tell how old it is")
	}
	if m.Points > MaxPoints {
		say("step", "points.many", "over %s that are %d points, at most %d are asked for", m.Over, m.Points, MaxPoints)
	}
	if m.MinPoints > m.Points {
		say("min_points", "points.few", "there are never more than %d points", m.Points)
	}
	if m.MinSeries > m.MaxSeries {
		say("min_series", "series.bounds", "must not be above max_series")
	}
	baselineFaults(p, say)
	return all
}

// readable says what of a query cannot be what is meant, as far as that is known here.
func readable(query string) error {
	if strings.TrimSpace(query) == "" {
		return errors.New("it is empty")
	}
	if _, err := fill(query, longest); err != nil {
		return err
	}
	return closed(query)
}

// longest is as much as each placeholder can stand for.
var longest = map[string]string{
	"target": strings.Repeat("x", 63), "service": strings.Repeat("x", 40), "environment": strings.Repeat("x", 40),
	"digest": "sha256:" + strings.Repeat("0", 64),
}
