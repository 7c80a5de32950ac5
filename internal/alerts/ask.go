package alerts

import (
	"context"
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/internal/evidence"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// Asked is a source of alerts; *Source is one. Errors wrap ErrAsk.
type Asked interface {
	Active(ctx context.Context) ([]Alert, error)
}

// Watch is where alerts are asked for, by the names that the document has for them.
// Without a keeper nothing is kept.
type Watch struct {
	Sources map[string]Asked
	Keeper  evidence.Putter
}

// Answer is what one source said in one look.
type Answer struct {
	// Record is what the event says of it.
	Record *releasev1.AlertAnswer
	// Alerts are those that decide; none where the record has an error.
	Alerts []Alert
	// Unkept says for the event that they could not be kept.
	Unkept *releasev1.UnkeptEvidence
}

// Look is what is asked for, and how.
type Look struct {
	// Rules are those of the procedure document, Request the release's.
	Rules   []*policyv1.AlertRule
	Request *releasev1.Request
	// Began is when the release began that this one takes back; zero where it takes back
	// none.
	Began time.Time
	// Urgent says that what was said counts whether or not it can be kept. For any other
	// release an answer that nobody could look at afterwards is none.
	Urgent bool
}

// Ask asks every source of a rule that concerns the release, once. An error is one of ours;
// that there is no answer is a fact.
func (w Watch) Ask(ctx context.Context, look Look) ([]Answer, error) {
	var out []Answer
	for _, rule := range look.Rules {
		if !Applies(rule, look.Request) || answerOf(out, rule.GetSource()) != nil {
			continue
		}
		a, err := w.ask(ctx, look, rule.GetSource())
		if err != nil {
			return nil, err
		}
		if !look.Began.IsZero() {
			a.Record.Began = timestamppb.New(look.Began)
		}
		out = append(out, a)
	}
	return out, nil
}

func answerOf(answers []Answer, source string) *Answer {
	i := slices.IndexFunc(answers, func(a Answer) bool { return a.Record.GetSource() == source })
	if i < 0 {
		return nil
	}
	return &answers[i]
}

func (w Watch) ask(ctx context.Context, look Look, source string) (Answer, error) {
	a := Answer{Record: &releasev1.AlertAnswer{Source: source}}
	from := w.Sources[source]
	if from == nil {
		a.Record.Error = "no such source is configured"
		return a, nil
	}
	active, err := from.Active(ctx)
	if ctx.Err() != nil {
		return a, ctx.Err()
	}
	if err != nil {
		a.Record.Error = err.Error()
		return a, nil //nolint:nilerr // What is not known is a fact, which holds the release.
	}
	deciding, err := Deciding(look.Rules, look.Request, source, active)
	if err != nil {
		return a, err
	}
	a.Alerts, a.Record.Active = deciding, uint32(len(active)) //nolint:gosec // An answer is bounded.
	if w.Keeper == nil {
		return a, nil
	}
	document, err := Document(deciding)
	if err != nil {
		// To ask again would not help, and whoever waits for an emergency sees nothing of it.
		return Answer{Record: &releasev1.AlertAnswer{Source: source, Error: "what it said cannot be written down"}}, nil //nolint:nilerr // As above.
	}
	a.Record.Answer, a.Unkept, err = evidence.Keep(ctx, w.Keeper, "application/json", "alerts of "+source, document)
	switch {
	case err == nil, look.Urgent && a.Unkept != nil:
		return a, nil
	case a.Unkept != nil:
		return Answer{Record: &releasev1.AlertAnswer{Source: source, Error: "what it said cannot be kept as evidence, " + a.Unkept.GetReason()}}, nil
	}
	return a, fmt.Errorf("keep the alerts of %s: %w", source, err)
}

// Unkept is what an event says of those answers that could not be kept.
func Unkept(answers []Answer) []*releasev1.UnkeptEvidence {
	var out []*releasev1.UnkeptEvidence
	for _, a := range answers {
		if a.Unkept != nil {
			out = append(out, a.Unkept)
		}
	}
	return out
}

// Records is what an event says of answers.
func Records(answers []Answer) []*releasev1.AlertAnswer {
	var out []*releasev1.AlertAnswer
	for _, a := range answers {
		out = append(out, a.Record)
	}
	return out
}
