package verify

import (
	"context"
	"fmt"
	"time"

	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/reactor"
	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/validator/check"
)

// listener reads what people answer while a bake is under way. Their answers are events of the release,
// so that its history grows meanwhile, and the verdict must follow the newest that it takes into
// account: by the history that the bake began with it would be refused, and all would be looked at
// again. Who writes after that has it refused, as ever.
type listener struct {
	histories Histories
	// task is the bake's, with the newest history that was read.
	task reactor.Task
}

// answers is what people have said until now of the verification that is under way. It is called by
// one at a time.
func (l *listener) answers(ctx context.Context) (map[string]check.Answer, error) {
	h, err := l.histories.Load(ctx, l.task.History.Aggregate)
	if err != nil {
		return nil, fmt.Errorf("read the answers to %s: %w", l.task.State.Release, err)
	}
	if same(l.task.State, h.State) {
		l.task.State, l.task.History = h.State, h
		if n := len(h.Entries); n > 0 {
			l.task = l.task.NotBefore(h.Entries[n-1].Stored)
		}
	}
	return answersOf(l.task.State), nil
}

// Wanted is what people are asked as a verification begins, by that time; nil where nobody is. It is
// also what a replay calls (N-01), so that it knows of histories in which they were asked once more
// because nobody had answered in time, as validators of before did.
func Wanted(index *policy.Index, state procedure.State, now time.Time) *releasev1.Event {
	return procedure.DecideSignOffWanted(state, checks(state, index), state.Request.GetValidation().GetBake().AsDuration(), now)
}

// same reports whether it is the same verification that is under way in both.
func same(a, b procedure.State) bool {
	return a.Phase == b.Phase && a.Entered.Equal(b.Entered) && a.Verifications == b.Verifications && a.Wave == b.Wave && a.SignOffsAsked.Equal(b.SignOffsAsked)
}

// answersOf are the answers to the verification under way in that state.
func answersOf(s procedure.State) map[string]check.Answer {
	out := map[string]check.Answer{}
	for _, o := range s.SignOffs {
		if a := o.Answer; a != nil {
			out[o.Check] = check.Answer{Person: a.Person, Passed: a.Passed, Comment: a.Comment, Time: a.At.UTC(), Sequence: a.Sequence}
		}
	}
	return out
}
