package chaos

import (
	"testing"
	"time"

	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

func TestAChangeGoesFromWhatPeopleHaveSeen(t *testing.T) {
	other := effect{Key: "s/0/apply/1", Effect: "s/0/apply", Digest: "a", Action: "apply"}
	own := effect{Key: "r/0/apply/1", Effect: "r/0/apply", Digest: "b", Action: "apply"}
	tests := map[string]struct {
		kind, seen string
		effects    []effect
		unapproved int
	}{
		"as it was seen":          {kindNoop, "a", []effect{other, own}, 0},
		"nothing, as it was seen": {kindHost, "", []effect{own}, 0},
		"something else":          {kindNoop, "z", []effect{other, own}, 1},
		"nothing any more":        {kindHost, "a", []effect{own}, 1},
		"of a command":            {kindCommand, "z", []effect{other, own}, 0},
	}
	for name, test := range tests {
		b := &bench{effects: map[string][]effect{"t": test.effects}}
		b.from(targetPlan{ID: "t", Kind: test.kind}, "r", procedure.State{
			Previews: []*releasev1.TargetPreview{{Target: "t", RollbackDigest: test.seen}},
		})
		if b.Unapproved != test.unapproved {
			t.Errorf("%s: unapproved %d, not %d: %v", name, b.Unapproved, test.unapproved, b.Notes)
		}
	}
}

func TestWhatWasAbortedIsNotBegunAnyMore(t *testing.T) {
	at := time.Unix(100, 0)
	claim := func(sequence uint64, stored time.Time) procedure.Entry {
		return procedure.Entry{Sequence: sequence, Stored: stored, Event: &releasev1.Event{Data: &releasev1.Event_ExecutionClaimed{
			ExecutionClaimed: &releasev1.ExecutionClaimed{Targets: []string{"t", "u"}, Attempt: uint32(sequence)}, //nolint:gosec // Small.
		}}}
	}
	lock := func(sequence uint64) procedure.Entry {
		return procedure.Entry{Sequence: sequence, Event: &releasev1.Event{Data: &releasev1.Event_TargetLocked{
			TargetLocked: &releasev1.TargetLocked{Release: "r"},
		}}}
	}
	aborted := procedure.Entry{Sequence: 4, Stored: at, Event: &releasev1.Event{Data: &releasev1.Event_Aborted{Aborted: &releasev1.Aborted{}}}}
	retried := procedure.Entry{Sequence: 4, Stored: at, Event: &releasev1.Event{Data: &releasev1.Event_Intervened{
		Intervened: &releasev1.Intervened{Action: releasev1.Intervened_ACTION_RETRY},
	}}}
	counted := []procedure.Entry{claim(2, at.Add(-time.Second)), aborted, claim(5, at.Add(time.Second))}
	early, late := touch("r/0/apply", 3, "a", "apply"), touch("r/0/apply", 6, "a", "apply")
	tests := map[string]struct {
		counted []procedure.Entry
		touched []effect
		begun   string // a key on the wave's other target
		early   int
	}{
		"begun before":            {counted, []effect{early}, "", 0},
		"gone on with":            {counted, []effect{early, late}, "", 0},
		"begun after":             {counted, []effect{late}, "", 1},
		"begun on another target": {counted, []effect{late}, "r/0/2", 0},
		"begun there after":       {counted, []effect{late}, "r/0/5", 1},
		"begun after, and twice":  {counted, []effect{late, late}, "", 1},
		"ordered once more":       {[]procedure.Entry{counted[0], aborted, retried, counted[2]}, []effect{late}, "", 0},
		"not aborted":             {[]procedure.Entry{counted[0], counted[2]}, []effect{late}, "", 0},
	}
	for name, test := range tests {
		b := &bench{
			touched: map[string][]effect{"t": test.touched}, counted: map[string][]procedure.Entry{"r": test.counted},
			begun:   map[string]map[string]bool{"u": {test.begun: true}},
			entries: map[string][]procedure.Entry{"tgt.t": {lock(3), lock(6)}},
		}
		if b.aborts(targetPlan{ID: "t", Kind: kindNoop}); b.Early != test.early {
			t.Errorf("%s: early %d, not %d: %v", name, b.Early, test.early, b.Notes)
		}
	}
}
