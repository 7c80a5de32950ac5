package document

import (
	"fmt"
	"slices"
	"time"

	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/recorder/view"
)

// sane keeps a time within what JSON can say.
func sane(t time.Time) time.Time {
	if y := t.Year(); y < 1 || y > 9999 {
		return time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
	}
	return t
}

func (b *builder) approve(r view.Recorded, d *releasev1.ApprovalGiven) {
	actor := r.Entry.Event.GetActor()
	b.record.Approvals = append(b.record.Approvals, Approval{
		Person: actor.GetId(), Groups: actor.GetGroups(), Method: actor.GetMethod(), Time: r.Entry.Stored,
		Expires: sane(d.GetExpires().AsTime()), ChangeDigest: d.GetChangeDigest(), ShownDigest: d.GetShownDigest(),
		Comment: d.GetComment(), SignedBy: r.SignedBy, Consent: b.consent(actor.GetId(), d),
		StandInFor: d.GetStandIn().GetPerson(), StandInGroups: d.GetStandIn().GetGroups(),
		OnCall: append(shifts(actor.GetOnCall()), shifts(d.GetStandIn().GetOnCall())...),
	})
}

func shifts(all []*releasev1.Shift) []Shift {
	var out []Shift
	for _, s := range all {
		out = append(out, Shift{
			Group: s.GetGroup(), Rota: s.GetRota(), Number: s.GetNumber(), Override: s.GetOverride(),
			From: sane(s.GetFrom().AsTime()), Until: sane(s.GetUntil().AsTime()),
		})
	}
	return out
}

// consent is the text that a person signed, made again from the release as the fold had
// it then, and the signature.
func (b *builder) consent(person string, d *releasev1.ApprovalGiven) *Consent {
	if d.GetSignature() == nil {
		return nil
	}
	text, err := procedure.ApprovalText(b.timeline.State(), procedure.Approval{
		Person: person, Comment: d.GetComment(), ShownDigest: d.GetShownDigest(), Signature: d.GetSignature(), StandIn: d.GetStandIn(),
	})
	if err != nil {
		return nil // the fold takes no such approval
	}
	if signed := d.GetSignature(); signed.GetBundle() != "" {
		return &Consent{Text: string(text), Bundle: signed.GetBundle(), Issuer: signed.GetIdentity().GetIssuer(), Subject: signed.GetIdentity().GetSubject()}
	}
	return &Consent{Namespace: procedure.SignatureNamespace, Text: string(text), Signature: d.GetSignature().GetArmored()}
}

// newest is the newest approval of a person that was not taken back; nil for none.
func (b *builder) newest(person string) *Approval {
	for i := len(b.record.Approvals) - 1; i >= 0; i-- {
		if a := &b.record.Approvals[i]; a.Person == person && a.WithdrawnAt == nil {
			return a
		}
	}
	return nil
}

func (b *builder) withdraw(r view.Recorded) {
	if a := b.newest(r.Entry.Event.GetActor().GetId()); a != nil {
		at := r.Entry.Stored
		a.WithdrawnAt = &at
	}
}

func (b *builder) count(counted []*releasev1.CountedApproval) {
	for _, c := range counted {
		if a := b.newest(c.GetPerson()); a != nil {
			a.CountedFor = c.GetGroup()
		}
	}
}

// outcome fills in how the release ended, as the fold has it.
func (b *builder) outcome() {
	s := b.timeline.State()
	if s.Outcome == releasev1.Outcome_OUTCOME_UNSPECIFIED || b.record.Outcome != nil {
		return
	}
	b.record.Outcome = &Outcome{
		Outcome: view.OutcomeWord(s.Outcome), Reason: s.EndReason, EndedBy: s.EndedBy, EndedAt: b.timeline.Ended(),
	}
}

func (b *builder) finish() {
	s, d := b.timeline.State(), b.record
	b.outcome()
	d.state, d.steps = s, b.timeline.Steps()
	d.Phase, d.ProcedureDigest, d.Bypassed = s.Phase.String(), s.ProcedureDigest, append(d.Bypassed, s.Bypassed...)
	for _, p := range b.timeline.Parts() {
		if p.Refused {
			d.named = append(d.named, p.Person)
			continue
		}
		d.People = append(d.People, Person{Person: p.Person, Part: p.Part})
	}
	b.timings(s)
	b.deviations(s)
}

func (b *builder) timings(s procedure.State) {
	t := &b.record.Timings
	end := b.timeline.Ended()
	if end.IsZero() {
		end = b.timeline.Updated()
	}
	total := map[procedure.Phase]time.Duration{}
	var order []procedure.Phase
	for _, span := range b.timeline.Spans() {
		if !slices.Contains(order, span.Phase) {
			order = append(order, span.Phase)
		}
		if span.Phase == procedure.PhaseExecuting && t.Lead == 0 {
			t.Lead = span.From.Sub(s.RequestedAt).Milliseconds()
		}
		if !span.To.IsZero() {
			total[span.Phase] += span.To.Sub(span.From)
		}
	}
	for _, p := range order {
		if p != procedure.PhaseClosed {
			t.Phases = append(t.Phases, PhaseTime{Phase: p.String(), Time: total[p].Milliseconds()})
		}
	}
	t.Execute = total[procedure.PhaseExecuting].Milliseconds()
	t.Bake = total[procedure.PhaseVerify].Milliseconds()
	t.Remedy = (total[procedure.PhaseRemedy] + total[procedure.PhaseRollingBack] + total[procedure.PhaseVerifyRollback]).Milliseconds()
	waves := int64(len(s.Request.GetPlan().GetWaves()))
	t.PlannedBake = waves * s.Request.GetValidation().GetBake().AsDuration().Milliseconds()
	if !s.RequestedAt.IsZero() {
		t.Total = end.Sub(s.RequestedAt).Milliseconds()
	}
}

// owed begins the deviation of a review that is not done; for reading it stands
// under what is open.
const owed = "a retrospective review is owed until"

// deviations lists, in sentences, what did not go by the plain procedure.
func (b *builder) deviations(s procedure.State) {
	say := func(format string, args ...any) {
		b.record.Deviations = append(b.record.Deviations, fmt.Sprintf(format, args...))
	}
	if s.Emergency() {
		say("emergency lane: %s (incident %s)", s.Request.GetEmergency().GetReason(), s.Request.GetEmergency().GetIncident())
	}
	for _, v := range s.Gates {
		for _, w := range v.GetWaivers() {
			say("gate %s: waived for %s by %s until %s: %s", v.GetGate(), w.GetArtifact(), w.GetOwner(),
				w.GetExpires().AsTime().UTC().Format(time.RFC3339), w.GetReason())
		}
	}
	for _, t := range s.Targets {
		if t.GetRelation() == releasev1.ScopedTarget_RELATION_REUSED {
			say("target %s: it carried another artifact under this version", t.GetTarget())
		}
		if t.GetRelation() == releasev1.ScopedTarget_RELATION_DOWNGRADE || t.GetRelation() == releasev1.ScopedTarget_RELATION_SAME {
			say("target %s: the version is a %s of what it carried", t.GetTarget(), view.Word(t.GetRelation(), "RELATION_"))
		}
	}
	for _, f := range s.Findings {
		if f.GetSeverity() == releasev1.Finding_SEVERITY_WARNING {
			say("%s %s: %s", f.GetRule(), f.GetSubject(), f.GetMessage())
		}
	}
	for _, line := range b.record.Timeline {
		switch line.Type {
		case "deadline_passed", "execution_failed", "execution_unknown", "execution_refused", "verification_failed",
			"verification_inconclusive", "rollback_failed", "rollback_unavailable", "intervened", "aborted", "approval_withdrawn",
			"freeze_overridden", "execution_overrun", "paused", "resumed":
			say("%s", line.Text)
		}
	}
	for _, u := range s.Unkept {
		say("not kept as evidence: %s (%s), %s", u.GetName(), u.GetDigest(), u.GetReason())
	}
	if s.ReviewOwed() {
		say("%s %s", owed, s.ReviewDue.UTC().Format(time.RFC3339))
	}
	if n := len(b.record.Rejected); n > 0 {
		say("%d messages on the bus do not count", n)
	}
}
