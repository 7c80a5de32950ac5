package policy

import (
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/blackdice/shipwarden/procedure"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// Remedy returns what the document says of a failure of a release: the first row of its
// remediation that fits (PD-7.1). It is nil where none does; then the release goes back at once.
// It depends on its arguments alone.
func (x *Index) Remedy(s procedure.State, cause releasev1.Cause) *releasev1.Remedy {
	row := x.remediation(s, cause)
	if row == nil {
		return nil
	}
	r := &releasev1.Remedy{Row: row.GetName(), Action: row.GetThen()}
	if r.GetAction() == releasev1.Remedy_ACTION_ASK {
		r.Asked, r.Otherwise = row.GetAsk().GetWho(), row.GetAsk().GetOtherwise()
		r.Within = durationpb.New(row.GetAsk().GetWithin().AsDuration())
	}
	return r
}

// LooksBeside reports whether a failed validation of the release is looked for on targets that
// it has not touched, before anything is decided.
func (x *Index) LooksBeside(s procedure.State) bool {
	return x.remediation(s, releasev1.Cause_CAUSE_VALIDATION_FAILED).GetLookBeside()
}

func (x *Index) remediation(s procedure.State, cause releasev1.Cause) *policyv1.Remediation {
	for _, row := range x.document.GetRemediation() {
		if fits(row.GetWhen(), s, cause) {
			return row
		}
	}
	return nil
}

// fits reports whether a failure of a release is one that a row is about.
func fits(w *policyv1.Situation, s procedure.State, cause releasev1.Cause) bool {
	r := s.Request
	return emptyOrHas(w.GetCauses(), cause) && emptyOrHas(w.GetEnvironments(), r.GetEnvironment()) &&
		emptyOrHas(w.GetServices(), r.GetService()) && emptyOrHas(w.GetTriggers(), r.GetTrigger()) &&
		emptyOrHas(w.GetLanes(), s.Chosen.GetLane()) && emptyOrHas(w.GetData(), r.GetRisk().GetData()) &&
		s.Score.GetScore() >= w.GetRiskFrom()
}

// Aftermath says in words what each failure of a release would lead to, for who approves it;
// nothing where the document has no row, because then all of them lead back at once.
func (x *Index) Aftermath(s procedure.State) (all []string) {
	if len(x.document.GetRemediation()) == 0 {
		return nil
	}
	for _, cause := range procedure.Failures {
		if cause == releasev1.Cause_CAUSE_VALIDATION_INCONCLUSIVE && x.document.GetEscalation().GetAskWhenInconclusive() {
			continue // People are asked what it means at all.
		}
		words := strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(cause.String(), "CAUSE_")), "_", " ") + ": "
		row := x.remediation(s, cause)
		if cause == releasev1.Cause_CAUSE_VALIDATION_FAILED && row.GetLookBeside() {
			words += "people decide where targets fail it that were not changed; otherwise "
		}
		back := "it goes back at once"
		if ok, why := procedure.CanRollBack(s, procedure.Targets(s.Request)); !ok {
			back = "people are called, because it does not go back by itself: " + why
		}
		switch row.GetThen() {
		case releasev1.Remedy_ACTION_UNSPECIFIED, releasev1.Remedy_ACTION_ROLL_BACK:
			words += back
		case releasev1.Remedy_ACTION_ESCALATE:
			words += "people decide"
		case releasev1.Remedy_ACTION_ASK:
			words += fmt.Sprintf("%s asked for %s, then ", askedWords(row.GetAsk().GetWho()), row.GetAsk().GetWithin().AsDuration())
			if row.GetAsk().GetOtherwise() == releasev1.Remedy_ACTION_ROLL_BACK {
				words += back
			} else {
				words += "people decide without an end"
			}
		}
		if row != nil {
			words += " (" + row.GetName() + ")"
		}
		all = append(all, words)
	}
	return all
}

func askedWords(who releasev1.Remedy_Asked) string {
	if who == releasev1.Remedy_ASKED_OWNER {
		return "the owner is"
	}
	return "the operators are"
}

// Failing are all kinds of failures that the rows of one or more documents tell apart, each as
// the set of rows that fit it, a bit for each row. There are as many as rows make of them,
// however many environments and services a document has.
func failing(rows []*policyv1.Remediation, documents ...*policyv1.Procedure) []uint64 {
	var environments, services, lanes []string
	causes := procedure.Failures[:0:0]
	var points []uint32
	lanes, points = append(lanes, ""), append(points, 0)
	inconclusive := false
	for _, d := range documents {
		environments = append(environments, names(d.GetEnvironments(), (*policyv1.Environment).GetName)...)
		services = append(services, names(d.GetServices(), (*policyv1.Service).GetName)...)
		for _, level := range d.GetRiskScore().GetLevels() {
			lanes = append(lanes, level.GetLane().GetName())
		}
		inconclusive = inconclusive || !d.GetEscalation().GetAskWhenInconclusive()
		for _, row := range d.GetRemediation() {
			if d.GetRiskScore() != nil { // Without weights nothing weighs anything.
				points = append(points, row.GetWhen().GetRiskFrom())
			}
		}
	}
	for _, c := range procedure.Failures {
		if c != releasev1.Cause_CAUSE_VALIDATION_INCONCLUSIVE || inconclusive {
			causes = append(causes, c)
		}
	}
	triggers := []releasev1.Trigger{releasev1.Trigger_TRIGGER_PLANNED, releasev1.Trigger_TRIGGER_EMERGENCY, releasev1.Trigger_TRIGGER_ROLLBACK}
	data := []releasev1.Risk_Data{
		releasev1.Risk_DATA_UNCHANGED, releasev1.Risk_DATA_REVERSIBLE, releasev1.Risk_DATA_IRREVERSIBLE, releasev1.Risk_DATA_NOT_STATED,
	}
	all := []uint64{1<<len(rows) - 1}
	all = narrowed(all, rows, causes, func(w *policyv1.Situation, v releasev1.Cause) bool { return emptyOrHas(w.GetCauses(), v) })
	all = narrowed(all, rows, environments, func(w *policyv1.Situation, v string) bool { return emptyOrHas(w.GetEnvironments(), v) })
	all = narrowed(all, rows, services, func(w *policyv1.Situation, v string) bool { return emptyOrHas(w.GetServices(), v) })
	all = narrowed(all, rows, triggers, func(w *policyv1.Situation, v releasev1.Trigger) bool { return emptyOrHas(w.GetTriggers(), v) })
	all = narrowed(all, rows, lanes, func(w *policyv1.Situation, v string) bool { return emptyOrHas(w.GetLanes(), v) })
	all = narrowed(all, rows, points, func(w *policyv1.Situation, v uint32) bool { return v >= w.GetRiskFrom() })
	return narrowed(all, rows, data, func(w *policyv1.Situation, v releasev1.Risk_Data) bool { return emptyOrHas(w.GetData(), v) })
}

// narrowed tells each of the kinds apart by the values of one more fact.
func narrowed[T any](kinds []uint64, rows []*policyv1.Remediation, values []T, fits func(*policyv1.Situation, T) bool) []uint64 {
	var masks []uint64
	for _, v := range values {
		var mask uint64
		for i, row := range rows {
			if fits(row.GetWhen(), v) {
				mask |= 1 << i
			}
		}
		masks = append(masks, mask)
	}
	slices.Sort(masks)
	masks = slices.Compact(masks)
	seen := map[uint64]bool{}
	for _, kind := range kinds {
		for _, mask := range masks {
			seen[kind&mask] = true
		}
	}
	out := make([]uint64, 0, len(seen))
	for kind := range seen {
		out = append(out, kind)
	}
	slices.Sort(out)
	return out
}
