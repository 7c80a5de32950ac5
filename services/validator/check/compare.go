package check

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/blackdice/shipwarden/internal/criterion"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// decidedBy says in the evidence who came to the outcome of a comparison.
const decidedBy = "the validator, by the U test of Mann and Whitney"

// Comparison is what the values of a query since the change, and those of its baseline, come to
// on one target. All but the outcome is what was asked and answered; the outcome, its detail and
// the statistic are derived from that.
type Comparison struct {
	// With is with what was compared: before, unchanged or earlier_wave.
	With   string `json:"with"`
	Source string `json:"source"`
	URL    string `json:"url,omitempty"`
	// Since is when the window of the bake began: what is changed was changed before.
	Since time.Time `json:"since"`
	Step  string    `json:"step"`
	// Asked is when it was asked, the last of Tries times.
	Asked time.Time `json:"asked"`
	Tries int       `json:"tries"`
	// Changed are the values of the target, Baseline those they are compared with.
	Changed  ComparedSide   `json:"changed"`
	Baseline []ComparedSide `json:"baseline"`
	// Disturbed is what else was under way on targets of the baseline, or an open incident of it;
	// Unknown says why that is not known.
	Disturbed []Disturbance `json:"disturbed,omitempty"`
	Unknown   string        `json:"unknown,omitempty"`

	Statistic *Statistic `json:"statistic,omitempty"`
	Outcome   Outcome    `json:"outcome"`
	Detail    string     `json:"detail"`
	DecidedBy string     `json:"decided_by"`
	// Sum is the SHA-256 of the comparison as it stands in the evidence, with nothing between the
	// quotes of this field.
	Sum string `json:"sha256"`
}

// UnmarshalJSON reads a comparison from the evidence. One that is not written as it would be
// written here is refused: two texts of one number would be read as the same.
func (c *Comparison) UnmarshalJSON(text []byte) error {
	type plain Comparison
	if err := json.Unmarshal(text, (*plain)(c)); err != nil {
		return err
	}
	again, err := written((*plain)(c))
	if err != nil {
		return err
	}
	if !bytes.Equal(again, text) {
		return fmt.Errorf("%w: a comparison is written otherwise", ErrDocument)
	}
	return nil
}

// ComparedSide is what was asked for one target and answered.
type ComparedSide struct {
	Target string `json:"target"`
	// Query and AgeOf have everything in place of their placeholders.
	Query string `json:"query"`
	AgeOf string `json:"max_age_of"`
	// From and To are the times of the first and the last value.
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
	// Found is how many series there were, and Readings are the values of the one.
	Found    int       `json:"found"`
	Readings []Reading `json:"readings"`
	// Refused says why there is no answer.
	Refused string `json:"refused,omitempty"`
}

// Reading is a value at its time, with when that sample was taken which is the oldest among the
// newest ones of the series that it rests on; zero where that is not known. In the evidence it is
// [time, value, sampled], with times in milliseconds since 1970.
type Reading struct {
	Time    time.Time
	Value   string
	Sampled time.Time
}

// MarshalJSON writes the reading into the evidence.
func (r Reading) MarshalJSON() ([]byte, error) {
	sampled := int64(0)
	if !r.Sampled.IsZero() {
		sampled = r.Sampled.UnixMilli()
	}
	return json.Marshal([]any{r.Time.UnixMilli(), r.Value, sampled})
}

// UnmarshalJSON reads a reading from the evidence.
func (r *Reading) UnmarshalJSON(text []byte) error {
	var at, sampled int64
	parts := []any{&at, &r.Value, &sampled}
	var raw []json.RawMessage
	if err := json.Unmarshal(text, &raw); err != nil {
		return err
	}
	if len(raw) != len(parts) {
		return fmt.Errorf("%w: a reading of %d parts", ErrDocument, len(raw))
	}
	for i, part := range parts {
		if err := json.Unmarshal(raw[i], part); err != nil {
			return err
		}
	}
	r.Time = time.UnixMilli(at).UTC()
	if sampled != 0 {
		r.Sampled = time.UnixMilli(sampled).UTC()
	}
	return nil
}

// Disturbance is another release, or an incident of one, in the time of a baseline.
type Disturbance struct {
	Target  string `json:"target"`
	Release string `json:"release"`
	// What is release or incident.
	What string    `json:"what"`
	From time.Time `json:"from"`
	// To is when it ended; zero where it has not.
	To time.Time `json:"to,omitzero"`
}

// written is what stands in the evidence, which is written without escapes for HTML.
func written(part any) ([]byte, error) {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(part)
	return bytes.TrimSpace(text.Bytes()), err
}

// sum is the SHA-256 of a comparison with none in it.
func (c Comparison) sum() string {
	c.Sum = ""
	text, err := written(c)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// layout is what a comparison asks: whom it is with, and for each side whom, what and when. It
// follows from release, check and window alone, so that it is derived again from them.
func layout(release Release, c *releasev1.Check, target, digest string, start, end time.Time) (Comparison, error) {
	demand, ok := criterion.ComparisonOf(c.GetPrometheus())
	out := Comparison{Since: start.UTC(), Step: demand.Step.String(), Source: c.GetPrometheus().GetSource(), DecidedBy: decidedBy, Baseline: []ComparedSide{}}
	if !ok || demand.Step <= 0 {
		return out, errors.New("nothing is compared")
	}
	// Times are asked for in milliseconds. Rounded down, the first value would reach back to before
	// the change, or be one less than the bake has room for.
	end = end.UTC().Add(time.Millisecond - 1).Truncate(time.Millisecond)
	values := min(demand.Changed(end.Sub(start)), criterion.MaxCompared)
	if values < demand.MinSamples {
		return out, fmt.Errorf("in the bake there are %d values since the change, at least %d are needed", values, demand.MinSamples)
	}
	side := func(target, digest string, to time.Time, values int) (ComparedSide, error) {
		s := ComparedSide{Target: target, From: to.Add(-time.Duration(values-1) * demand.Step), To: to, Readings: []Reading{}}
		asked, err := criterion.Resolve(c, release.names(target, digest))
		if err != nil {
			return s, fmt.Errorf("%s: %w", target, err)
		}
		s.Query, s.AgeOf = asked.GetPrometheus().GetQuery(), criterion.AgeOf(asked.GetPrometheus())
		return s, nil
	}
	var err error
	if out.Changed, err = side(target, digest, end, values); err != nil {
		return out, err
	}
	with, others := release.others(demand.Kind, target)
	out.With = with
	if with == withBefore {
		began := release.Began[target]
		if began.IsZero() {
			return out, fmt.Errorf("it is not known when the wave of %s began", target)
		}
		before, err := side(target, release.Was[target], began.UTC().Truncate(time.Millisecond), min(demand.Values(demand.Over), criterion.MaxCompared))
		out.Baseline = append(out.Baseline, before)
		return out, err
	}
	each := min(values, max(criterion.MaxCompared/len(others), 1))
	for _, other := range others {
		carries := digest
		if with == withUnchanged {
			carries = release.Was[other]
		}
		one, err := side(other, carries, end, each)
		if err != nil {
			return out, err
		}
		out.Baseline = append(out.Baseline, one)
	}
	return out, nil
}

// With what is compared.
const (
	withBefore    = "before"
	withUnchanged = "unchanged"
	withEarlier   = "earlier_wave"
)

// others are the targets that a baseline is taken of, and what they are.
func (r Release) others(kind releasev1.MetricBaseline_Kind, target string) (with string, targets []string) {
	switch kind {
	case releasev1.MetricBaseline_KIND_UNCHANGED:
		with, targets = withUnchanged, r.Unchanged
	case releasev1.MetricBaseline_KIND_EARLIER_WAVE:
		with, targets = withEarlier, r.Earlier
	case releasev1.MetricBaseline_KIND_BEFORE, releasev1.MetricBaseline_KIND_UNSPECIFIED:
	}
	targets = slices.DeleteFunc(slices.Clone(targets), func(id string) bool { return id == target })
	if len(targets) == 0 {
		return withBefore, nil
	}
	return with, targets[:min(len(targets), criterion.MaxOthers)]
}
