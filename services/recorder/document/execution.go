package document

import (
	"fmt"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// execution is step 5: who took which targets, and what became of each of them.
func (w *writer) execution(r *Record) {
	var claims, held, results [][]string
	for _, e := range r.events {
		number, when := fmt.Sprint(e.Entry.Sequence), stamp(e.Entry.Stored)
		switch d := e.Entry.Event.GetData().(type) {
		case *releasev1.Event_Held, *releasev1.Event_RollbackClaimed:
		case *releasev1.Event_StartHeld:
			held = append(held, w.reasons(e.Entry.Sequence, when, d.StartHeld)...)
		case *releasev1.Event_ExecutionClaimed:
			c := d.ExecutionClaimed
			claims = append(claims, []string{
				number, when, fmt.Sprint(c.GetWave() + 1), fmt.Sprint(c.GetAttempt()), series(c.GetTargets()), code(c.GetClaimer()),
				w.digest(c.GetChangeDigest(), "change that was executed"), at(c.GetDeadline()),
			})
		case *releasev1.Event_ExecutionFinished:
			results = append(results, w.results(r, number, fmt.Sprint(d.ExecutionFinished.GetWave()+1), d.ExecutionFinished.GetResults())...)
		case *releasev1.Event_ExecutionFailed:
			results = append(results, w.results(r, number, fmt.Sprint(d.ExecutionFailed.GetWave()+1), d.ExecutionFailed.GetResults())...)
		case *releasev1.Event_ExecutionUnknown:
			if !d.ExecutionUnknown.GetRollback() {
				results = append(results, w.results(r, number, fmt.Sprint(d.ExecutionUnknown.GetWave()+1), d.ExecutionUnknown.GetResults())...)
			}
		}
	}
	refused := from[*releasev1.Event_ExecutionRefused](r)
	if len(claims)+len(held)+len(refused) == 0 {
		return
	}
	w.section("Step 5: execution")
	w.waited(held)
	w.freed(r, true)
	w.table([]string{"Event", "Claimed", "Wave", "Attempt", "Targets", "Executor", "Change", "To be done by"}, claims)
	for _, e := range from[*releasev1.Event_ExecutionClaimed](r) {
		if b := e.data.ExecutionClaimed.GetBypassed(); len(b) > 0 {
			w.paragraph(sentence(fmt.Sprintf("Bypassed at this start (event %d): ", e.Entry.Sequence) + and(escaped(b))))
		}
		if f := e.data.ExecutionClaimed.GetFindings(); len(f) > 0 {
			w.paragraph(fmt.Sprintf("Called out at this start (event %d), which did not wait for it:", e.Entry.Sequence))
			w.findings(f)
		}
	}
	w.records(r)
	w.alarms(r)
	w.triedAgain(r)
	w.table(resultHead, results)
	for _, e := range refused {
		w.paragraph(fmt.Sprintf("The executor refused to start at %s (event %d):", stamp(e.Entry.Stored), e.Entry.Sequence))
		w.findings(e.data.ExecutionRefused.GetFindings())
	}
	w.released(r)
}

var resultHead = []string{"Event", "Wave", "Target", "Result", "Carries", "Fence", "Began", "Took", "The driver says", "Output"}

// results are what became of targets.
func (w *writer) results(r *Record, number, wave string, all []*releasev1.TargetResult) [][]string {
	var rows [][]string
	for _, t := range all {
		fence, took := none, none
		if t.GetFence() > 0 {
			fence = fmt.Sprint(t.GetFence())
		}
		if t.GetStarted() != nil && t.GetEnded() != nil {
			took = span(t.GetEnded().AsTime().Sub(t.GetStarted().AsTime()))
		}
		rows = append(rows, []string{
			number, wave, escape(t.GetTarget()), word(t.GetStatus(), "STATUS_"), w.carries(r, t), fence, at(t.GetStarted()), took,
			w.said(t.GetMessage(), "named in the result of "+t.GetTarget()), w.evidence(t.GetOutput(), "output of "+t.GetTarget()+", event "+number),
		})
	}
	return rows
}

// carries says in words what a target carries: what this release placed, what was
// there before it, or something else.
func (w *writer) carries(r *Record, t *releasev1.TargetResult) string {
	d := t.GetDigest()
	if d == "" {
		return none
	}
	if d == r.state.PrimaryArtifact().GetDigest() {
		return fmt.Sprintf("version %s (%s)", escape(r.Version), w.digest(d, "artifact of this release"))
	}
	if before := r.state.Scoped(t.GetTarget()).GetState().GetDeployed(); before.GetDigest() == d {
		return w.deployment(before)
	}
	return w.digest(d, "found on "+t.GetTarget())
}

// released is what the targets carry at the end.
func (w *writer) released(r *Record) {
	var rows [][]string
	for _, e := range from[*releasev1.Event_TargetsReleased](r) {
		for _, t := range e.data.TargetsReleased.GetResults() {
			rows = append(rows, []string{
				fmt.Sprint(e.Entry.Sequence), stamp(e.Entry.Stored), escape(t.GetTarget()), w.carries(r, t), word(t.GetStatus(), "STATUS_"),
				w.said(t.GetMessage(), "named in the result of "+t.GetTarget()),
			})
		}
	}
	if len(rows) == 0 {
		return
	}
	w.part("What the targets carry now")
	w.table([]string{"Event", "Let go", "Target", "Carries", "Last result", "The driver says"}, rows)
}

// verification is step 6, wave by wave.
func (w *writer) verification(r *Record) {
	all := verifications(r, false)
	if len(all) == 0 {
		return
	}
	w.section("Step 6: validation")
	w.validations(all)
}

// laterLooks writes what was seen of the release after it was verified, a line for each look, and
// the results of the one by which it is verified no more.
func (w *writer) laterLooks(r *Record) {
	var rows [][]string
	for _, e := range r.events {
		l, how := e.Entry.Event.GetVerificationRevoked().GetLook(), "verified no more"
		if d := e.Entry.Event.GetReverified(); d != nil {
			l, how = d.GetLook(), map[bool]string{false: "passed", true: "no verdict"}[d.GetInconclusive()]
		}
		if l == nil {
			continue
		}
		rows = append(rows, []string{
			fmt.Sprint(e.Entry.Sequence), fmt.Sprint(l.GetNumber()), at(l.GetDue()), at(l.GetStarted()), series(l.GetTargets()), how,
			w.said(l.GetReason(), "named in a verdict"), w.evidence(l.GetSamples(), fmt.Sprintf("samples, event %d", e.Entry.Sequence)),
		})
	}
	if len(rows) == 0 {
		return
	}
	w.section("Looked at again")
	w.table([]string{"Event", "Look", "Due", "Begun", "Targets", "Verdict", "Why", "Samples"}, rows)
	if failed := r.state.Later.Revoked; failed != nil {
		w.part(fmt.Sprintf("Look %d", failed.GetNumber()))
		w.table([]string{"Target", "Check", "Verdict", "Samples", "Passed", "Failed", "Not taken", "Why"}, w.checks(failed.GetResults()))
		if more := failed.GetMore(); more > 0 {
			w.paragraph(fmt.Sprintf("%d more results are in the samples.", more))
		}
	}
}

// checked is a verification with how it ended.
type checked struct {
	*releasev1.Verification
	sequence uint64
	how      string
}

// verifications are those of the waves, or those of the way back.
func verifications(r *Record, back bool) []checked {
	var all []checked
	for _, e := range r.events {
		var v *releasev1.Verification
		var how string
		switch d := e.Entry.Event.GetData().(type) {
		case *releasev1.Event_VerificationPassed:
			v, how = d.VerificationPassed.GetVerification(), "passed"
		case *releasev1.Event_VerificationFailed:
			v, how = d.VerificationFailed.GetVerification(), "failed"
		case *releasev1.Event_VerificationInconclusive:
			v, how = d.VerificationInconclusive.GetVerification(), "no verdict"
			if d.VerificationInconclusive.GetCountsAsFailure() {
				how += ", which counts as failed"
			}
		default:
			continue
		}
		if v.GetRollback() == back {
			all = append(all, checked{v, e.Entry.Sequence, how})
		}
	}
	return all
}

// validations writes a part for each verification: what was looked at on which
// target, how often, and what that amounts to.
func (w *writer) validations(all []checked) {
	for _, v := range all {
		what := fmt.Sprintf("Wave %d", v.GetWave()+1)
		if v.GetRollback() {
			what = "Way back"
		}
		w.part(what + ": " + v.how)
		out := fmt.Sprintf("Event %d", v.sequence)
		if v.GetStarted() != nil && v.GetEnded() != nil {
			out += fmt.Sprintf(", from %s, for %s", at(v.GetStarted()), span(v.GetEnded().AsTime().Sub(v.GetStarted().AsTime())))
		}
		out = sentence(because(out, w.said(v.GetReason(), "named in a verdict")))
		if v.GetSamples() != nil {
			out += " All samples: " + w.evidence(v.GetSamples(), fmt.Sprintf("samples, event %d", v.sequence)) + "."
		}
		if v.GetChart() != nil {
			out += " What was compared: " + w.evidence(v.GetChart(), fmt.Sprintf("chart, event %d", v.sequence)) + "."
		}
		w.paragraph(out)
		w.table([]string{"Target", "Check", "Verdict", "Samples", "Passed", "Failed", "Not taken", "Why"}, w.checks(v.GetResults()))
		w.untouched(v)
	}
}
