package chaos

import (
	"testing"
	"time"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// TestACopyOfADecisionIsNobodysDecision: a run stores copies of what people decided, also
// while an executor that was lost later on may still begin. Only what somebody decided
// anew by then came too early.
func TestACopyOfADecisionIsNobodysDecision(t *testing.T) {
	back := proceduretest.Intervene(releasev1.Intervened_ACTION_ROLL_BACK)
	h := proceduretest.New(proceduretest.Request())
	h.To(t, procedure.PhaseExecuting)
	h.Do(t, "", proceduretest.Lost(h.State()))
	h.Now = h.State().DecideFrom
	h.Do(t, "erin", back)
	decided := h.Entries[len(h.Entries)-1]
	h.To(t, procedure.PhaseRollingBack)
	h.Do(t, "", proceduretest.Lost(h.State()))
	until := h.State().DecideFrom
	counted := h.Entries
	for name, test := range map[string]struct {
		event *releasev1.Event
		early int
	}{
		"a copy":  {decided.Event, 0},
		"decided": {back, 1},
		"in time": {nil, 0},
		"another": {proceduretest.Intervene(releasev1.Intervened_ACTION_ACCEPT), 0},
	} {
		entries := counted
		if test.event != nil {
			late := proceduretest.Entry(h.State(), h.Last+1, until.Add(-time.Second), proceduretest.Person("erin"), test.event)
			entries = append(entries[:len(entries):len(entries)], late)
		}
		b := &bench{
			calls:   []call{{Time: until.Add(time.Second), Op: opIntervene, Person: "erin", Release: h.Release, Action: "ACTION_ROLL_BACK", Answer: ok}},
			counted: map[string][]procedure.Entry{h.Release: counted},
			entries: map[string][]procedure.Entry{"rel." + h.Release: entries},
		}
		if b.decisions(); b.Early != test.early {
			t.Errorf("%s: early %d, not %d", name, b.Early, test.early)
		}
	}
}
