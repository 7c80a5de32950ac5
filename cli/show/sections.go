package show

import (
	"fmt"
	"strings"

	"github.com/blackdice/shipwarden/cli/terminal"
	"github.com/blackdice/shipwarden/procedure"
	recorderv1 "github.com/blackdice/shipwarden/proto/shipwarden/recorder/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

func (p *page) steps(all []*recorderv1.Step) {
	t := terminal.NewTable()
	for _, s := range all {
		t.Add(s.GetNumber(), s.GetName(), terminal.Word(s.GetStatus(), "STATUS_"),
			terminal.Time(s.GetStarted()), terminal.Time(s.GetEnded()), s.GetDetail())
	}
	p.table("Steps", t, "STEP", "NAME", "STATUS", "BEGAN", "ENDED", "RESULT")
}

func (p *page) gates(all []*releasev1.GateVerdict) {
	t := terminal.NewTable()
	for _, g := range all {
		t.Add(g.GetGate(), terminal.Word(g.GetStatus(), "STATUS_"), g.GetReason(), g.GetSignedBy(), strings.Join(g.GetEvidence(), " "))
	}
	p.table("Gates", t, "GATE", "STATUS", "REASON", "SIGNED BY", "EVIDENCE")
}

// rules are what each gate demanded: a verdict is worth as much as its rule.
func (p *page) rules(all []*releasev1.GateVerdict) {
	t := terminal.NewTable()
	for _, g := range all {
		if g.GetRule() != "" {
			t.Add(g.GetGate(), g.GetRule())
		}
	}
	p.table("What the gates demand", t)
}

func (p *page) findings(all []*releasev1.Finding) {
	t := terminal.NewTable()
	for _, f := range all {
		t.Add(terminal.Word(f.GetSeverity(), "SEVERITY_"), f.GetRule(), f.GetSubject(), f.GetMessage())
	}
	p.table("Findings", t, "SEVERITY", "RULE", "SUBJECT", "MESSAGE")
}

func (p *page) artifacts(all []*releasev1.PinnedArtifact) {
	t := terminal.NewTable()
	for _, a := range all {
		t.Add(a.GetName(), terminal.Word(a.GetKind(), "ARTIFACT_KIND_"), a.GetLocation(), a.GetDigest(), fmt.Sprintf("%d bytes", a.GetSize()))
	}
	p.table("Artifacts", t, "NAME", "KIND", "LOCATION", "DIGEST", "SIZE")
	for _, a := range all {
		p.plan(a)
	}
}

func (p *page) targets(all []*releasev1.ScopedTarget) {
	t := terminal.NewTable()
	for _, s := range all {
		live := s.GetState().GetDeployed()
		carries := "nothing yet"
		if live != nil {
			carries = fmt.Sprintf("carries %s of %s", live.GetVersion(), live.GetRelease())
		}
		t.Add(fmt.Sprintf("wave %d", s.GetWave()+1), s.GetTarget(), s.GetDriver(), terminal.Word(s.GetRelation(), "RELATION_"), carries)
	}
	p.table("Targets", t, "WAVE", "TARGET", "DRIVER", "CHANGE", "NOW")
}

// previews shows what would change, with the way back, target by target.
func (p *page) previews(all []*releasev1.TargetPreview) {
	if len(all) == 0 {
		return
	}
	p.heading("What would change")
	for _, v := range all {
		p.line("  %s (%s)", terminal.Escape(v.GetTarget()), terminal.Word(v.GetClass(), "DRIVER_CLASS_"))
		for _, line := range terminal.Lines(v.GetSummary()) {
			p.line("    %s", line)
		}
		back := "no way back"
		if v.GetRollbackReady() {
			back = "the way back is ready"
		}
		if v.GetRollbackReason() != "" {
			back += ": " + terminal.Escape(v.GetRollbackReason())
		}
		p.line("    %s", back)
		if r := v.GetRollback(); r != nil {
			p.line("    %s", proof(r))
		}
		if v.GetDiffDigest() != "" {
			p.line("    its own tool says what would change: in full behind the rest, and asked again at the start")
		}
		if d := v.GetDetail(); d != nil {
			p.line("    in full: %s (%s, %d bytes)", terminal.Escape(d.GetDigest()), terminal.Escape(d.GetMediaType()), d.GetSize())
		}
	}
}

// proof says what was tried of the way back of a target.
func proof(r *releasev1.RollbackProof) string {
	run, there := "its dry run failed", "what it places again cannot be had"
	if r.GetPossible() {
		run = "its dry run went through"
	}
	if r.GetObtainable() {
		there = "what it places again is there"
	}
	out := run + "; " + there
	if r.GetFound() != "" {
		out += ": " + terminal.Escape(r.GetFound())
	}
	if !r.GetDemanded() {
		out += " (not demanded)"
	}
	return out
}

// chosen is what the procedure chose: what will run in place of what was asked for, and the lane.
func (p *page) chosen(c *releasev1.Chosen) {
	t := terminal.NewTable()
	if c != nil {
		t.Add(procedure.ChosenWords(c))
	}
	p.table("Chosen by the procedure", t)
}

func (p *page) quorum(heading string, rules []*releasev1.QuorumRule) {
	t := terminal.NewTable()
	for _, q := range rules {
		t.Add(needed(q))
	}
	p.table(heading, t)
}

func (p *page) holds(all []*releasev1.HoldReason) {
	t := terminal.NewTable()
	for _, h := range all {
		until := ""
		if h.GetUntil() != nil {
			until = "until " + terminal.Time(h.GetUntil())
		}
		t.Add(h.GetRule(), h.GetSubject(), until, h.GetSetBy(), h.GetMessage())
	}
	p.table("Waits for", t, "RULE", "SUBJECT", "UNTIL", "SET BY", "MESSAGE")
}

func (p *page) results(all []*releasev1.TargetResult) {
	t := terminal.NewTable()
	for _, r := range all {
		t.Add(r.GetTarget(), terminal.Word(r.GetStatus(), "STATUS_"), r.GetDigest(), r.GetMessage())
	}
	p.table("Results", t, "TARGET", "STATUS", "DIGEST", "MESSAGE")
}

func (p *page) verification(all []*releasev1.Verification) {
	t := terminal.NewTable()
	for _, v := range all {
		of := fmt.Sprintf("wave %d", v.GetWave()+1)
		if v.GetRollback() {
			of = "way back"
		}
		for _, r := range v.GetResults() {
			samples, why := fmt.Sprintf("%d of %d samples passed", r.GetPassed(), r.GetSamples()), r.GetReason()
			if why == samples {
				why = ""
			}
			t.Add(of, r.GetTarget(), r.GetCheck(), terminal.Word(r.GetVerdict(), "VERDICT_"), samples, why)
		}
	}
	p.table("Checks", t, "OF", "TARGET", "CHECK", "VERDICT", "SAMPLES", "REASON")
}

// laterLooks are the looks at the release after it was verified.
func (p *page) laterLooks(l *recorderv1.LaterLooks) {
	if l == nil {
		return
	}
	t := terminal.NewTable()
	t.Add("looks", fmt.Sprintf("%d, the newest ended %s", l.GetLooks(), terminal.Time(l.GetNewest())))
	if n := l.GetUnseen(); n > 0 {
		t.Add("no verdict", fmt.Sprintf("the newest %d", n))
	}
	if failed := l.GetFailed(); failed != nil {
		t.Add("verified no more", fmt.Sprintf("since %s, look %d: %s", terminal.Time(l.GetRevoked()), failed.GetNumber(), failed.GetReason()))
		for _, r := range failed.GetResults() {
			t.Add("seen", fmt.Sprintf("%s on %s: %s, %s", r.GetCheck(), r.GetTarget(), terminal.Word(r.GetVerdict(), "VERDICT_"), r.GetReason()))
		}
		t.Add("samples", failed.GetSamples().GetDigest())
	}
	p.table("Looked at again", t)
}

func (p *page) calls(all []call) {
	t := terminal.NewTable()
	for _, c := range all {
		taken := "open, acknowledge by " + terminal.Time(c.escalated.GetAcknowledgeBy())
		if c.taken != "" {
			taken = "taken on by " + c.taken
		}
		t.Add(terminal.Word(c.escalated.GetCause(), "CAUSE_"), fmt.Sprintf("rung %d", c.escalated.GetRung()),
			terminal.Time(c.at.GetStored()), strings.Join(c.escalated.GetTo(), ","), taken, c.escalated.GetIncident())
	}
	p.table("Escalations", t, "CAUSE", "RUNG", "CALLED", "WHOM", "STATE", "INCIDENT")
}

func (p *page) review(v *releasev1.ReviewCompleted, by string) {
	if v == nil {
		return
	}
	t := terminal.NewTable()
	t.Add("result", terminal.Word(v.GetResult(), "RESULT_"), "by "+by)
	t.Add("residual risk", v.GetResidualRisk())
	p.table("Review", t)
}

// followUps are those of the release; of one that was last recorded before they had
// numbers, those of its review.
func followUps(r *recorderv1.Release, v *releasev1.ReviewCompleted) []*recorderv1.FollowUpAction {
	all := r.GetFollowUps()
	if len(all) > 0 {
		return all
	}
	for i, f := range v.GetFollowUps() {
		all = append(all, &recorderv1.FollowUpAction{Number: uint32(i) + 1, FollowUp: f})
	}
	return all
}

// followUps is what is to be done afterwards, done or not.
func (p *page) followUps(all []*recorderv1.FollowUpAction) {
	t := terminal.NewTable()
	for _, f := range all {
		state := "open, due " + terminal.Time(f.GetFollowUp().GetDue())
		if f.GetClosedBy() != "" {
			state = "closed by " + f.GetClosedBy() + " " + terminal.Time(f.GetClosed())
		}
		t.Add(fmt.Sprint(f.GetNumber()), f.GetFollowUp().GetAction(), f.GetFollowUp().GetOwner(), state, f.GetComment())
	}
	p.table("Follow-up actions", t)
}

// rollbacks are the ways back of a release, each of which can be asked for by its id.
func (p *page) rollbacks(all []*recorderv1.Rollback) {
	t := terminal.NewTable()
	for _, b := range all {
		by := b.GetOrderedBy()
		if by == "" {
			by = "the procedure"
		}
		t.Add(b.GetRollback(), terminal.Time(b.GetOrdered()), by, b.GetPhase(), terminal.Word(b.GetOutcome(), "OUTCOME_"),
			strings.Join(b.GetTargets(), " "), b.GetRecordDigest())
	}
	p.table("Ways back", t, "ID", "ORDERED", "BY", "PHASE", "OUTCOME", "TARGETS", "RECORD")
}

// waysBack are the releases that take this one back.
func (p *page) waysBack(all []*recorderv1.WayBack) {
	t := terminal.NewTable()
	for _, b := range all {
		t.Add(b.GetRelease(), terminal.Time(b.GetRequested()), b.GetPhase(), terminal.Word(b.GetOutcome(), "OUTCOME_"))
	}
	p.table("Taken back by", t)
}
