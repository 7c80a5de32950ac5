package document

import (
	"fmt"
	"strings"

	recorderv1 "github.com/blackdice/shipwarden/proto/shipwarden/recorder/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/recorder/view"
)

// incident is the incident record that step 7 asks for: why and when it was opened,
// what it touched, who was called and took it on, who was told, and how it was closed.
func (w *writer) incident(r *Record) {
	i := view.IncidentOf(r.Release, r.events)
	if i == nil {
		return
	}
	title := "Incident"
	if i.GetIncident() != "" {
		title += " " + escape(i.GetIncident())
	}
	w.section(title)
	touched := i.GetImpact()
	w.facts([][2]string{
		{"Opened", fmt.Sprintf("%s (event %d)", at(i.GetOpened()), i.GetOpenedByEvent())},
		{"Because of", causeWords(i.GetCause())},
		{"What had happened", w.said(i.GetReason(), "named in the incident")},
		{"Answers", escape(i.GetAnswers())},
		{"Touched", fmt.Sprintf("%s %s in %s", escape(touched.GetService()), escape(touched.GetVersion()), escape(touched.GetEnvironment()))},
		{"Targets", series(touched.GetTargets())},
		{"What was said to be risky", escape(touched.GetRisk())},
		{"Areas", series(touched.GetAreas())},
		{"Closed", closedWords(i.GetClosing())},
	})
	var seen [][]string
	for _, x := range touched.GetReported() {
		seen = append(seen, []string{fmt.Sprint(x.GetSequence()), at(x.GetTime()), escape(x.GetBy()), w.said(x.GetDescription(), "named in the impact"), series(x.GetCustomers())})
	}
	if len(seen) > 0 {
		w.part("What people saw")
		w.table([]string{"Event", "When", "Who", "What", "Customers"}, seen)
	}
	w.escalations(i)
	w.told(i)
	var proof [][]string
	for _, ref := range i.GetEvidence() {
		proof = append(proof, []string{escape(ref.GetName()), w.evidence(ref, ref.GetName()), escape(ref.GetMediaType())})
	}
	if len(proof) > 0 {
		w.part("Evidence of the incident")
		w.table([]string{"What", "Digest", "Media type"}, proof)
	}
	var course [][]string
	for _, e := range i.GetTimeline() {
		course = append(course, []string{
			fmt.Sprint(e.GetSequence()), at(e.GetTime()), strings.ReplaceAll(e.GetType(), "_", " "),
			w.said(e.GetText(), "named in the incident"), escape(e.GetBy()),
		})
	}
	w.part("Course of the incident")
	w.table([]string{"Event", "When", "What", "What it says", "Who"}, course)
}

func (w *writer) escalations(i *recorderv1.Incident) {
	var rows [][]string
	for _, e := range i.GetEscalations() {
		var calls []string
		for _, c := range e.GetCalls() {
			calls = append(calls, fmt.Sprintf("rung %d at %s (event %d): %s", c.GetRung(), at(c.GetTime()), c.GetSequence(), series(c.GetTo())))
		}
		taken := "nobody yet"
		if e.GetTakenOnBy() != "" {
			taken = escape(e.GetTakenOnBy())
		}
		called := "nobody"
		if len(calls) > 0 {
			called = strings.Join(calls, "; ")
		}
		rows = append(rows, []string{
			causeWords(e.GetCause()), called, taken, at(e.GetTakenOn()), strings.ReplaceAll(e.GetTakenOnHow(), "_", " "), escape(e.GetComment()),
		})
	}
	w.part("Who was called, and who took it on")
	w.table([]string{"Cause", "Called", "Taken on by", "When", "How", "Said"}, rows)
}

func (w *writer) told(i *recorderv1.Incident) {
	var rows [][]string
	for _, n := range i.GetTold() {
		c := n.GetReceipt()
		rows = append(rows, []string{
			fmt.Sprint(n.GetSequence()), word(n.GetOccasion(), "OCCASION_"), escape(c.GetChannel()), answer(c.GetDelivered()), at(c.GetTime()),
			escape(c.GetResponse()),
		})
	}
	if len(rows) > 0 {
		w.part("Who was told")
		w.table([]string{"Event", "Occasion", "Channel", "Delivered", "When", "Answer"}, rows)
	}
}

// closedWords says how an incident was closed, or that it was not.
func closedWords(c *recorderv1.Closing) string {
	if c == nil {
		return "it is open"
	}
	out := fmt.Sprintf("%s (event %d), with the outcome %s", at(c.GetTime()), c.GetSequence(), outcomeWords(c.GetOutcome()))
	if c.GetBy() != "" {
		out += fmt.Sprintf("; %s decided: %s", escape(c.GetBy()), because(strings.ReplaceAll(c.GetDecision(), "_", " "), escape(c.GetReason())))
	}
	return out
}

// ways are the releases that take this one back, as far as they were known when the
// document was asked for.
func (w *writer) ways(r *Record) {
	var rows [][]string
	for _, b := range r.back {
		outcome := none
		if b.GetOutcome() != releasev1.Outcome_OUTCOME_UNSPECIFIED {
			outcome = outcomeWords(b.GetOutcome())
		}
		rows = append(rows, []string{code(b.GetRelease()), at(b.GetRequested()), phaseOf(b.GetPhase()).words, outcome})
	}
	if len(rows) > 0 {
		w.part("Releases that take this one back")
		w.paragraph("As of the time of asking: they are no part of the history of this release.")
		w.table([]string{"Release", "Requested", "Where it stands", "Outcome"}, rows)
	}
}
