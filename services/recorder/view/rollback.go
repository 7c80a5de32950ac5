package view

import (
	"fmt"
	"strings"

	"github.com/blackdice/shipwarden/procedure"
	recorderv1 "github.com/blackdice/shipwarden/proto/shipwarden/recorder/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// Rollbacks are the ways back of a release, in their order.
func Rollbacks(s procedure.State) []*recorderv1.Rollback {
	var out []*recorderv1.Rollback
	for _, r := range s.Rollbacks {
		out = append(out, rollback(s, r))
	}
	return out
}

func rollback(s procedure.State, r procedure.Rollback) *recorderv1.Rollback {
	return &recorderv1.Rollback{
		Rollback: procedure.RollbackID(s.Release, r.Number), Release: s.Release, Number: r.Number,
		Ordered: stamp(r.OrderedAt), OrderedByEvent: r.Ordered, OrderedBy: r.OrderedBy,
		Phase: rollbackPhase(s, r).String(), Targets: r.Targets, Attempts: r.Attempts,
		Outcome: r.Outcome, Ended: stamp(r.EndedAt), EndedByEvent: r.Ended,
		RecordDigest: r.RecordDigest, RecordedByEvent: r.Recorded,
	}
}

// rollbackPhase is where a way back stands. One of which nobody knows may go on, and no record
// is closed before that of the release is.
func rollbackPhase(s procedure.State, r procedure.Rollback) procedure.Phase {
	switch {
	case r.Outcome == releasev1.Outcome_OUTCOME_UNSPECIFIED:
		return s.Phase
	case s.Recorded:
		return procedure.PhaseClosed
	case s.Phase == procedure.PhaseEscalated && int(r.Number) == len(s.Rollbacks):
		return procedure.PhaseEscalated
	}
	return procedure.PhaseRecord
}

// WaysBack are the ways back of the release as changes of their own, in their order: each as
// clients see a release (PD-7.1). What a person can do stands with the release.
func (t *Timeline) WaysBack() []*recorderv1.Release {
	s := t.state
	var out []*recorderv1.Release
	for _, r := range s.Rollbacks {
		own := rollback(s, r)
		w := &recorderv1.Release{
			Release: own.GetRollback(), WayBackOf: s.Release, Rollbacks: []*recorderv1.Rollback{own},
			Service: s.Request.GetService(), Environment: s.Request.GetEnvironment(), Version: s.Request.GetVersion(),
			Trigger: releasev1.Trigger_TRIGGER_ROLLBACK, Owner: s.Request.GetOwner(), Requester: r.OrderedBy,
			Phase: own.GetPhase(), Outcome: r.Outcome, Requested: stamp(r.OrderedAt), Updated: stamp(t.updated), Ended: stamp(r.EndedAt),
			Steps: rollbackSteps(s, r), ChangeDigest: s.ChangeDigest, ProcedureDigest: s.ProcedureDigest, Targets: r.Targets,
			Summary: rollbackSummary(s, r), LastSequence: s.Head.Sequence, Closed: own.GetPhase() == procedure.PhaseClosed.String(),
		}
		if r.Ended != 0 {
			w.Updated, w.LastSequence = stamp(r.EndedAt), r.Ended
		}
		if r.Recorded != 0 {
			w.LastSequence = r.Recorded
		}
		out = append(out, w)
	}
	return out
}

// rollbackSteps are those that a way back has by itself: it is executed, verified and
// recorded. All others were those of the release, whose approval is of its rollback plan.
func rollbackSteps(s procedure.State, r procedure.Rollback) []*recorderv1.Step {
	execute := &recorderv1.Step{Number: stepExecute, Name: "execute", Started: stamp(r.Begun), Status: recorderv1.Step_STATUS_PENDING}
	verify := &recorderv1.Step{Number: stepVerify, Name: "verify", Started: stamp(r.Executed), Status: recorderv1.Step_STATUS_PENDING}
	record := &recorderv1.Step{Number: stepRecord, Name: "record", Started: stamp(r.EndedAt), Status: recorderv1.Step_STATUS_PENDING}
	over := r.Outcome != releasev1.Outcome_OUTCOME_UNSPECIFIED
	switch {
	case !r.Executed.IsZero():
		execute.Status, execute.Ended = recorderv1.Step_STATUS_DONE, stamp(r.Executed)
		verify.Status, verify.Ended = recorderv1.Step_STATUS_RUNNING, stamp(r.EndedAt)
		if over {
			verify.Status = recorderv1.Step_STATUS_FAILED
		}
		if r.Outcome == releasev1.Outcome_OUTCOME_ROLLED_BACK {
			verify.Status = recorderv1.Step_STATUS_DONE
		}
	case over:
		execute.Status, execute.Ended = recorderv1.Step_STATUS_FAILED, stamp(r.EndedAt)
		verify.Status = recorderv1.Step_STATUS_SKIPPED
	case r.Attempts > 0:
		execute.Status = recorderv1.Step_STATUS_RUNNING
	}
	switch {
	case s.Recorded:
		record.Status = recorderv1.Step_STATUS_DONE
	case over:
		record.Status = recorderv1.Step_STATUS_WAITING
	}
	return []*recorderv1.Step{execute, verify, record}
}

func rollbackSummary(s procedure.State, r procedure.Rollback) string {
	by := "the procedure"
	if r.OrderedBy != "" {
		by = r.OrderedBy
	}
	out := fmt.Sprintf("way back %d of %s, ordered by %s", r.Number, s.Release, by)
	if r.Outcome != releasev1.Outcome_OUTCOME_UNSPECIFIED {
		return out + ": " + strings.ReplaceAll(OutcomeWord(r.Outcome), "_", " ")
	}
	return out + ", under way"
}
