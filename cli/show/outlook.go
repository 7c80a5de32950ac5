package show

import (
	"fmt"
	"io"
	"strings"

	"github.com/blackdice/shipwarden/cli/terminal"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// Outlook writes what stands between a release and production.
func Outlook(w io.Writer, e *approvalv1.ExplainResponse) error {
	p := &page{}
	p.fields(
		[2]string{"Release", e.GetRelease()},
		[2]string{"Phase", e.GetPhase()},
		[2]string{"As of", fmt.Sprintf("%s, event %d", terminal.Time(e.GetTime()), e.GetAsOfSequence())},
	)
	if e.GetOutcome() != releasev1.Outcome_OUTCOME_UNSPECIFIED {
		p.fields([2]string{"Outcome", terminal.Word(e.GetOutcome(), "OUTCOME_")}, [2]string{"Reason", e.GetReason()})
	}
	p.outlook(e.GetOutlook())
	return p.write(w)
}

// WhatIf writes what would come of a request.
func WhatIf(w io.Writer, r *approvalv1.WhatIfResponse) error {
	p := &page{}
	p.fields(
		[2]string{"Release", r.GetRelease() + " (nothing was sent)"},
		[2]string{"Procedure", strings.TrimSpace(r.GetProcedureVersion() + " " + r.GetProcedureDigest())},
	)
	if len(r.GetViolations()) > 0 {
		t := terminal.NewTable()
		for _, v := range r.GetViolations() {
			t.Add(v.GetField(), v.GetRule(), v.GetMessage())
		}
		p.table("It would be refused", t, "FIELD", "RULE", "MESSAGE")
	}
	p.outlook(r.GetOutlook())
	p.gates(r.GetGates())
	p.findings(r.GetFindings())
	p.quorum("Approvals needed", r.GetQuorum())
	return p.write(w)
}

// Differences writes how releases would have been answered under another document.
func Differences(w io.Writer, all []*approvalv1.Difference) error {
	t := terminal.NewTable("RELEASE", "STEP", "EVENT", "BEFORE", "AFTER")
	for _, d := range all {
		for _, a := range d.GetAnswers() {
			t.Add(d.GetRelease(), a.GetStep(), fmt.Sprintf("%d %s", a.GetSequence(), a.GetEvent()), a.GetBefore(), a.GetAfter())
		}
	}
	return t.Write(w)
}

func (p *page) outlook(o *approvalv1.Outlook) {
	t := terminal.NewTable()
	for _, s := range o.GetSteps() {
		t.Add(s.GetNumber(), s.GetName(), terminal.Word(s.GetStanding(), "STANDING_"), terminal.Time(s.GetUntil()),
			strings.Join(s.GetWho(), ","), strings.Join(s.GetWaitsFor(), "; "))
	}
	p.table("Steps", t, "STEP", "NAME", "STANDING", "UNTIL", "WHO", "WAITS FOR")
	p.score(o.GetScore())
	p.start(o.GetHolds(), o.GetEarliestStart(), o.GetZoneData())
}

// score says what each fact of a release weighs, and which level the sum reaches.
func (p *page) score(s *releasev1.RiskScore) {
	if s == nil {
		return
	}
	t := terminal.NewTable()
	for _, in := range s.GetInputs() {
		t.Add(in.GetFact(), fmt.Sprint(in.GetCount()), fmt.Sprint(in.GetPoints()))
	}
	t.Add("together", "", fmt.Sprint(s.GetScore()))
	level := "below every level"
	if s.GetLevel() > 0 {
		level = fmt.Sprintf("level %d", s.GetLevel())
	}
	p.table("Risk, "+level, t, "FACT", "COUNT", "POINTS")
}
