package document

import (
	"fmt"
	"slices"
	"strings"

	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// gates is step 1: each required gate with its verdict and the proof that decided.
func (w *writer) gates(r *Record) {
	var verdicts []*releasev1.GateVerdict
	for _, e := range r.events {
		switch d := e.Entry.Event.GetData().(type) {
		case *releasev1.Event_GatesConfirmed:
			verdicts = d.GatesConfirmed.GetVerdicts()
		case *releasev1.Event_GatesRefused:
			verdicts = d.GatesRefused.GetVerdicts()
		}
	}
	var waited [][]string
	for _, e := range r.events {
		if held := e.Entry.Event.GetGatesHeld(); held != nil {
			waited = append(waited, w.reasons(e.Entry.Sequence, stamp(e.Entry.Stored), held)...)
		}
	}
	if verdicts == nil && waited == nil {
		return
	}
	w.section("Step 1: gates")
	w.waited(waited)
	took := map[string]int64{}
	for _, wait := range r.waits() {
		took[wait.Gate] = wait.Time
	}
	var rows [][]string
	for _, v := range verdicts {
		name := "gate " + v.GetGate()
		var proof []string
		for _, e := range v.GetEvidence() {
			said := w.digest(e, "proof for "+name)
			if slices.Contains(v.GetOlder(), e) {
				said += " (in-toto Statement v0.1)"
			}
			proof = append(proof, said)
		}
		rows = append(rows, []string{
			escape(v.GetGate()), word(v.GetStatus(), "STATUS_"), w.said(v.GetReason(), "named at "+name), w.said(v.GetRule(), "named at "+name),
			strings.Join(proof, ", "), code(v.GetSignedBy()), series(v.GetAuthors()), millis(took[v.GetGate()]),
		})
	}
	w.table([]string{"Gate", "Verdict", "Why", "Rule", "Proof", "Signed with", "Authors named in it", "Waited for"}, rows)
	w.beside(r)
}

// beside is what registries had beside images, and what could not be taken in.
func (w *writer) beside(r *Record) {
	var rows [][]string
	for _, e := range r.events {
		d, refused := e.Entry.Event.GetGatesConfirmed(), e.Entry.Event.GetGatesRefused()
		for _, ref := range append(d.GetFound(), refused.GetFound()...) {
			rows = append(rows, []string{escape(ref.GetName()), w.evidence(ref, ref.GetName())})
		}
		for _, u := range append(d.GetUnseen(), refused.GetUnseen()...) {
			rows = append(rows, []string{"not taken in: about " + escape(u.GetArtifact()), escape(u.GetReason())})
		}
	}
	if len(rows) > 0 {
		w.table([]string{"Found in a registry", "Proof"}, rows)
	}
}

// scope is step 2: what is released and where to, and what ran there before.
func (w *writer) scope(r *Record) {
	var findings []*releasev1.Finding
	var reached bool
	for _, e := range r.events {
		switch d := e.Entry.Event.GetData().(type) {
		case *releasev1.Event_ScopeValidated:
			findings, reached = append(findings, d.ScopeValidated.GetFindings()...), true
		case *releasev1.Event_ScopeRefused:
			findings, reached = append(findings, d.ScopeRefused.GetFindings()...), true
		}
	}
	if !reached {
		return
	}
	w.section("Step 2: scope")
	var artifacts, targets [][]string
	for _, a := range r.state.Artifacts {
		artifacts = append(artifacts, []string{
			escape(a.GetName()), word(a.GetKind(), "ARTIFACT_KIND_"), code(a.GetLocation()), w.artifact(a), size(a.GetSize()), escape(a.GetMediaType()),
		})
	}
	for _, t := range r.state.Targets {
		var back []string
		previous := none
		if p := t.GetState().GetPrevious(); p != nil {
			previous = w.deployment(p)
		}
		for _, d := range t.GetState().GetRolledBack() {
			back = append(back, w.deployment(d))
		}
		targets = append(targets, []string{
			escape(t.GetTarget()), fmt.Sprint(t.GetWave() + 1), escape(t.GetDriver()), w.deployment(t.GetState().GetDeployed()),
			word(t.GetRelation(), "RELATION_"), previous, strings.Join(back, "; "),
		})
	}
	w.table([]string{"Artifact", "Kind", "Location", "Digest", "Size", "Media type"}, artifacts)
	for _, a := range r.state.Artifacts {
		w.planChanges(a)
	}
	w.table([]string{"Target", "Wave", "Driver", "Carried", "This release is", "Carried before that", "Was rolled back from it"}, targets)
	for _, e := range from[*releasev1.Event_ScopeValidated](r) {
		if b := e.data.ScopeValidated.GetBypassed(); len(b) > 0 {
			w.paragraph(sentence("Bypassed at this step: " + and(escaped(b))))
		}
	}
	w.findings(findings)
}

func (w *writer) artifact(a *releasev1.PinnedArtifact) string {
	return w.evidence(&releasev1.EvidenceRef{Digest: a.GetDigest(), Size: a.GetSize(), MediaType: a.GetMediaType()}, "artifact "+a.GetName())
}

// deployment is what a target carries in words.
func (w *writer) deployment(d *releasev1.Deployment) string {
	if d == nil {
		return "nothing"
	}
	return fmt.Sprintf("version %s (release %s, %s)", escape(d.GetVersion()), code(d.GetRelease()),
		w.digest(d.GetDigest(), "artifact of version "+d.GetVersion()+", carried before"))
}

// risk is step 3: what would change, whether there is a way back, what was found,
// and what it waited for.
func (w *writer) risk(r *Record) {
	var findings []*releasev1.Finding
	var reached bool
	for _, e := range r.events {
		switch d := e.Entry.Event.GetData().(type) {
		case *releasev1.Event_PreviewRefused:
			findings, reached = append(findings, d.PreviewRefused.GetFindings()...), true
		case *releasev1.Event_RiskCleared:
			findings, reached = append(findings, d.RiskCleared.GetFindings()...), true
		case *releasev1.Event_RiskRefused:
			findings, reached = append(findings, d.RiskRefused.GetFindings()...), true
		case *releasev1.Event_ChangePreviewed:
			findings, reached = d.ChangePreviewed.GetFindings(), true // those of an earlier look are no longer true
		case *releasev1.Event_Held:
			reached = true
		}
	}
	if !reached {
		return
	}
	w.section("Step 3: risk")
	var rows [][]string
	for _, p := range r.state.Previews {
		what := "preview of " + p.GetTarget()
		back := because(answer(p.GetRollbackReady()), w.said(p.GetRollbackReason(), "named in the "+what))
		if p.GetRollbackDigest() != "" {
			back += ", to " + w.digest(p.GetRollbackDigest(), "what "+p.GetTarget()+" would go back to")
		}
		if t := p.GetRollback(); t != nil {
			back += "; " + w.tried(t, what)
		}
		seen := w.evidence(p.GetDetail(), what)
		if p.GetDiffDigest() != "" {
			seen += "; what its own tool printed, at the end of it, is " + w.digest(p.GetDiffDigest(), "what the tool of "+p.GetTarget()+" printed")
		}
		rows = append(rows, []string{
			escape(p.GetTarget()), w.said(p.GetSummary(), "named in the "+what), back, word(p.GetClass(), "DRIVER_CLASS_"), seen,
		})
	}
	w.table([]string{"Target", "What changes", "Way back", "Driver's class", "Preview"}, rows)
	w.findings(findings)
	w.waits(from[*releasev1.Event_Held](r))
	w.freed(r, false)
	for _, e := range from[*releasev1.Event_RiskCleared](r) {
		if c := e.data.RiskCleared.GetChosen(); c != nil {
			w.paragraph(sentence("Chosen by the procedure: " + procedure.ChosenWords(c)))
		}
		if len(e.data.RiskCleared.GetBypassed()) > 0 {
			w.paragraph(sentence("Bypassed at this step: " + and(escaped(e.data.RiskCleared.GetBypassed()))))
		}
		if d := e.data.RiskCleared.GetCalendarDigest(); d != "" {
			w.paragraph(sentence("Freezes, debts and incidents were judged as of " + w.digest(d, fmt.Sprintf("calendar, event %d", e.Entry.Sequence))))
		}
		if d := e.data.RiskCleared.GetZoneData(); d != "" {
			w.paragraph(sentence("Wall clocks were those of " + escape(d)))
		}
	}
}

func (w *writer) findings(all []*releasev1.Finding) {
	var rows [][]string
	for _, f := range all {
		rows = append(rows, []string{
			code(f.GetRule()), word(f.GetSeverity(), "SEVERITY_"), escape(f.GetSubject()), w.said(f.GetMessage(), "named in finding "+f.GetRule()),
		})
	}
	w.table([]string{"Rule", "Severity", "About", "Found"}, rows)
}

// waits are what the release waited for.
func (w *writer) waits(all []told[*releasev1.Event_Held]) {
	var rows [][]string
	for _, e := range all {
		rows = append(rows, w.reasons(e.Entry.Sequence, stamp(e.Entry.Stored), e.data.Held)...)
	}
	w.waited(rows)
}

func (w *writer) waited(rows [][]string) {
	w.table([]string{"Event", "Held", "Because of", "Which", "Set by", "Why", "Until"}, rows)
}

func (w *writer) reasons(sequence uint64, since string, held *releasev1.Held) [][]string {
	var rows [][]string
	for _, h := range held.GetReasons() {
		until := at(h.GetUntil())
		switch {
		case h.GetRule() == procedure.HoldPaused:
			until = "it is resumed"
		case h.GetUntil() == nil:
			until = "looked at again " + at(held.GetUntil())
		}
		rows = append(rows, []string{
			fmt.Sprint(sequence), since, code(h.GetRule()), escape(h.GetSubject()), escape(h.GetSetBy()), w.said(h.GetMessage(), "named in a hold"), until,
		})
	}
	return rows
}
