package view

import (
	"cmp"

	"github.com/blackdice/shipwarden/procedure"
	recorderv1 "github.com/blackdice/shipwarden/proto/shipwarden/recorder/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// IncidentOf is the incident of a release, from its messages on record alone: from the
// moment on when people had to be called (PD-7.2). It is nil where they never had to.
// Whether it is closed is not decided here: it is when the release has an outcome and the fold has
// nothing that a person would have to close; where nothing was damaged, and in releases of before
// closing was demanded, when it waits for nobody any more.
func IncidentOf(release string, all []Recorded) *recorderv1.Incident {
	i := &incident{seen: map[string]bool{}}
	s := procedure.State{Release: release}
	for _, r := range all {
		if !r.Counts() {
			continue
		}
		after, err := procedure.Evolve(s, r.Entry)
		if err != nil {
			continue
		}
		i.take(s, after, r)
		s = after
	}
	if i.out != nil {
		i.out.Answers = s.Request.GetEmergency().GetIncident()
		i.out.Impact = impact(s)
		i.out.Impact.Reported = i.reported
	}
	return i.out
}

// incident goes through the events of a release.
type incident struct {
	out *recorderv1.Incident
	// by, decision and reason are those of the person who decided last.
	by, decision, reason string
	seen                 map[string]bool
	reported             []*recorderv1.ReportedImpact
}

func (i *incident) take(before, after procedure.State, r Recorded) {
	e := r.Entry.Event
	if i.out == nil {
		if len(after.Escalations) == 0 {
			return
		}
		i.out = &recorderv1.Incident{
			Opened: stamp(r.Entry.Stored), OpenedByEvent: r.Entry.Sequence, Cause: after.Escalations[0].Cause, Reason: Tell(e),
		}
	}
	by := ""
	if e.GetActor().GetKind() == releasev1.Actor_KIND_HUMAN {
		by = e.GetActor().GetId()
	}
	i.out.Timeline = append(i.out.Timeline, &recorderv1.IncidentEvent{
		Sequence: r.Entry.Sequence, Time: stamp(r.Entry.Stored), Type: procedure.TypeOf(e), By: by, Text: Tell(e),
	})
	if d := e.GetImpactReported(); d != nil {
		i.reported = append(i.reported, &recorderv1.ReportedImpact{
			Sequence: r.Entry.Sequence, Time: stamp(r.Entry.Stored), By: by, Description: d.GetDescription(), Customers: d.GetCustomers(),
		})
	}
	i.decide(before, after, e, by)
	i.escalations(before, after, r)
	for _, ref := range evidenceOf(e) {
		if ref.GetDigest() != "" && !i.seen[ref.GetDigest()] {
			i.seen[ref.GetDigest()] = true
			i.out.Evidence = append(i.out.Evidence, ref)
		}
	}
	for _, receipt := range e.GetNotified().GetReceipts() {
		i.out.Told = append(i.out.Told, &recorderv1.Told{
			Sequence: r.Entry.Sequence, Occasion: e.GetNotified().GetOccasion(), Receipt: receipt,
		})
	}
	i.close(after, r)
}

// decide keeps what a person decided; what is only agreed afterwards decides nothing, and
// neither does somebody's word that they know of a start, unless people were called for it.
func (i *incident) decide(before, after procedure.State, e *releasev1.Event, by string) {
	decision, reason := "", ""
	switch d := e.GetData().(type) {
	case *releasev1.Event_Acknowledged:
		decision, reason = "acknowledged", d.Acknowledged.GetComment()
	case *releasev1.Event_Intervened:
		decision, reason = Word(d.Intervened.GetAction(), "ACTION_"), d.Intervened.GetReason()
	case *releasev1.Event_IncidentClosed:
		decision, reason = "closed", d.IncidentClosed.GetReason()
	case *releasev1.Event_Aborted:
		decision, reason = "aborted", d.Aborted.GetReason()
	case *releasev1.Event_Paused:
		decision, reason = "paused", d.Paused.GetReason()
	case *releasev1.Event_Resumed:
		decision, reason = "resumed", d.Resumed.GetReason()
	case *releasev1.Event_NoticeAcknowledged:
		if len(after.OpenEscalations()) == len(before.OpenEscalations()) {
			return
		}
		decision, reason = "notice_acknowledged", cmp.Or(d.NoticeAcknowledged.GetComment(), "they know of the start that waited for it")
	case *releasev1.Event_ReviewCompleted:
		decision, reason = "review_completed", Word(d.ReviewCompleted.GetResult(), "RESULT_")
	default:
		return
	}
	i.by, i.decision, i.reason = by, decision, reason
}

// escalations follows what the fold says of them: what was raised, or raised again,
// who was called, and who took it on.
func (i *incident) escalations(before, after procedure.State, r Recorded) {
	was := map[releasev1.Cause]procedure.Escalation{}
	for _, x := range before.Escalations {
		was[x.Cause] = x
	}
	for _, x := range after.Escalations {
		old, known := was[x.Cause]
		if !known || old.AcknowledgedBy != "" && x.AcknowledgedBy == "" {
			i.out.Escalations = append(i.out.Escalations, &recorderv1.Escalation{Cause: x.Cause})
		}
		e := i.newest(x.Cause)
		if known && old.AcknowledgedBy == "" && x.AcknowledgedBy != "" {
			e.TakenOnBy, e.TakenOn = x.AcknowledgedBy, stamp(r.Entry.Stored)
			e.TakenOnHow, e.Comment = procedure.TypeOf(r.Entry.Event), i.reason
		}
	}
	if c := r.Entry.Event.GetEscalated(); c != nil {
		i.out.Incident = c.GetIncident()
		e := i.newest(c.GetCause())
		e.Calls = append(e.Calls, &recorderv1.Call{
			Sequence: r.Entry.Sequence, Rung: c.GetRung(), Time: stamp(r.Entry.Stored), To: c.GetTo(), AcknowledgeBy: c.GetAcknowledgeBy(),
		})
	}
}

// newest is the newest escalation for the cause.
func (i *incident) newest(cause releasev1.Cause) *recorderv1.Escalation {
	for n := len(i.out.GetEscalations()) - 1; n >= 0; n-- {
		if e := i.out.GetEscalations()[n]; e.GetCause() == cause {
			return e
		}
	}
	return &recorderv1.Escalation{} // Of what the fold does not know there is nothing to be told.
}

func (i *incident) close(after procedure.State, r Recorded) {
	over := len(after.OpenEscalations()) == 0
	if procedure.ClosingDecides(after) {
		over = len(procedure.Unclosed(after)) == 0
	}
	switch over = over && after.Outcome != releasev1.Outcome_OUTCOME_UNSPECIFIED; {
	case !over:
		i.out.Closing = nil
	case i.out.GetClosing() == nil:
		i.out.Closing = &recorderv1.Closing{
			Sequence: r.Entry.Sequence, Time: stamp(r.Entry.Stored), By: i.by, Decision: i.decision, Reason: i.reason, Outcome: after.Outcome,
		}
	}
}

// impact is what an incident touched.
func impact(s procedure.State) *recorderv1.Impact {
	targets := s.Touched
	if len(targets) == 0 {
		targets = procedure.Targets(s.Request)
	}
	return &recorderv1.Impact{
		Service: s.Request.GetService(), Environment: s.Request.GetEnvironment(), Version: s.Request.GetVersion(),
		Targets: targets, Risk: s.Request.GetRisk().GetDescription(), Areas: s.Request.GetRisk().GetAreas(),
	}
}

// evidenceOf is the evidence that an event on targets names.
func evidenceOf(e *releasev1.Event) []*releasev1.EvidenceRef {
	var results []*releasev1.TargetResult
	switch d := e.GetData().(type) {
	case *releasev1.Event_ExecutionFinished:
		results = d.ExecutionFinished.GetResults()
	case *releasev1.Event_ExecutionFailed:
		results = d.ExecutionFailed.GetResults()
	case *releasev1.Event_ExecutionUnknown:
		results = d.ExecutionUnknown.GetResults()
	case *releasev1.Event_RolledBack:
		results = d.RolledBack.GetResults()
	case *releasev1.Event_RollbackFailed:
		results = d.RollbackFailed.GetResults()
	case *releasev1.Event_VerificationPassed:
		return ofVerification(d.VerificationPassed.GetVerification())
	case *releasev1.Event_VerificationFailed:
		return ofVerification(d.VerificationFailed.GetVerification())
	case *releasev1.Event_VerificationRevoked:
		return []*releasev1.EvidenceRef{d.VerificationRevoked.GetLook().GetSamples()}
	case *releasev1.Event_VerificationInconclusive:
		return ofVerification(d.VerificationInconclusive.GetVerification())
	}
	var all []*releasev1.EvidenceRef
	for _, r := range results {
		all = append(all, r.GetOutput())
	}
	return all
}

// ofVerification is the evidence of a verification.
func ofVerification(v *releasev1.Verification) []*releasev1.EvidenceRef {
	all := []*releasev1.EvidenceRef{v.GetSamples()}
	if v.GetChart() != nil {
		all = append(all, v.GetChart())
	}
	if v.GetBeside() != nil {
		all = append(all, v.GetBeside().GetSamples())
	}
	return all
}
