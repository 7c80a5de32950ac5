package check

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/blackdice/shipwarden/internal/criterion"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// What people have said is read once more when the bake is over, so often if it cannot be, so far
// apart: their word is in the history, into which the verdict has to go as well.
const (
	hearTries = 10
	hearPause = time.Second
)

// Answer is what a person said of a check that asks one.
type Answer struct {
	Person  string `json:"person"`
	Passed  bool   `json:"passed"`
	Comment string `json:"comment"`
	// Time is when it was stored, and Sequence the number of its event.
	Time     time.Time `json:"time"`
	Sequence uint64    `json:"sequence"`
}

// hearing is what people had said when it was asked for sample times of a number.
type hearing struct {
	mu      sync.Mutex
	after   int
	answers map[string]Answer
}

// hear returns what people have said, as read for that sample time; every target of a wave asks for
// the same. What cannot be read now is read at the next one.
func (r *run) hear(ctx context.Context, number int) map[string]Answer {
	r.heard.mu.Lock()
	defer r.heard.mu.Unlock()
	if r.heard.after > number || r.plan.Answers == nil {
		return r.heard.answers
	}
	if answers, err := r.plan.Answers(ctx); err == nil {
		r.heard.answers = answers
	}
	r.heard.after = number + 1
	return r.heard.answers
}

// awaitAnswer listens at every sample time, and ends the bake when somebody failed the check: what
// passes may still be failed until the end.
func (r *run) awaitAnswer(ctx context.Context, c *releasev1.Check) {
	for number := r.window.skipped; number < r.window.len(); number++ {
		if !r.wait(ctx, r.window.at(number)) {
			return
		}
		number = max(number, r.window.latest(r.Clock.Now()))
		if a, ok := r.hear(ctx, number)[c.GetName()]; ok && !a.Passed {
			r.end(fmt.Sprintf("check %s was failed by %s", c.GetName(), a.Person))
			return
		}
	}
}

// takeAnswers takes the one sample of every check that asks people: what they have said in the end.
func (r *run) takeAnswers(ctx context.Context, seen []*looks) error {
	var answers map[string]Answer
	for i, c := range r.plan.Checks {
		if !criterion.AsksPeople(c) {
			continue
		}
		if answers == nil {
			var err error
			if answers, err = r.lastAnswers(ctx); err != nil {
				return err
			}
		}
		now := r.Clock.Now().UTC()
		for _, l := range seen {
			var said *Answer
			if a, ok := answers[c.GetName()]; ok {
				said = &a
			}
			judged := JudgeAnswered(said)
			l.checks[i] = []Sample{{Number: r.window.len() - 1, Time: now, Outcome: judged.Outcome, Detail: clean(judged.Detail), Answered: said}}
		}
	}
	return nil
}

// lastAnswers reads what people have said when the bake is over.
func (r *run) lastAnswers(ctx context.Context) (map[string]Answer, error) {
	if r.plan.Answers == nil {
		return map[string]Answer{}, nil
	}
	for try := 1; ; try++ {
		answers, err := r.plan.Answers(ctx)
		switch {
		case err == nil && answers != nil:
			return answers, nil
		case err == nil:
			return map[string]Answer{}, nil
		case try == hearTries || !r.wait(ctx, r.Clock.Now().Add(hearPause)):
			return nil, errors.Join(fmt.Errorf("read what people have answered: %w", err), ctx.Err())
		}
	}
}

// JudgeAnswered derives the outcome of the sample of a check that a person answers, nil where nobody
// did. It is pure. No answer is no pass, and no failure either.
func JudgeAnswered(a *Answer) Observation {
	switch {
	case a == nil:
		return Observation{Outcome: Error, Detail: "nobody answered"}
	case a.Passed:
		return Observation{Outcome: Passed, Detail: "passed by " + a.Person + ": " + a.Comment, Answered: a}
	}
	return Observation{Outcome: Failed, Detail: "failed by " + a.Person + ": " + a.Comment, Answered: a}
}

// decideAnswered is the verdict of a check that a person answers: that of the answer, whatever may be
// said of samples.
func decideAnswered(samples []Sample) (releasev1.CheckResult_Verdict, string) {
	if len(samples) != 1 {
		return inconclusive, "nobody was asked"
	}
	switch s := samples[0]; s.Outcome {
	case Passed:
		return pass, s.Detail
	case Failed:
		return fail, s.Detail
	case Error:
	}
	return inconclusive, samples[0].Detail
}

// reanswered says why the sample of a check that a person answers is not what was said, by the history
// of the release; nil where it is, or where the check asks nobody.
func reanswered(c *releasev1.Check, answers map[string]Answer, samples []Sample) error {
	if !criterion.AsksPeople(c) {
		for i, s := range samples {
			if s.Answered != nil {
				return fmt.Errorf("samples[%d]: a check of the kind %s asks nobody", i, criterion.Kind(c))
			}
		}
		return nil
	}
	if len(samples) != 1 {
		return fmt.Errorf("samples: %d, a check that a person answers has one", len(samples))
	}
	var said *Answer
	if a, ok := answers[c.GetName()]; ok {
		said = &a
	}
	kept := samples[0].Answered
	if (said == nil) != (kept == nil) || said != nil && !said.same(*kept) {
		return errors.New("samples[0]: it was answered otherwise")
	}
	if judged := JudgeAnswered(said); judged.Outcome != samples[0].Outcome || clean(judged.Detail) != samples[0].Detail {
		return fmt.Errorf("samples[0]: it %s (%s), and what was answered %s (%s)", samples[0].Outcome, samples[0].Detail, judged.Outcome, clean(judged.Detail))
	}
	return nil
}

// same compares times as moments.
func (a Answer) same(b Answer) bool {
	equal := a.Time.Equal(b.Time)
	a.Time = b.Time
	return equal && a == b
}
