package procedure_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// guard is a well-formed event with one thing wrong with it, tried in the phase in
// which it would count otherwise.
type guard struct {
	name string
	// change of the request, where the plain one would not do.
	request func(*releasev1.Request)
	phase   procedure.Phase
	// prepare appends what has to come before.
	prepare func(t *testing.T, h *proceduretest.History)
	// spoil changes the event of the good way.
	spoil func(h *proceduretest.History, e *releasev1.Event)
	want  string
}

func two(r *releasev1.Request) { proceduretest.Waves([]string{"eu1"}, []string{"us1", "us2"})(r) }

func divided(r *releasev1.Request) { two(r); mayDivide(r) }

var guards = []guard{
	// The request.
	{name: "request without artifacts", phase: procedure.PhaseNone, want: "incomplete", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.GetRequested().GetRequest().Artifacts = nil
	}},
	{name: "request of nobody", phase: procedure.PhaseNone, want: "incomplete", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.GetRequested().GetRequest().Owner = ""
	}},
	{name: "request without waves", phase: procedure.PhaseNone, want: "incomplete", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.GetRequested().GetRequest().GetPlan().Waves = nil
	}},
	{name: "request with a wave of nothing", phase: procedure.PhaseNone, want: "no target", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		plan := e.GetRequested().GetRequest().GetPlan()
		plan.Waves = append(plan.GetWaves(), &releasev1.Wave{})
	}},
	{name: "request with a target in two waves", request: two, phase: procedure.PhaseNone, want: "two waves", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.GetRequested().GetRequest().GetPlan().GetWaves()[1].Targets = []string{"eu1"}
	}},
	{name: "request of another release", phase: procedure.PhaseNone, want: "another release", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.GetRequested().GetRequest().IdempotencyKey = "ci-4712"
	}},
	{name: "request whose steps are never overdue", phase: procedure.PhaseNone, want: "deadline is missing", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.GetRequested().GetTimeouts().Decision = nil
	}},
	{name: "request whose steps are overdue at once", phase: procedure.PhaseNone, want: "deadline is missing", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.GetRequested().GetTimeouts().Step = durationpb.New(0)
	}},
	{name: "request whose execution is never overdue", phase: procedure.PhaseNone, want: "deadline is missing", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.GetRequested().GetTimeouts().Execute = nil
	}},
	{name: "request whose validation is never overdue", phase: procedure.PhaseNone, want: "deadline is missing", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.GetRequested().GetTimeouts().Verify = nil
	}},
	{name: "request that may start at any time", phase: procedure.PhaseNone, want: "no deadline", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.GetRequested().StartBy = nil
	}},
	{name: "request under no procedure", phase: procedure.PhaseNone, want: "not named", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.ProcedureDigest = "latest"
	}},

	// Steps 1 to 3.
	{name: "gate that failed, confirmed", phase: procedure.PhaseGates, want: "did not pass", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.GetGatesConfirmed().GetVerdicts()[1].Status = releasev1.GateVerdict_STATUS_FAILED
	}},
	{name: "gate without a verdict, confirmed", phase: procedure.PhaseGates, want: "did not pass", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.GetGatesConfirmed().GetVerdicts()[1].Status = releasev1.GateVerdict_STATUS_UNSPECIFIED
	}},
	{name: "gate bypassed without an emergency", phase: procedure.PhaseGates, want: "without an emergency", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.GetGatesConfirmed().GetVerdicts()[1].Status = releasev1.GateVerdict_STATUS_BYPASSED
	}},
	{name: "gate that is waived by nobody", phase: procedure.PhaseGates, want: "waived by nobody", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.GetGatesConfirmed().GetVerdicts()[1].Status = releasev1.GateVerdict_STATUS_WAIVED
	}},
	{name: "gate that is waived without a reason", phase: procedure.PhaseGates, want: "without an owner or a reason", spoil: func(h *proceduretest.History, e *releasev1.Event) {
		v := e.GetGatesConfirmed().GetVerdicts()[1]
		v.Status = releasev1.GateVerdict_STATUS_WAIVED
		v.Waivers = []*releasev1.Waiver{{Owner: "anna", Reason: " ", Expires: timestamppb.New(h.Now.Add(time.Hour))}}
	}},
	{name: "gate that is waived without an end", phase: procedure.PhaseGates, want: "waived no longer", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		v := e.GetGatesConfirmed().GetVerdicts()[1]
		v.Status, v.Waivers = releasev1.GateVerdict_STATUS_WAIVED, []*releasev1.Waiver{{Owner: "anna", Reason: "it is being moved"}}
	}},
	{name: "gate with a verdict that nobody knows, confirmed", phase: procedure.PhaseGates, want: "unknown status", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.GetGatesConfirmed().GetVerdicts()[1].Status = 99
	}},
	{name: "artifact of another name", phase: procedure.PhaseScope, want: "not the one that was asked for", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.GetScopeValidated().GetArtifacts()[0].Name = "shop-db"
	}},
	{name: "artifact of another kind", phase: procedure.PhaseScope, want: "not the one that was asked for", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.GetScopeValidated().GetArtifacts()[0].Kind = releasev1.ArtifactKind_ARTIFACT_KIND_OCI_IMAGE
	}},
	{name: "artifact of another digest", phase: procedure.PhaseScope, want: "not the one that was asked for", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.GetScopeValidated().GetArtifacts()[0].Digest = proceduretest.Digest('0')
	}},
	{name: "artifact from elsewhere", phase: procedure.PhaseScope, want: "not the one that was asked for", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.GetScopeValidated().GetArtifacts()[0].Location = "elsewhere"
	}},
	{name: "artifact that was added", phase: procedure.PhaseScope, want: "missing or added", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		d := e.GetScopeValidated()
		d.Artifacts = append(d.Artifacts, proto.CloneOf(d.GetArtifacts()[0]))
	}},
	{name: "target that was added", phase: procedure.PhaseScope, want: "missing, added", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		d := e.GetScopeValidated()
		d.Targets = append(d.Targets, &releasev1.ScopedTarget{Target: "eu2"})
	}},
	{name: "target that is another one", request: two, phase: procedure.PhaseScope, want: "missing, added", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.GetScopeValidated().GetTargets()[1].Target = "ap1"
	}},
	{name: "targets in another order", request: two, phase: procedure.PhaseScope, want: "out of order", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		slices.Reverse(e.GetScopeValidated().GetTargets())
	}},
	{name: "scope with a blocking finding", phase: procedure.PhaseScope, want: "blocking", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.GetScopeValidated().Findings = proceduretest.Blocking("owner.unknown")
	}},
	{name: "preview of fewer targets", request: two, phase: procedure.PhasePreview, want: "missing, added", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		d := e.GetChangePreviewed()
		d.Previews = d.GetPreviews()[:2]
	}},
	{name: "preview of another target", request: two, phase: procedure.PhasePreview, want: "missing, added", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.GetChangePreviewed().GetPreviews()[1].Target = "ap1"
	}},
	{name: "preview by a driver without a class", phase: procedure.PhasePreview, want: "class", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.GetChangePreviewed().GetPreviews()[0].Class = 0
	}},
	{name: "preview with a blocking finding", phase: procedure.PhasePreview, want: "blocking", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.GetChangePreviewed().Findings = proceduretest.Blocking("target.drift")
	}},
	{name: "choice of a bake that the request does not let", phase: procedure.PhaseRisk, want: "does not let its bake be raised", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.GetRiskCleared().Chosen = bakeOf(time.Hour)
	}},
	{name: "choice in an emergency", request: func(r *releasev1.Request) { proceduretest.Emergency(r); mayRaise(r) }, phase: procedure.PhaseRisk, want: "not planned", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.GetRiskCleared().Chosen = bakeOf(time.Hour)
	}},
	{name: "choice of nothing", request: mayRaise, phase: procedure.PhaseRisk, want: "nothing is chosen", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.GetRiskCleared().Chosen = &releasev1.Chosen{}
	}},
	{name: "choice of a bake as long as was asked for", request: mayRaise, phase: procedure.PhaseRisk, want: "no longer than what was asked for", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.GetRiskCleared().Chosen = bakeOf(2 * time.Minute)
	}},
	{name: "choice of a bake that is longer than any", request: mayRaise, phase: procedure.PhaseRisk, want: "longer than any", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.GetRiskCleared().Chosen = bakeOf(24*time.Hour + 1)
	}},
	{name: "choice of a bake in another form", request: mayRaise, phase: procedure.PhaseRisk, want: "longer than any", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.GetRiskCleared().Chosen = &releasev1.Chosen{Bake: &durationpb.Duration{Seconds: 3599, Nanos: 1e9}}
	}},
	{name: "choice of waves that the request does not let", request: two, phase: procedure.PhaseRisk, want: "does not let its waves be divided", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.GetRiskCleared().Chosen = wavesOf([]string{"eu1"}, []string{"us1"}, []string{"us2"})
	}},
	{name: "choice of waves in another order", request: divided, phase: procedure.PhaseRisk, want: "not those that were asked for, in parts", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.GetRiskCleared().Chosen = wavesOf([]string{"us1"}, []string{"eu1"}, []string{"us2"})
	}},
	{name: "choice of waves over the end of one", request: divided, phase: procedure.PhaseRisk, want: "not those that were asked for, in parts", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.GetRiskCleared().Chosen = wavesOf([]string{"eu1", "us1"}, []string{"us2"})
	}},
	{name: "choice of waves without a target", request: divided, phase: procedure.PhaseRisk, want: "not those that were asked for, in parts", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.GetRiskCleared().Chosen = wavesOf([]string{"eu1"}, []string{"us1"})
	}},
	{name: "choice of waves with another target", request: divided, phase: procedure.PhaseRisk, want: "not those that were asked for, in parts", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.GetRiskCleared().Chosen = wavesOf([]string{"eu1"}, []string{"us1"}, []string{"us2"}, []string{"us3"})
	}},
	{name: "choice of waves that were asked for", request: divided, phase: procedure.PhaseRisk, want: "not those that were asked for, in parts", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.GetRiskCleared().Chosen = wavesOf([]string{"eu1"}, []string{"us1", "us2"})
	}},
	{name: "choice of more waves than a plan has", request: func(r *releasev1.Request) {
		proceduretest.Waves(strings.Split("abcdefghijklmnopq", ""))(r)
		mayDivide(r)
	}, phase: procedure.PhaseRisk, want: "more waves are chosen than a plan has", spoil: func(h *proceduretest.History, e *releasev1.Event) {
		c := &releasev1.Chosen{}
		for _, t := range procedure.Targets(h.Asked) {
			c.Waves = append(c.GetWaves(), &releasev1.Wave{Targets: []string{t}})
		}
		e.GetRiskCleared().Chosen = c
	}},
	{name: "choice of a wave of nothing", request: divided, phase: procedure.PhaseRisk, want: "not those that were asked for, in parts", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.GetRiskCleared().Chosen = wavesOf([]string{"eu1"}, []string{}, []string{"us1", "us2"})
	}},
	{name: "choice of a bake beside waves that may not be divided", request: func(r *releasev1.Request) { two(r); mayRaise(r) }, phase: procedure.PhaseRisk, want: "does not let its waves be divided", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.GetRiskCleared().Chosen = wavesOf([]string{"eu1"}, []string{"us1"}, []string{"us2"})
		e.GetRiskCleared().Chosen.Bake = durationpb.New(time.Hour)
	}},
	{name: "choice that the digest is not of", request: mayRaise, phase: procedure.PhaseRisk, want: "digest", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.GetRiskCleared().Chosen = bakeOf(time.Hour)
	}},
	{name: "risk cleared for another digest", phase: procedure.PhaseRisk, want: "change digest", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.GetRiskCleared().ChangeDigest = proceduretest.Digest('0')
	}},
	{name: "risk cleared with a blocking finding", phase: procedure.PhaseRisk, want: "blocking", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.GetRiskCleared().Findings = proceduretest.Blocking("review.overdue")
	}},
	{name: "risk bypassed without an emergency", phase: procedure.PhaseRisk, want: "without an emergency", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.GetRiskCleared().Bypassed = []string{"freeze"}
	}},
	{name: "risk cleared without a deadline for approvals", phase: procedure.PhaseRisk, want: "no deadline", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.GetRiskCleared().ApproveBy = nil
	}},
	{name: "risk cleared with a quorum of nobody", phase: procedure.PhaseRisk, want: "nobody", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.GetRiskCleared().Quorum = nil
	}},
	{name: "hold without a reason", phase: procedure.PhaseRisk, want: "needs a reason", spoil: func(h *proceduretest.History, e *releasev1.Event) {
		e.Data = &releasev1.Event_Held{Held: &releasev1.Held{Until: timestamppb.New(h.Now.Add(time.Hour))}}
	}},
	{name: "hold without an end", phase: procedure.PhaseRisk, want: "needs a reason and an end", spoil: func(h *proceduretest.History, e *releasev1.Event) {
		held := proceduretest.Hold("freeze", h.Now.Add(time.Hour))
		held.Until = nil
		e.Data = &releasev1.Event_Held{Held: held}
	}},

	// Authorization.
	{name: "approval by a machine", phase: procedure.PhaseApprove, want: "only a person", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.Actor = &releasev1.Actor{Id: "bot", Kind: releasev1.Actor_KIND_SERVICE, Groups: []string{"release-managers"}}
	}},
	{name: "approval that has expired already", phase: procedure.PhaseApprove, want: "expired already", spoil: func(h *proceduretest.History, e *releasev1.Event) {
		e.GetApprovalGiven().Expires = timestamppb.New(h.Now)
	}},
	{name: "authorization for another digest", phase: procedure.PhaseApprove, prepare: approved, want: "another change digest", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.GetAuthorized().ChangeDigest = proceduretest.Digest('0')
	}},
	{name: "authorization before the approvals suffice", phase: procedure.PhaseApprove, want: "approvals are missing", spoil: func(h *proceduretest.History, e *releasev1.Event) {
		e.Data, e.Actor = &releasev1.Event_Authorized{Authorized: &releasev1.Authorized{
			ChangeDigest: h.State().ChangeDigest, ValidUntil: timestamppb.New(h.Now.Add(time.Hour)),
		}}, proceduretest.Service("approval")
	}},
	{name: "authorization by somebody who did not approve", phase: procedure.PhaseApprove, prepare: approved, want: "not given", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.GetAuthorized().GetApprovals()[0].Person = "dan"
	}},
	{name: "authorization that counts a person twice", phase: procedure.PhaseApprove, prepare: approved, want: "not given", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		d := e.GetAuthorized()
		d.Approvals = []*releasev1.CountedApproval{d.GetApprovals()[0], d.GetApprovals()[0]}
	}},
	{name: "authorization that leaves an approval out", phase: procedure.PhaseApprove, prepare: approved, want: "not given", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.GetAuthorized().Approvals = nil
	}},
	{name: "authorization that has ended", phase: procedure.PhaseApprove, prepare: approved, want: "valid no longer", spoil: func(h *proceduretest.History, e *releasev1.Event) {
		e.GetAuthorized().ValidUntil = timestamppb.New(h.Now)
	}},
	{name: "emergency authorization of a planned release", phase: procedure.PhaseApprove, prepare: approved, want: "another lane", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.GetAuthorized().Emergency = true
	}},
	{name: "emergency without a review", request: proceduretest.Emergency, phase: procedure.PhaseApprove, prepare: approved, want: "owes a review", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.GetAuthorized().ReviewDue = nil
	}},
	{name: "emergency that hides what it bypassed", request: proceduretest.Emergency, phase: procedure.PhaseApprove, prepare: approved, want: "does not list", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.GetAuthorized().Bypassed = nil
	}},
	{name: "rejection by somebody without a say", phase: procedure.PhaseApprove, want: "no group", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.Data, e.Actor = proceduretest.Reject().GetData(), proceduretest.Person("finn")
	}},
	{name: "rejection before there is anything to reject", phase: procedure.PhaseRisk, want: "nothing to decide", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.Data, e.Actor = proceduretest.Reject().GetData(), proceduretest.Person("anna")
	}},
	{name: "rejection by a machine", phase: procedure.PhaseApprove, want: "only a person", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.Data, e.Actor = proceduretest.Reject().GetData(), proceduretest.Service("approval")
	}},
	{name: "superseded by itself", phase: procedure.PhaseApprove, want: "no newer release", spoil: func(h *proceduretest.History, e *releasev1.Event) {
		e.Data, e.Actor = proceduretest.Supersede(h.Release).GetData(), nil
	}},
	{name: "notice of what nobody is to be told", phase: procedure.PhaseNotify, want: "nobody was to be told", spoil: func(_ *proceduretest.History, e *releasev1.Event) {
		e.GetNotified().Number = 7
	}},
}

func approved(t *testing.T, h *proceduretest.History) {
	for {
		person, e := h.Good()
		if e.GetAuthorized() != nil {
			return
		}
		h.Do(t, person, e)
	}
}

// TestGuards shows for every guard that the event counts as it is, and does not
// with the one thing wrong; and that the state is then as it was.
func TestGuards(t *testing.T) {
	for _, g := range slices.Concat(guards, peopleGuards, workGuards) {
		t.Run(g.name, func(t *testing.T) {
			change := g.request
			if change == nil {
				change = func(*releasev1.Request) {}
			}
			h := proceduretest.New(proceduretest.Request(change))
			h.Pace = 0
			h.To(t, g.phase)
			if g.prepare != nil {
				g.prepare(t, h)
			}
			person, e := h.Good()
			e = proto.CloneOf(e)
			if person != "" {
				e.Actor = proceduretest.Person(person)
			}
			if _, err := procedure.Evolve(h.State(), h.Next(nil, e)); err != nil {
				t.Fatalf("without anything wrong: %v", err)
			}
			g.spoil(h, e)
			before := h.State()
			after, err := procedure.Evolve(before, h.Next(nil, e))
			if !errors.Is(err, procedure.ErrInvalidTransition) || !strings.Contains(err.Error(), g.want) {
				t.Errorf("got %v, want an invalid transition because of %q", err, g.want)
			}
			if diff := cmp.Diff(before, after, protocmpOptions); diff != "" {
				t.Errorf("the state changed:\n%s", diff)
			}
		})
	}
}
