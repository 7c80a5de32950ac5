package whatif

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/internal/changerecord"
	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/evidence"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/reactor"
	"github.com/blackdice/shipwarden/internal/standing"
	"github.com/blackdice/shipwarden/internal/takeback"
	"github.com/blackdice/shipwarden/procedure"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/approval/gates"
	"github.com/blackdice/shipwarden/services/approval/intake"
	"github.com/blackdice/shipwarden/services/approval/risk"
)

// Store reads histories and standings. It has nothing that writes.
type Store interface {
	standing.Reader
	Load(ctx context.Context, aggregate string) (eventstore.History, error)
	Beginning(ctx context.Context, aggregate string) (eventstore.History, error)
}

// Blobs reads evidence.
type Blobs interface {
	Get(ctx context.Context, digest string) ([]byte, error)
}

// Procedures gives procedure documents.
type Procedures interface {
	ByDigest(ctx context.Context, digest string) (*policy.Index, error)
}

// Desk answers questions. It is safe for concurrent use.
type Desk struct {
	store      Store
	procedures Procedures
	blobs      Blobs
	world      World
	turns      chan struct{}
}

// New returns a desk that reads there, and asks these others.
func New(store Store, procedures Procedures, blobs Blobs, world World) *Desk {
	return &Desk{store: store, procedures: procedures, blobs: blobs, world: world, turns: make(chan struct{}, atOnce)}
}

// memory keeps the evidence of a request that is not made, beside what is stored.
type memory struct {
	Blobs
	kept map[string][]byte
}

func (m memory) Get(ctx context.Context, digest string) ([]byte, error) {
	if b, ok := m.kept[digest]; ok {
		return b, nil
	}
	return m.Blobs.Get(ctx, digest)
}

// run is a release that exists in memory.
type run struct {
	state   procedure.State
	history eventstore.History
	digest  string
	now     time.Time
}

// add folds one more event, decided by whoever may write it.
func (r *run) add(e *releasev1.Event) error {
	e = proto.CloneOf(e)
	writer := procedure.WriterOf(procedure.TypeOf(e))
	sequence := r.history.Last + 1
	e.Id, e.Aggregate, e.Writer = fmt.Sprintf("if-%d", sequence), procedure.Aggregate(r.state.Release), writer
	e.Time, e.Previous, e.ProcedureDigest = timestamppb.New(r.now), r.state.Head.Previous(), r.digest
	e.Actor = &releasev1.Actor{Id: writer, Kind: releasev1.Actor_KIND_SERVICE, Method: "service"}
	entry := procedure.Entry{Sequence: sequence, Digest: sha256.Sum256(fmt.Append(nil, "if ", sequence)), Stored: r.now, Event: e}
	next, err := procedure.Evolve(r.state, entry)
	if err != nil {
		return fmt.Errorf("what if %s: %w", procedure.TypeOf(e), err)
	}
	r.state = next
	r.history.Entries, r.history.Last = append(r.history.Entries, entry), sequence
	return nil
}

// ask lets a step decide, and folds nothing.
func (r *run) ask(ctx context.Context, step reactor.Step) (*releasev1.Event, error) {
	drafts, err := step.Act(ctx, reactor.Task{State: r.state, History: r.history, Cause: r.history.Entries[len(r.history.Entries)-1], Delivery: 1, Now: r.now})
	if err != nil {
		return nil, err
	}
	if len(drafts) != 1 {
		return nil, errors.New("the step decides nothing")
	}
	return drafts[0].Event, nil
}

// Request goes through the procedure with a request as if it came at that time, under the
// document with that digest. Every step is asked, also behind one that would refuse.
func (d *Desk) Request(ctx context.Context, digest string, request *releasev1.Request, now time.Time) (*approvalv1.WhatIfResponse, error) {
	index, err := d.procedures.ByDigest(ctx, digest)
	if err != nil {
		return nil, err
	}
	r := &run{digest: digest, now: now}
	r.state.Release = procedure.ReleaseID(request.GetEnvironment(), request.GetService(), request.GetIdempotencyKey())
	r.history.Aggregate = procedure.Aggregate(r.state.Release)
	out := &approvalv1.WhatIfResponse{
		Release: r.state.Release, ProcedureVersion: index.Document().GetVersion(), ProcedureDigest: digest, Outlook: &approvalv1.Outlook{},
	}
	w := way{index: index, documents: []*policy.Index{index}, out: out.GetOutlook()}
	if out.Violations, err = intake.Look(ctx, d.store, index, request, now); err != nil {
		return nil, err
	}
	if w.normal, err = takeback.Normal(ctx, d.store, request); err != nil {
		return nil, err
	}
	if len(out.GetViolations()) > 0 {
		w.step("0", "request", approvalv1.OutlookStep_STANDING_REFUSED, fmt.Sprintf("%d violation(s) to be mended", len(out.GetViolations())))
		w.unknown("1", "2", "3", "A", "4", "5", "6", "8")
		return out, nil
	}
	w.step("0", "request", approvalv1.OutlookStep_STANDING_DONE)
	first, err := intake.Requested(ctx, evidence.Named{}, index, request, 1, now)
	if err != nil {
		return nil, err
	}
	if err := r.add(first); err != nil {
		return nil, err
	}
	kept := map[string][]byte{}
	for _, e := range request.GetEvidence() {
		kept[evidence.Digest(e)] = e
	}
	leave, err := d.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	var known Known
	var judge func(time.Time) []*releasev1.GateVerdict
	decided, err := r.ask(ctx, gates.Dry(d.procedures, memory{d.blobs, kept}, d.world.Outside, gates.Saw{
		Record: func(c changerecord.Result) { known.records = append(known.records, c) },
		Judge:  func(at func(time.Time) []*releasev1.GateVerdict) { judge = at },
	}))
	if err != nil {
		return nil, err
	}
	out.Gates = w.gates(decided, known.records)
	known.later = falling(out.GetGates(), judge)
	if err := r.add(passed(out.GetGates())); err != nil {
		return nil, err
	}
	w.step("2", "scope", approvalv1.OutlookStep_STANDING_UNKNOWN, "artifacts and targets are looked at once the request is made")
	if err := d.looked(ctx, r, index, request); err != nil {
		return nil, err
	}
	facts, err := risk.Facts(ctx, d.procedures, d.store, risk.Watch{Sources: d.world.Sources}, r.state, now)
	if err != nil {
		return nil, err
	}
	out.Findings, out.Holds, out.Quorum, out.Outlook.ZoneData = facts.Findings, facts.Holds, facts.Quorum, facts.ZoneData
	out.Outlook.Score = facts.Score
	w.reviewers = d.reviewers(ctx, index, facts.Holds)
	w.risk(r.state, procedure.DecideRisk(r.state, facts), now)
	facts.Holds, facts.Findings = nil, nil
	if err := r.add(procedure.DecideRisk(r.state, facts)); err != nil {
		return nil, err
	}
	w.approvals(r.state, now)
	w.rest(r.state)
	return out, w.beginning([]*policy.Index{index}, r.state, known, now)
}

// looked stands for what validator and executor find out: that everything is in order,
// and the targets as they are on record.
func (d *Desk) looked(ctx context.Context, r *run, index *policy.Index, request *releasev1.Request) error {
	scope, preview := &releasev1.ScopeValidated{}, &releasev1.ChangePreviewed{}
	for _, a := range request.GetArtifacts() {
		scope.Artifacts = append(scope.Artifacts, &releasev1.PinnedArtifact{Name: a.GetName(), Kind: a.GetKind(), Location: a.GetLocation(), Digest: a.GetDigest()})
	}
	for n, wave := range request.GetPlan().GetWaves() {
		for _, id := range wave.GetTargets() {
			t, err := standing.ReadTarget(ctx, d.store, id)
			if err != nil {
				return err
			}
			scope.Targets = append(scope.Targets, &releasev1.ScopedTarget{Target: id, Wave: uint32(n), State: t.State, Relation: releasev1.ScopedTarget_RELATION_UPGRADE})
			preview.Previews = append(preview.Previews, supposed(id, t.State, policy.DemandsProof(index.Document(), request)))
		}
	}
	if err := r.add(&releasev1.Event{Data: &releasev1.Event_ScopeValidated{ScopeValidated: scope}}); err != nil {
		return err
	}
	return r.add(&releasev1.Event{Data: &releasev1.Event_ChangePreviewed{ChangePreviewed: preview}})
}

// supposed is the preview of a target on which the way back is shown once the request is
// made. Where the record says that nothing was ever released to it, or that nobody knows
// what it carries, there is none: there is nothing that anybody could place again.
func supposed(id string, stands *releasev1.TargetState, demanded bool) *releasev1.TargetPreview {
	why := ""
	switch {
	case stands.GetUnknownSince() != "":
		why = "nobody knows what it carries since release " + stands.GetUnknownSince()
	case stands.GetDeployed() == nil && stands.GetGeneration() == 0:
		why = "nothing was ever released to it"
	case stands.GetDeployed() == nil:
		why = "it carries nothing, by the record"
	}
	back := &releasev1.TargetPreview{
		Target: id, Class: releasev1.DriverClass_DRIVER_CLASS_FENCED, RollbackReady: why == "", RollbackReason: why,
		Rollback: &releasev1.RollbackProof{
			Possible: why == "", Obtainable: why == "", Demanded: demanded,
			First: stands.GetDeployed() == nil && stands.GetUnknownSince() == "" && stands.GetGeneration() == 0,
		},
	}
	if why == "" {
		back.RollbackDigest = stands.GetDeployed().GetDigest()
	}
	return back
}

// passed are the gates as if all had been passed, with the authors that the proof names.
func passed(verdicts []*releasev1.GateVerdict) *releasev1.Event {
	all := make([]*releasev1.GateVerdict, 0, len(verdicts))
	for _, v := range verdicts {
		v = proto.CloneOf(v)
		if v.GetStatus() == releasev1.GateVerdict_STATUS_FAILED {
			v.Status = releasev1.GateVerdict_STATUS_PASSED
		}
		all = append(all, v)
	}
	return &releasev1.Event{Data: &releasev1.Event_GatesConfirmed{GatesConfirmed: &releasev1.GatesConfirmed{Verdicts: all}}}
}
