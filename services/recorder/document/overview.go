package document

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/blackdice/shipwarden/procedure"
	recorderv1 "github.com/blackdice/shipwarden/proto/shipwarden/recorder/v1"
)

// phase is a phase of the machine as the procedure's steps have it.
type phase struct{ step, words string }

// phases are the phases in words, under the number of their step.
var phases = map[procedure.Phase]phase{
	procedure.PhaseGates:          {"1", "gates are looked at"},
	procedure.PhaseScope:          {"2", "scope is looked at"},
	procedure.PhasePreview:        {"3", "the driver previews the change"},
	procedure.PhaseRisk:           {"3", "risks are weighed"},
	procedure.PhaseHeld:           {"3", "held"},
	procedure.PhaseApprove:        {"A", "approvals are awaited"},
	procedure.PhaseNotify:         {"4", "stakeholders are told"},
	procedure.PhaseExecute:        {"5", "before the start of a wave"},
	procedure.PhaseExecuting:      {"5", "deployment"},
	procedure.PhaseVerify:         {"6", "validation"},
	procedure.PhaseRemedy:         {"7", "before the way back"},
	procedure.PhaseRollingBack:    {"7", "way back"},
	procedure.PhaseVerifyRollback: {"7", "validation of the way back"},
	procedure.PhaseEscalated:      {"7", "a person's decision is awaited"},
	procedure.PhaseRelease:        {"8", "targets are let go"},
	procedure.PhaseRecord:         {"8", "the record is closed"},
	procedure.PhaseFollowUp:       {"8", "what is owed after the record"},
	procedure.PhaseClosed:         {"8", "closed"},
}

func phaseOf(name string) phase {
	for p, words := range phases {
		if p.String() == name {
			return words
		}
	}
	return phase{"", escape(strings.ReplaceAll(name, "_", " "))}
}

// overview is every step with how it went, where the time went, and who had a part.
func (w *writer) overview(r *Record) {
	w.section("Steps")
	var rows [][]string
	for _, s := range r.steps {
		took, began := none, none
		if s.GetStarted() != nil {
			began = at(s.GetStarted())
		}
		if s.GetStarted() != nil && s.GetEnded() != nil {
			took = span(s.GetEnded().AsTime().Sub(s.GetStarted().AsTime()))
		}
		rows = append(rows, []string{
			s.GetNumber(), s.GetName(), stepWords(s.GetStatus()), began, took, w.said(s.GetDetail(), "named in step "+s.GetNumber()),
		})
	}
	w.table([]string{"Step", "Name", "Status", "Began", "Took", "Result"}, rows)
	w.times(r)
	w.plans(r)
	w.people(r)
}

func stepWords(s recorderv1.Step_Status) string {
	switch s {
	case recorderv1.Step_STATUS_SKIPPED:
		return "not reached or not needed"
	case recorderv1.Step_STATUS_BYPASSED:
		return "done, with controls bypassed"
	case recorderv1.Step_STATUS_PENDING:
		return "not yet begun"
	case recorderv1.Step_STATUS_UNSPECIFIED, recorderv1.Step_STATUS_RUNNING, recorderv1.Step_STATUS_WAITING,
		recorderv1.Step_STATUS_DONE, recorderv1.Step_STATUS_FAILED:
	}
	return word(s, "STATUS_")
}

// times says where the time went, phase by phase in the order of the procedure.
func (w *writer) times(r *Record) {
	w.part("Timings")
	t := r.Timings
	facts := [][2]string{{"From the request to the outcome, or to the last event", millis(t.Total)}}
	if t.Lead > 0 {
		facts = append(facts, [2]string{"Lead, from the request to the first claim of a target", millis(t.Lead)})
	}
	if t.Execute > 0 {
		facts = append(facts, [2]string{"Deployment", millis(t.Execute)})
	}
	if t.Bake > 0 {
		facts = append(facts, [2]string{"Validation", fmt.Sprintf("%s; planned were %s", millis(t.Bake), millis(t.PlannedBake))})
	}
	if t.Remedy > 0 {
		facts = append(facts, [2]string{"Way back", millis(t.Remedy)})
	}
	w.facts(facts)
	all := slices.Clone(t.Phases)
	order := map[string]int{}
	for i, s := range r.steps {
		order[s.GetNumber()] = i
	}
	slices.SortStableFunc(all, func(a, b PhaseTime) int { return order[phaseOf(a.Phase).step] - order[phaseOf(b.Phase).step] })
	var rows [][]string
	for _, p := range all {
		rows = append(rows, []string{phaseOf(p.Phase).step, phaseOf(p.Phase).words, code(p.Phase), millis(p.Time)})
	}
	w.table([]string{"Step", "What happened meanwhile", "Phase", "Time"}, rows)
}

// plans compares what was planned with what became of it.
func (w *writer) plans(r *Record) {
	p := r.planned()
	when := func(t *time.Time) string {
		if t == nil {
			return none
		}
		return stamp(*t)
	}
	var rows [][]string
	for _, row := range [][]string{
		{"Approvals, until", when(p.ApproveBy), when(p.AuthorizedAt)},
		{"Start, not before", when(p.NotBefore), when(p.StartedAt)},
		{"Start, not later than", when(p.StartBy), when(p.StartedAt)},
		{"Start, by the approvals until", when(p.ValidUntil), when(p.StartedAt)},
	} {
		if row[1] != none {
			rows = append(rows, row)
		}
	}
	rows = append(rows, []string{"Waves", fmt.Sprint(p.Waves), fmt.Sprintf("%d deployed, %d of them validated", p.Deployed, p.Validated)})
	if p.Deployed > 0 {
		rows = append(rows, []string{"Validation", millis(p.Bake), millis(p.BakeActual)})
	}
	w.part("Planned and actual")
	w.table([]string{"What", "Planned", "Actual"}, rows)
}

func (w *writer) people(r *Record) {
	w.part("People")
	parts := map[string][]string{}
	var order []string
	for _, p := range r.People {
		if parts[p.Person] == nil {
			order = append(order, p.Person)
		}
		parts[p.Person] = append(parts[p.Person], p.Part)
	}
	for _, p := range r.named {
		if parts[p] == nil {
			order = append(order, p)
		}
		parts[p] = append(parts[p], "author, by the proof for the gates")
	}
	var rows [][]string
	for _, p := range order {
		rows = append(rows, []string{escape(p), series(parts[p])})
	}
	w.table([]string{"Person", "Part"}, rows)
}
