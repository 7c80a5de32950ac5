package whatif

import (
	"context"
	"fmt"
	"time"

	"github.com/blackdice/shipwarden/internal/changerecord"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/approval/gates"
	"github.com/blackdice/shipwarden/services/approval/risk"
)

// World is whom a question asks besides the record, as the steps ask them.
type World struct {
	gates.Outside
	// Sources are those of alerts.
	Sources map[string]risk.Alerts
}

// atOnce is how many questions ask others at the same time. Whoever asks in a loop must not
// use up what these systems let the steps ask.
const atOnce = 2

// enter waits for a turn to ask others; leave gives it back. The error is that of the context.
func (d *Desk) enter(ctx context.Context) (leave func(), err error) {
	select {
	case d.turns <- struct{}{}:
		return func() { <-d.turns }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// again says how long step 1 would ask again before it refuses for what is not known.
func (w way) again(decided *releasev1.Event, records []changerecord.Result) (waits []string) {
	step := w.index.Document().GetDeadlines().GetStep().AsDuration()
	for _, r := range records {
		if r.Unknown != nil {
			waits = append(waits, fmt.Sprintf("%s is not known now: it is asked for again for up to %s, and refused then", r.Rule.GetName(), step))
		}
	}
	for _, u := range decided.GetGatesRefused().GetUnseen() {
		waits = append(waits, fmt.Sprintf("what is beside %s is not known now: a registry that does not answer is asked again for up to %s", u.GetArtifact(), step/2))
	}
	return waits
}

// windows adds to an outlook what change records make the start wait for, and says from when
// on they let it. What they refuse at once step 1 has said.
func (w way) windows(s procedure.State, k Known) (from time.Time) {
	for _, h := range k.seen {
		if w.out.Holds = append(w.out.Holds, h); h.GetUntil().AsTime().After(from) {
			from = h.GetUntil().AsTime()
		}
	}
	for _, r := range k.records {
		h := r.Hold(s.Request)
		if h == nil || s.Emergency() && r.Rule.GetBypassable() {
			continue
		}
		if w.out.Holds = append(w.out.Holds, h); r.From.After(from) {
			from = r.From
		}
	}
	return from
}

// beginning is the start of a request by documents, change records and evidence: when nothing
// but people and work is waited for. Where a window is over by then, or evidence too old, no
// start is feasible, and which one that is is said.
func (w way) beginning(documents []*policy.Index, s procedure.State, k Known, now time.Time) error {
	from := w.windows(s, k)
	windows := w.out.GetHolds()
	if err := w.start(documents, s, now, from); err != nil {
		return err
	}
	earliest := w.out.GetEarliestStart().AsTime()
	for _, r := range k.records {
		if r.Unknown != nil || r.Why != "" || r.Reading == nil || s.Emergency() && r.Rule.GetBypassable() {
			continue
		}
		if why, _ := procedure.JudgeRecord(changerecord.Demand(r.Rule, s.Request), r.Reading, earliest); why != "" {
			windows = append(windows, &releasev1.HoldReason{
				Rule: changerecord.RuleRecord, Subject: r.Rule.GetName(),
				Message: "no start is feasible: the rest lets it begin at " + earliest.UTC().Format(time.RFC3339) + ", and then " + why,
			})
			w.out.EarliestStart = nil
		}
	}
	w.out.Holds = append(windows, w.out.GetHolds()...)
	w.outdated(s, k)
	return nil
}
