package record

import (
	"iter"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// news is how old an event may be to be counted for those who watch, where it was in the
// stream before the record began, or says only what a release waited for: a record that is
// written anew says nothing of today.
const news = time.Hour

// notable counts what is allowed and is to be seen all the same: exceptions that people
// made of rules, ways back, and what releases wait for. An event is counted by the process that
// recorded it, which one process does once; one that does not count is none. That it is
// the recorder counts those of administrators as well, who have no process that anybody
// could ask (PD-9.2).
type notable struct {
	overrides *prometheus.CounterVec
	holds     *prometheus.CounterVec
	rollbacks *prometheus.CounterVec
}

func newNotable(r prometheus.Registerer) notable {
	n := notable{
		overrides: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "shipwarden_overrides_total", Help: "Exceptions that were made: of a freeze for one release, or of the change control of the procedure document.",
		}, []string{"of"}),
		holds: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "shipwarden_holds_total", Help: "Reasons for which releases had to wait, each time that they were looked at, by rule.",
		}, []string{"rule"}),
		rollbacks: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "shipwarden_rollbacks_total", Help: "Ways back that were taken, or could not be, by what came of them.",
		}, []string{"result"}),
	}
	if r != nil {
		r.MustRegister(n.overrides, n.holds, n.rollbacks)
	}
	return n
}

// observe counts. Of what follows a record that was there, every exception counts, however
// late it is recorded: otherwise whoever can keep the recorder down for a while makes one
// that nobody sees. Up to the sequence past, the stream's end when an empty record began,
// only what is new does.
func (n notable) observe(counted iter.Seq[procedure.Entry], past uint64, now time.Time) {
	for e := range counted {
		old := now.Sub(e.Stored) > news
		if old && e.Sequence <= past {
			continue
		}
		switch d := e.Event.GetData().(type) {
		case *releasev1.Event_FreezeOverridden:
			n.overrides.WithLabelValues("freeze").Inc()
		case *releasev1.Event_ProcedureActivated:
			// One of another id that is put beside goes around the change control as well.
			if d.ProcedureActivated.GetAdministrative() == releasev1.ProcedureActivated_ADMINISTRATIVE_OVERRIDE || len(d.ProcedureActivated.GetBeside()) > 0 {
				n.overrides.WithLabelValues("procedure").Inc()
			}
		case *releasev1.Event_ProcedureReviewed:
			if d.ProcedureReviewed.GetNoneLeft() {
				n.overrides.WithLabelValues("procedure_review").Inc()
			}
		case *releasev1.Event_RolledBack:
			n.rollbacks.WithLabelValues("done").Inc()
		case *releasev1.Event_RollbackFailed:
			n.rollbacks.WithLabelValues("failed").Inc()
		case *releasev1.Event_RollbackUnavailable:
			n.rollbacks.WithLabelValues("unavailable").Inc()
		case *releasev1.Event_Held:
			n.held(d.Held, old)
		case *releasev1.Event_StartHeld:
			n.held(d.StartHeld, old)
		case *releasev1.Event_GatesHeld:
			n.held(d.GatesHeld, old)
		}
	}
}

// held counts every rule once, whatever it is that it holds the release for; what is old
// holds nothing any more.
func (n notable) held(h *releasev1.Held, old bool) {
	if old {
		return
	}
	var rules []string
	for _, reason := range h.GetReasons() {
		if !slices.Contains(rules, reason.GetRule()) {
			rules = append(rules, reason.GetRule())
			n.holds.WithLabelValues(reason.GetRule()).Inc()
		}
	}
}
