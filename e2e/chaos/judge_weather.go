package chaos

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"time"

	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// readWeather reads what systems around have said, oldest first; nothing where there is no
// file.
func readWeather(dir string) ([]saying, error) {
	var all []saying
	return all, lines(filepath.Join(dir, weatherName), func(line []byte) error {
		var s saying
		if err := json.Unmarshal(line, &s); err != nil {
			return err
		}
		all = append(all, s)
		return nil
	})
}

// weather counts waves that were claimed for the first time, and risks that were said to be
// none, although nobody had been told since the release's event before that nothing stands
// in the way: what a service decides it decides on the release as of that event, and it asks
// after it has read it. Emergencies go around.
func (b *bench) weather() {
	for release, s := range b.states {
		if s.Request.GetTrigger() == releasev1.Trigger_TRIGGER_EMERGENCY {
			continue
		}
		claimed := map[uint32]bool{}
		var before time.Time
		for _, e := range b.counted[release] {
			switch d := e.Event.GetData().(type) {
			case *releasev1.Event_ExecutionClaimed:
				if wave := d.ExecutionClaimed.GetWave(); !claimed[wave] {
					claimed[wave] = true
					b.unasked(release, s, e, before, s.Request.GetChangeRecord().GetId())
					b.unasked(release, s, e, before, "")
				}
			case *releasev1.Event_RiskCleared:
				b.unasked(release, s, e, before, "")
			case *releasev1.Event_Held:
				b.heldBy(d.Held)
			case *releasev1.Event_StartHeld:
				b.heldBy(d.StartHeld)
			}
			before = e.Stored
		}
	}
}

// unasked counts an event before which nobody was given a good answer: about the change
// record, or about alerts where there is none.
func (b *bench) unasked(release string, s procedure.State, e procedure.Entry, before time.Time, change string) {
	if change == "" && !slices.Contains(watched, s.Request.GetService()) {
		return
	}
	from, _ := slices.BinarySearchFunc(b.said, before, func(s saying, at time.Time) int { return s.Time.Compare(at) })
	for _, one := range b.said[from:] {
		if one.Time.After(e.Stored) {
			break
		}
		if one.Good && one.Change == change {
			return
		}
	}
	about := "alerts"
	if change != "" {
		about = "change record " + change
	}
	b.count(&b.Early, "early", "%s: %s, and in the %s before it nobody was told of %s that nothing stands in the way",
		release, procedure.TypeOf(e.Event), e.Stored.Sub(before), about)
}

// heldBy remembers by which rules releases were held.
func (b *bench) heldBy(h *releasev1.Held) {
	for _, reason := range h.GetReasons() {
		b.Held[reason.GetRule()]++
	}
}

// weatherHolds are the rules by which a full run is held at least once each.
var weatherHolds = []string{"alert.firing", "alert.unknown", "change_record.window", "change_record.unknown"}

// unheld says which of them never held anything.
func unheld(held map[string]int) []string {
	var out []string
	for _, rule := range weatherHolds {
		if held[rule] == 0 {
			out = append(out, "nothing was ever held by "+rule)
		}
	}
	return out
}
