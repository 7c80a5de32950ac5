// Package verify is the shell of step 6: it looks at every target of a wave for the
// whole bake time, and keeps everything that it saw (PD-6.1 to PD-6.3).
//
// It wakes on execution_finished and rolled_back, and on a person's word that an
// effect did happen, and appends sign_off_wanted, verification_passed, verification_failed or
// verification_inconclusive. The window begins with the event that began the phase,
// so that a validator that takes over goes on where the lost one was, and counts
// nothing twice.
//
// What is looked at are the checks of the request and those of the service's
// catalogue entry, and that the digest which runs is the one that was approved; on
// the way back, the one that ran before.
//
// Where people have to answer a check, they are asked first, by sign_off_wanted, and the window begins
// with that. Their answers are read along with the samples.
//
// Beside the step, Later looks again at releases that were verified, and appends reverified or
// verification_revoked.
package verify

import (
	"context"
	"fmt"
	"log/slog"
	"slices"

	"github.com/blackdice/shipwarden/internal/criterion"
	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/evidence"
	"github.com/blackdice/shipwarden/internal/failpoint"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/reactor"
	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/validator/check"
	"github.com/blackdice/shipwarden/services/validator/target"
)

// Procedures gives the procedure document that a release runs under.
type Procedures interface {
	ByDigest(ctx context.Context, digest string) (*policy.Index, error)
}

// Blobs keeps evidence by its content.
type Blobs interface {
	Put(ctx context.Context, mediaType, name string, content []byte) (*releasev1.EvidenceRef, error)
}

// Histories reads what happened to a target, and to a release.
type Histories interface {
	Load(ctx context.Context, aggregate string) (eventstore.History, error)
	Tail(ctx context.Context, aggregate string, enough func(procedure.Entry) bool) ([]procedure.Entry, error)
}

// New returns the step. Targets are those that this validator can look at.
func New(procedures Procedures, bake check.Bake, targets map[string]*target.Target, blobs Blobs, histories Histories) reactor.Step {
	s := shell{procedures, bake, targets, blobs, histories}
	return reactor.Step{ID: procedure.StepVerify, Act: s.act}
}

type shell struct {
	procedures Procedures
	bake       check.Bake
	targets    map[string]*target.Target
	blobs      Blobs
	histories  Histories
}

func (s shell) act(ctx context.Context, t reactor.Task) ([]eventstore.Draft, error) {
	index, err := s.procedures.ByDigest(ctx, t.State.ProcedureDigest)
	if err != nil {
		return nil, err
	}
	var heard *listener
	plan, unseen := s.plan(t.State, index)
	if plan.Release.Images == nil && slices.ContainsFunc(plan.Checks, criterion.InKubernetes) {
		if plan.Release.Images, err = s.imagesBefore(ctx, t.State); err != nil {
			return nil, err
		}
	}
	if slices.ContainsFunc(plan.Checks, criterion.AsksPeople) {
		if len(t.State.SignOffs) == 0 {
			// It is due again as soon as that is on record. Until when people may answer stands there from
			// then on: whoever takes over, or looks again, gives them neither more time nor less.
			return []eventstore.Draft{t.Draft(Wanted(index, t.State, t.Now))}, nil
		}
		heard = &listener{histories: s.histories, task: t}
		plan.Start, plan.Answers = t.State.SignOffsAsked, heard.answers
	}
	report, err := s.bake.Run(ctx, plan)
	if err != nil {
		return nil, err
	}
	if heard != nil {
		t = heard.task
	}
	if err := failpoint.Hit("verify.judged"); err != nil {
		return nil, err
	}
	v := withUnseen(report.Verification, unseen)
	samples, unkept, unkeptErr := evidence.Keep(ctx, s.blobs, check.MediaType, "samples of "+t.State.Release, report.Document)
	if unkeptErr != nil && unkept == nil {
		return nil, fmt.Errorf("keep the samples: %w", unkeptErr)
	}
	v.Samples = samples
	if unkept == nil {
		v.Chart = s.chart(ctx, t.State.Release, plan.Checks, report.Document)
	}
	if err := failpoint.Hit("verify.kept"); err != nil {
		return nil, err
	}
	ask := index.Document().GetEscalation().GetAskWhenInconclusive()
	event := procedure.DecideVerified(t.State, v, ask)
	if event.GetVerificationFailed() != nil && t.State.Phase == procedure.PhaseVerify && index.LooksBeside(t.State) {
		if v.Beside, err = s.beside(ctx, t.State, plan, v); err != nil {
			return nil, err
		}
	}
	procedure.Prescribe(t.State, event, func(c releasev1.Cause) *releasev1.Remedy { return index.Remedy(t.State, c) })
	if unkept != nil {
		// A failure is acted on at once, and the way back is not kept waiting. That all is well
		// nobody says of a planned release without what shows it.
		if event.Unkept = []*releasev1.UnkeptEvidence{unkept}; !t.State.Urgent() && procedure.LetsPass(event) {
			return nil, fmt.Errorf("keep the samples: %w", unkeptErr)
		}
	}
	return []eventstore.Draft{t.Draft(event)}, nil
}

// chart keeps a picture of what was compared. It is for people, and can be drawn again from the
// samples: nothing waits for it, and nothing is decided by it.
func (s shell) chart(ctx context.Context, release string, checks []*releasev1.Check, samples []byte) *releasev1.EvidenceRef {
	drawn, err := check.Chart(samples, checks)
	if drawn == nil && err == nil {
		return nil
	}
	if err == nil {
		var ref *releasev1.EvidenceRef
		if ref, err = s.blobs.Put(ctx, check.ChartType, "chart of "+release, drawn); err == nil {
			return ref
		}
	}
	slog.WarnContext(ctx, "the chart of a verification is not kept", slog.String("release", release), slog.Any("error", err))
	return nil
}

// plan says what to look at, which on the way back is every target that was touched. A
// target that this validator is not configured to look at is not looked at, and what
// was not looked at has no verdict; the results say so of everything that was to be
// seen there.
func (s shell) plan(state procedure.State, index *policy.Index) (check.Plan, []*releasev1.CheckResult) {
	v := state.Request.GetValidation()
	plan := check.Plan{
		Release: of(state),
		Checks:  checks(state, index), Bake: v.GetBake().AsDuration(), Interval: v.GetInterval().AsDuration(),
		Start: state.Entered, Disturbed: s.disturbed(state.Release),
	}
	var unseen []*releasev1.CheckResult
	for _, id := range wave(state) {
		place, ok := s.targets[id]
		if !ok {
			unseen = append(unseen, notSeen(id, plan.Checks)...)
			continue
		}
		plan.Subjects = append(plan.Subjects, check.Subject{Target: place, Digest: approved(state, id)})
	}
	return plan, unseen
}

// wave is what is looked at in that state.
func wave(state procedure.State) []string {
	if state.Phase == procedure.PhaseVerifyRollback {
		return state.Touched
	}
	return state.WaveTargets()
}

// notSeen are the results of a target that is not looked at.
func notSeen(target string, checks []*releasev1.Check) (all []*releasev1.CheckResult) {
	for _, name := range append([]string{check.RuleDigest}, names(checks)...) {
		all = append(all, &releasev1.CheckResult{
			Check: name, Target: target, Verdict: releasev1.CheckResult_VERDICT_INCONCLUSIVE,
			Reason: "no address is configured under which the target can be looked at",
		})
	}
	return all
}

// withUnseen adds the results of targets that were not looked at.
func withUnseen(v *releasev1.Verification, unseen []*releasev1.CheckResult) *releasev1.Verification {
	v.Results = append(v.Results, unseen...)
	if len(unseen) > 0 {
		v.Reason = fmt.Sprintf("%s on %s: %s; of the others: %s", unseen[0].GetCheck(), unseen[0].GetTarget(), unseen[0].GetReason(), v.GetReason())
	}
	return v
}

func names(checks []*releasev1.Check) []string {
	var all []string
	for _, c := range checks {
		all = append(all, c.GetName())
	}
	return all
}

// approved is the digest that must run on the target: that of the release, or the one
// that the preview named for the way back.
func approved(state procedure.State, id string) string {
	if state.Phase == procedure.PhaseVerifyRollback {
		return state.Preview(id).GetRollbackDigest()
	}
	return state.PrimaryArtifact().GetDigest()
}

// checks are those that are looked at in that state, one by one.
func checks(state procedure.State, index *policy.Index) []*releasev1.Check {
	return criterion.Each(looked(state, index))
}

// looked are the checks of that state as they were written.
func looked(state procedure.State, index *policy.Index) []*releasev1.Check {
	r := state.Request
	return criterion.Looked(r, index.Service(r.GetService()).GetChecks(), state.Phase == procedure.PhaseVerifyRollback)
}
