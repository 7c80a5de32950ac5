package show

import (
	"slices"

	"github.com/blackdice/shipwarden/procedure"
	recorderv1 "github.com/blackdice/shipwarden/proto/shipwarden/recorder/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// facts are what the events of a release tell beyond its summary: the newest of what
// is replaced, all of what adds up.
type facts struct {
	request   *releasev1.Request
	gates     []*releasev1.GateVerdict
	targets   []*releasev1.ScopedTarget
	previews  []*releasev1.TargetPreview
	findings  []*releasev1.Finding
	chosen    *releasev1.Chosen
	quorum    []*releasev1.QuorumRule
	approvals []approval
	emergency *releasev1.Authorized
	results   []*releasev1.TargetResult
	verified  []*releasev1.Verification
	calls     []call
	review    *releasev1.ReviewCompleted
	reviewer  string
	noWayBack string
	unkept    []*releasev1.UnkeptEvidence
	alarms    []*releasev1.AlertAnswer
}

// approval is one that stands.
type approval struct {
	person string
	at     *recorderv1.RecordedEvent
	given  *releasev1.ApprovalGiven
}

// call is one call for people; taken is who took it on.
type call struct {
	escalated *releasev1.Escalated
	at        *recorderv1.RecordedEvent
	taken     string
}

// gather reads the events that count, in their order.
func gather(events []*recorderv1.RecordedEvent) facts {
	var f facts
	for _, e := range events {
		if e.GetRejected() != "" {
			continue
		}
		f.decision(e)
		f.work(e)
		for _, back := range e.GetEvent().GetEvidenceAdded().GetEvidence() {
			f.unkept = slices.DeleteFunc(f.unkept, func(u *releasev1.UnkeptEvidence) bool { return u.GetDigest() == back.GetDigest() })
		}
		f.unkept = append(f.unkept, e.GetEvent().GetUnkept()...)
	}
	return f
}

func (f *facts) decision(e *recorderv1.RecordedEvent) {
	by := e.GetEvent().GetActor().GetId()
	switch d := e.GetEvent().GetData().(type) {
	case *releasev1.Event_Requested:
		f.request = d.Requested.GetRequest()
	case *releasev1.Event_GatesConfirmed:
		f.gates = d.GatesConfirmed.GetVerdicts()
	case *releasev1.Event_GatesRefused:
		f.gates = d.GatesRefused.GetVerdicts()
	case *releasev1.Event_ScopeValidated:
		f.targets = d.ScopeValidated.GetTargets()
		f.findings = append(f.findings, d.ScopeValidated.GetFindings()...)
	case *releasev1.Event_ScopeRefused:
		f.findings = append(f.findings, d.ScopeRefused.GetFindings()...)
	case *releasev1.Event_ChangePreviewed:
		f.previews = d.ChangePreviewed.GetPreviews()
	case *releasev1.Event_PreviewRefused:
		f.findings = append(f.findings, d.PreviewRefused.GetFindings()...)
	case *releasev1.Event_RiskCleared:
		if f.chosen = d.RiskCleared.GetChosen(); f.chosen != nil {
			f.request = procedure.AsChosen(f.request, f.chosen)
			f.targets = procedure.Numbered(f.targets, f.request)
		}
		f.quorum = d.RiskCleared.GetQuorum()
		f.findings = append(f.findings, d.RiskCleared.GetFindings()...)
	case *releasev1.Event_RiskRefused:
		f.findings = append(f.findings, d.RiskRefused.GetFindings()...)
	case *releasev1.Event_ExecutionRefused:
		f.findings = append(f.findings, d.ExecutionRefused.GetFindings()...)
	case *releasev1.Event_ApprovalGiven:
		f.withdraw(by)
		f.approvals = append(f.approvals, approval{person: by, at: e, given: d.ApprovalGiven})
	case *releasev1.Event_ApprovalWithdrawn:
		f.withdraw(by)
	case *releasev1.Event_Authorized:
		if d.Authorized.GetEmergency() {
			f.emergency = d.Authorized
		}
	case *releasev1.Event_Escalated:
		f.calls = append(f.calls, call{escalated: d.Escalated, at: e})
	case *releasev1.Event_Acknowledged:
		f.take(by, func(c releasev1.Cause) bool { return c == d.Acknowledged.GetCause() })
	case *releasev1.Event_Intervened, *releasev1.Event_IncidentClosed: // who decides has taken on whatever was open
		f.take(by, func(releasev1.Cause) bool { return true })
	case *releasev1.Event_ReviewCompleted:
		f.review, f.reviewer = d.ReviewCompleted, by
		f.take(by, func(c releasev1.Cause) bool { return c == releasev1.Cause_CAUSE_REVIEW_OVERDUE })
	}
}

// take notes who took the open calls of some causes on.
func (f *facts) take(by string, which func(releasev1.Cause) bool) {
	for i, c := range f.calls {
		if c.taken == "" && which(c.escalated.GetCause()) {
			f.calls[i].taken = by
		}
	}
}

func (f *facts) withdraw(person string) {
	f.approvals = slices.DeleteFunc(f.approvals, func(a approval) bool { return a.person == person })
}

func (f *facts) work(e *recorderv1.RecordedEvent) {
	switch d := e.GetEvent().GetData().(type) {
	case *releasev1.Event_StartHeld:
		f.alarms = d.StartHeld.GetAlerts()
	case *releasev1.Event_ExecutionClaimed:
		f.alarms = d.ExecutionClaimed.GetAlerts()
	case *releasev1.Event_ExecutionFinished:
		f.result(d.ExecutionFinished.GetResults())
	case *releasev1.Event_ExecutionFailed:
		f.result(d.ExecutionFailed.GetResults())
	case *releasev1.Event_ExecutionUnknown:
		f.result(d.ExecutionUnknown.GetResults())
	case *releasev1.Event_RolledBack:
		f.result(d.RolledBack.GetResults())
	case *releasev1.Event_RollbackFailed:
		f.result(d.RollbackFailed.GetResults())
	case *releasev1.Event_RollbackUnavailable:
		f.noWayBack = d.RollbackUnavailable.GetReason()
	case *releasev1.Event_TargetsReleased:
		f.result(d.TargetsReleased.GetResults())
	case *releasev1.Event_VerificationPassed:
		f.verify(d.VerificationPassed.GetVerification())
	case *releasev1.Event_VerificationFailed:
		f.verify(d.VerificationFailed.GetVerification())
	case *releasev1.Event_VerificationInconclusive:
		f.verify(d.VerificationInconclusive.GetVerification())
	}
}

// result keeps the newest result of each target, in the order of their first ones.
func (f *facts) result(all []*releasev1.TargetResult) {
	for _, r := range all {
		i := slices.IndexFunc(f.results, func(o *releasev1.TargetResult) bool { return o.GetTarget() == r.GetTarget() })
		if i < 0 {
			f.results = append(f.results, r)
			continue
		}
		f.results[i] = r
	}
}

// verify keeps the newest verification of every wave, and of the way back.
func (f *facts) verify(v *releasev1.Verification) {
	f.verified = append(slices.DeleteFunc(f.verified, func(o *releasev1.Verification) bool {
		return o.GetWave() == v.GetWave() && o.GetRollback() == v.GetRollback()
	}), v)
}
