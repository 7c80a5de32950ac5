package show

import (
	"fmt"
	"io"
	"strings"

	"github.com/blackdice/shipwarden/cli/terminal"
	"github.com/blackdice/shipwarden/internal/consent/signer"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
	recorderv1 "github.com/blackdice/shipwarden/proto/shipwarden/recorder/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// Describe writes everything that is known of a release: where it stands and why,
// what was found, who decided, what a person can do now.
func Describe(w io.Writer, r *recorderv1.Release, events []*recorderv1.RecordedEvent) error {
	f := gather(events)
	p := &page{}
	p.fields(
		[2]string{"Release", r.GetRelease()},
		[2]string{"What", fmt.Sprintf("%s %s to %s", r.GetService(), r.GetVersion(), r.GetEnvironment())},
		[2]string{"Why", terminal.Word(r.GetTrigger(), "TRIGGER_")},
		[2]string{"Change record", changeRecord(f.request)},
		[2]string{"Takes back", f.request.GetRollbackOf()},
		[2]string{"Way back of", r.GetWayBackOf()},
		[2]string{"Owner", r.GetOwner()},
		[2]string{"Requester", r.GetRequester()},
		[2]string{"Authors", strings.Join(f.request.GetAuthors(), ", ")},
		[2]string{"Procedure", strings.TrimSpace(r.GetProcedureVersion() + " " + r.GetProcedureDigest())},
		[2]string{"Change digest", r.GetChangeDigest()},
		[2]string{"Requested", terminal.Time(r.GetRequested())},
		[2]string{"Updated", terminal.Time(r.GetUpdated())},
		[2]string{"Ended", terminal.Time(r.GetEnded())},
		[2]string{"Phase", r.GetPhase()},
		[2]string{"Outcome", terminal.Word(r.GetOutcome(), "OUTCOME_")},
		[2]string{"Next deadline", terminal.Time(r.GetDeadline())},
		[2]string{"Review due", terminal.Time(r.GetReviewDue())},
		[2]string{"Summary", r.GetSummary()},
	)
	p.steps(r.GetSteps())
	p.holds(r.GetHolds())
	p.emergency(f.request, f.emergency)
	p.prose("Plan", f.request.GetPlan().GetDescription())
	p.artifacts(r.GetArtifacts())
	p.targets(f.targets)
	p.gates(f.gates)
	p.previews(f.previews)
	p.findings(f.findings)
	p.chosen(f.chosen)
	p.quorum("Approvals needed", f.quorum)
	p.approvals(f.approvals)
	p.quorum("Approvals missing", r.GetMissing())
	p.alarms(f.alarms)
	p.results(f.results)
	p.verification(f.verified)
	p.prose("No way back", f.noWayBack)
	p.calls(f.calls)
	p.review(f.review, f.reviewer)
	p.followUps(followUps(r, f.review))
	p.rollbacks(r.GetRollbacks())
	p.laterLooks(r.GetLaterLooks())
	p.waysBack(r.GetTakenBackBy())
	p.unkept(f.unkept)
	if n := r.GetRejectedEvents(); n > 0 {
		p.heading("Warning")
		p.line("  %d events were on the bus and do not count (shipwarden get %s -o json --events)", n, terminal.Escape(r.GetRelease()))
	}
	p.actions(r)
	return p.write(w)
}

func changeRecord(r *releasev1.Request) string {
	return strings.TrimSpace(r.GetChangeRecord().GetSystem() + " " + r.GetChangeRecord().GetId())
}

func (p *page) approvals(all []approval) {
	t := terminal.NewTable()
	for _, a := range all {
		t.Add(a.person, strings.Join(a.at.GetEvent().GetActor().GetGroups(), ","), terminal.Time(a.at.GetStored()),
			"until "+terminal.Time(a.given.GetExpires()), signer.Of(a.given.GetSignature()), a.given.GetComment())
	}
	p.table("Approvals given", t, "PERSON", "GROUPS", "GIVEN", "COUNTS", "SIGNED WITH", "COMMENT")
}

func (p *page) emergency(r *releasev1.Request, a *releasev1.Authorized) {
	if r.GetEmergency() == nil {
		return
	}
	t := terminal.NewTable()
	t.Add("incident", r.GetEmergency().GetIncident())
	t.Add("reason", r.GetEmergency().GetReason())
	for _, b := range a.GetBypassed() {
		t.Add("bypassed", b)
	}
	p.table("Emergency", t)
}

// required are the flags without which a command is refused.
var required = map[string]string{
	"reject": reason, "withdraw": reason, "withdraw-approval": reason, "abort": reason, "pause": reason, "resume": reason, "close-incident": reason,
	"retry": reason, "rollback": reason, "accept": reason, "confirm": reason,
	"acknowledge": " --comment TEXT",
	"sign-off":    " CHECK --pass --comment TEXT",
	"override":    " FREEZE --reason TEXT --ticket ID",
	"review":      " --result RESULT --residual-risk TEXT",
}

const reason = " --reason TEXT"

// actions are the server's words, which are the command's verbs.
func (p *page) actions(r *recorderv1.Release) {
	t := terminal.NewTable()
	for _, a := range r.GetActions() {
		t.Add("shipwarden " + a + " " + r.GetRelease() + required[a])
	}
	p.table("Possible now", t)
}

// Decide writes what an approver has to see before saying yes or no.
func Decide(w io.Writer, pending *approvalv1.Pending) error {
	r := pending.GetRequest()
	p := &page{}
	p.fields(
		[2]string{"Release", pending.GetRelease()},
		[2]string{"What", fmt.Sprintf("%s %s to %s", r.GetService(), r.GetVersion(), r.GetEnvironment())},
		[2]string{"Why", terminal.Word(r.GetTrigger(), "TRIGGER_")},
		[2]string{"Change record", changeRecord(r)},
		[2]string{"Takes back", r.GetRollbackOf()},
		[2]string{"Owner", r.GetOwner()},
		[2]string{"Requester", r.GetRequester()},
		[2]string{"Authors", strings.Join(r.GetAuthors(), ", ")},
		[2]string{"Change digest", pending.GetChangeDigest()},
		[2]string{"Requested", terminal.Time(pending.GetRequested())},
		[2]string{"Approve by", terminal.Time(pending.GetApproveBy())},
		[2]string{"Not before", terminal.Time(r.GetNotBefore())},
	)
	p.emergency(r, nil)
	p.prose("Plan", r.GetPlan().GetDescription())
	p.artifacts(pending.GetArtifacts())
	p.targets(pending.GetTargets())
	p.previews(pending.GetPreviews())
	p.gates(pending.GetGates())
	p.rules(pending.GetGates())
	p.findings(pending.GetFindings())
	p.exceptions(pending.GetExceptions())
	p.start(pending.GetHolds(), pending.GetEarliestStart(), "")
	p.risk(r.GetRisk())
	back := r.GetRollbackPlan()
	p.prose("Way back ("+terminal.Word(back.GetStrategy(), "STRATEGY_")+")", back.GetDescription())
	p.prose("Without a way back", back.GetRecovery())
	p.chosen(pending.GetChosen())
	p.criteria(pending)
	p.checks("The way back counts as good when", back.GetChecks())
	p.quorum("Approvals needed", pending.GetQuorum())
	t := terminal.NewTable()
	for _, a := range pending.GetApprovals() {
		t.Add(inPlace(a), strings.Join(a.GetGroups(), ","), terminal.Time(a.GetTime()), "until "+terminal.Time(a.GetExpires()), a.GetSignedBy(), a.GetComment())
	}
	p.table("Approvals given", t, "PERSON", "GROUPS", "GIVEN", "COUNTS", "SIGNED WITH", "COMMENT")
	p.quorum("Approvals missing", pending.GetMissing())
	on := terminal.NewTable()
	for _, o := range pending.GetOnCall() {
		on.Add(o.GetPerson(), o.GetShift().GetGroup(), "until "+terminal.Time(o.GetShift().GetUntil()))
	}
	p.table("On call", on, "PERSON", "GROUP", "UNTIL")
	return p.write(w)
}

// inPlace names who approved, and for whom.
func inPlace(a *approvalv1.GivenApproval) string {
	if a.GetStandInFor() == "" {
		return a.GetPerson()
	}
	return a.GetPerson() + " for " + a.GetStandInFor()
}

func (p *page) risk(r *releasev1.Risk) {
	t := terminal.NewTable()
	t.Add("data", terminal.Word(r.GetData(), "DATA_"))
	if r.GetDataPlan() != "" {
		t.Add("data is changed back", r.GetDataPlan())
	}
	if len(r.GetAreas()) > 0 {
		t.Add("areas", strings.Join(r.GetAreas(), ", "))
	}
	if r.GetDescription() != "" {
		t.Add("declared", r.GetDescription())
	}
	p.table("Risk", t)
}
