package document

import (
	"time"

	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/recorder/view"
)

// Wait is how long a gate of step 1 was waited for: from the request to the event that did
// not name it as missing any more.
type Wait struct {
	Gate  string    `json:"gate"`
	Since time.Time `json:"since"`
	// Until is absent while it is waited for, and where the release ended before.
	Until *time.Time `json:"until,omitempty"`
	// Time is that in milliseconds; without an Until up to the outcome, or to the last event.
	Time int64 `json:"time_ms"`
}

// Closer is who closed the release: the person, or the service, who wrote the event after
// which nothing was owed any more.
type Closer struct {
	Sequence uint64    `json:"sequence"`
	Time     time.Time `json:"time"`
	// Type is that of the event, such as "review_completed".
	Type string `json:"type"`
	// By is the person; empty where it was the Service alone.
	By      string `json:"by,omitempty"`
	Service string `json:"service"`
}

// waits are the gates in the order of their verdicts, those that nobody judged yet behind
// them. It is a function of the events that count.
func (r *Record) waits() []Wait {
	out := []Wait{}
	index := map[string]int{}
	meet := func(gate string) {
		if _, there := index[gate]; !there && gate != "" {
			index[gate] = len(out)
			out = append(out, Wait{Gate: gate, Since: sane(r.RequestedAt)})
		}
	}
	for _, e := range r.events {
		for _, v := range verdictsOf(e) {
			meet(v.GetGate())
		}
	}
	for _, e := range r.events {
		held := e.Entry.Event.GetGatesHeld()
		for _, reason := range held.GetReasons() {
			meet(reason.GetSubject())
		}
		if held == nil && verdictsOf(e) == nil {
			continue
		}
		// Whatever this event does not name is not waited for after it.
		missing := map[string]bool{}
		for _, reason := range held.GetReasons() {
			missing[reason.GetSubject()] = true
		}
		for i := range out {
			switch {
			case missing[out[i].Gate]:
				out[i].Until = nil
			case out[i].Until == nil:
				out[i].Until = moment(e.Entry.Stored)
			}
		}
	}
	end := r.stored
	if r.Outcome != nil {
		end = r.Outcome.EndedAt
	}
	for i := range out {
		if until := out[i].Until; until != nil {
			out[i].Time = until.Sub(out[i].Since).Milliseconds()
		} else {
			out[i].Time = end.Sub(out[i].Since).Milliseconds()
		}
	}
	return out
}

// verdictsOf are the verdicts of an event, where it is one that has them.
func verdictsOf(e view.Recorded) []*releasev1.GateVerdict {
	switch d := e.Entry.Event.GetData().(type) {
	case *releasev1.Event_GatesConfirmed:
		return d.GatesConfirmed.GetVerdicts()
	case *releasev1.Event_GatesRefused:
		return d.GatesRefused.GetVerdicts()
	}
	return nil
}

// closer is who closed it; nil while it is open.
func (r *Record) closer() *Closer {
	if r.closing == nil {
		return nil
	}
	e := r.closing.Entry
	c := &Closer{Sequence: e.Sequence, Time: sane(e.Stored), Type: procedure.TypeOf(e.Event), Service: e.Event.GetWriter()}
	if a := e.Event.GetActor(); a.GetKind() != releasev1.Actor_KIND_SERVICE {
		c.By = a.GetId()
	}
	return c
}
