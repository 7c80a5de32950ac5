package whatif

import (
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/procedure"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

var standings = map[procedure.Standing]approvalv1.OutlookStep_Standing{
	procedure.StandingAhead: approvalv1.OutlookStep_STANDING_AHEAD,
	procedure.StandingNow:   approvalv1.OutlookStep_STANDING_NOW,
	procedure.StandingDone:  approvalv1.OutlookStep_STANDING_DONE,
	procedure.StandingNever: approvalv1.OutlookStep_STANDING_NEVER,
}

// Explain says what stands between a release and production at that time: where it is,
// what it waits for, who can act and until when, and what of the rest is known already.
// The documents are the release's own, and that in effect where it is another one. Normal says
// whether it waits for other releases, as takeback.Normal does; known is what Desk.Known read.
func Explain(documents []*policy.Index, s procedure.State, normal bool, known Known, now time.Time) (*approvalv1.Outlook, error) {
	w := way{index: documents[0], documents: documents, normal: normal, reviewers: known.reviewers, out: &approvalv1.Outlook{Score: s.Score}}
	ahead := map[string]*approvalv1.OutlookStep{}
	for _, stage := range procedure.Stages(s, now) {
		step := w.step(stage.Number, stage.Name, standings[stage.Standing], stage.Waits...)
		if !stage.Until.IsZero() {
			step.Until = timestamppb.New(stage.Until)
		}
		if stage.Service != "" {
			step.Who = []string{stage.Service}
		}
		ahead[stage.Number] = step
	}
	switch s.Phase { //nolint:exhaustive // Of the others the service that acts is said.
	case procedure.PhaseApprove:
		step := ahead["A"]
		_, missing := procedure.Count(s, now)
		step.Who = append(step.Who, w.approvers(s, now)...)
		w.few(step, s, missing, now)
	case procedure.PhaseHeld:
		for _, step := range w.out.GetSteps() {
			if step.GetStanding() != approvalv1.OutlookStep_STANDING_NOW {
				continue
			}
			for _, h := range s.Holds {
				step.Who = append(step.Who, w.over(s, h, now)...)
			}
			slices.Sort(step.GetWho())
			step.Who = slices.Compact(step.GetWho())
		}
	case procedure.PhaseVerify:
		ahead["6"].Who = append(ahead["6"].Who, w.signers(s, now)...)
	case procedure.PhaseRemedy, procedure.PhaseRollingBack, procedure.PhaseVerifyRollback, procedure.PhaseEscalated:
		w.remedy(s, now)
	}
	if s.Outcome != releasev1.Outcome_OUTCOME_UNSPECIFIED || s.Phase > procedure.PhaseExecute && s.Phase != procedure.PhaseVerify {
		return w.out, nil
	}
	if step := ahead["6"]; toCome(step) {
		step.WaitsFor = append(step.WaitsFor, documents[0].Aftermath(s)...)
	}
	if s.Phase != procedure.PhaseHeld || s.HeldFor != procedure.PhaseExecute {
		w.watched(ahead["5"], documents, s.Request)
	}
	return w.out, w.beginning(documents, s, known, now)
}

// remedy puts step 7 in, where a release is on the way back or waits for a decision.
func (w way) remedy(s procedure.State, now time.Time) {
	step := &approvalv1.OutlookStep{Number: "7", Name: "remediate", Standing: approvalv1.OutlookStep_STANDING_NOW, WaitsFor: []string{"the way back"}, Who: []string{procedure.ServiceExecutor}}
	if s.Phase == procedure.PhaseVerifyRollback {
		step.Who = append([]string{procedure.ServiceValidator}, w.signers(s, now)...)
		step.WaitsFor = append(step.WaitsFor, procedure.Awaited(s, now)...)
	}
	if s.Phase == procedure.PhaseEscalated {
		step.WaitsFor = []string{"a person's decision: " + s.EndReason}
		switch s.Question.Otherwise {
		case releasev1.Remedy_ACTION_ROLL_BACK:
			what := "it goes back by itself"
			if ok, why := procedure.CanRollBack(s, procedure.RollbackTargets(s)); !ok {
				what = "people are called, because it does not go back by itself (" + why + "),"
			}
			step.WaitsFor = append(step.WaitsFor, "without one "+what+" at "+s.Question.Until.UTC().Format(time.RFC3339))
		case releasev1.Remedy_ACTION_ESCALATE:
			step.WaitsFor = append(step.WaitsFor, "without one the next people are called at "+s.Question.Until.UTC().Format(time.RFC3339))
		case releasev1.Remedy_ACTION_UNSPECIFIED, releasev1.Remedy_ACTION_ASK:
		}
		step.Who = w.handlers(s.Request.GetOwner(), now)
	}
	if d, ok := procedure.NextDeadline(s); ok {
		step.Until = timestamppb.New(d.At)
	}
	i := slices.IndexFunc(w.out.GetSteps(), func(o *approvalv1.OutlookStep) bool { return o.GetNumber() == "8" })
	w.out.Steps = slices.Insert(w.out.GetSteps(), max(i, 0), step)
}
