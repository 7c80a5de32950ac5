package risk_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/incident"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/approval/approvaltest"
	"github.com/blackdice/shipwarden/services/approval/catalog"
	"github.com/blackdice/shipwarden/services/approval/risk"
)

// counting counts the histories that are read.
type counting struct {
	risk.Store
	loads int
}

func (c *counting) Load(ctx context.Context, aggregate string) (eventstore.History, error) {
	c.loads++
	return c.Store.Load(ctx, aggregate)
}

func (c *counting) Beginning(ctx context.Context, aggregate string) (eventstore.History, error) {
	c.loads++
	return c.Store.Beginning(ctx, aggregate)
}

// TestAnOpenIncidentHoldsOthers of the same service: an impact of a release that was at its
// end long since is reported. What it holds goes on when somebody has closed it; neither an
// emergency nor the way back from that release waits, and the record says so.
func TestAnOpenIncidentHoldsOthers(t *testing.T) {
	r := newRig(t, func(d *policyv1.Procedure) { d.Incidents = &policyv1.Incidents{} })
	cataloged := func(release string) {
		t.Helper()
		drafts, err := catalog.New(r.Procedures, r.Store).Act(t.Context(), r.Task(t, release, time.Now()))
		if err == nil && len(drafts) > 0 {
			_, err = r.Store.Append(t.Context(), drafts...)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	var past []string
	for _, key := range []string{"one", "two", "hurt"} {
		past = append(past, r.Reach(t, procedure.PhaseFollowUp, proceduretest.Key(key), proceduretest.Waves([]string{"us1"})))
		cataloged(past[len(past)-1])
	}
	hurt := past[2]
	r.Do(t, hurt, "rita", &releasev1.Event{Data: &releasev1.Event_ImpactReported{ImpactReported: &releasev1.ImpactReported{Description: "Orders are lost."}}})
	cataloged(hurt)
	r.Carries(t, "us1", &releasev1.Deployment{Release: "shop-before", Version: "1.4.1", Digest: proceduretest.Digest('b'), Service: "shop"})
	r.Carries(t, "us1", &releasev1.Deployment{Release: hurt, Version: "1.4.2", Digest: proceduretest.Digest('a'), Service: "shop"})
	back := func(q *releasev1.Request) {
		proceduretest.Rollback(q)
		proceduretest.Waves([]string{"us1"})(q)
		q.RollbackOf, q.Version, q.Artifacts[0].Digest = hurt, "1.4.1", proceduretest.Digest('b')
	}
	look := func(name string, change func(*releasev1.Request)) procedure.State {
		t.Helper()
		release := r.Reach(t, procedure.PhaseScope, proceduretest.Key(name), change)
		scope := approvaltest.Scope(r.State(t, release))
		if scope.GetScopeValidated().GetTargets()[0].GetTarget() == "us1" {
			scope.GetScopeValidated().GetTargets()[0].State = &releasev1.TargetState{Generation: 2}
		}
		r.Do(t, release, "", scope)
		before, now := r.To(t, release, procedure.PhaseRisk), time.Now()
		s := judge(t, r, release, now)
		entries := r.Task(t, release, now).History.Entries
		recorded := entries[len(entries)-1].Event
		again, err := risk.Judge(r.Index(t), before, risk.SeenIn(recorded), now)
		if err != nil || !proto.Equal(again.GetRiskCleared(), recorded.GetRiskCleared()) || !proto.Equal(again.GetHeld(), recorded.GetHeld()) {
			t.Errorf("%s: judged again it is\n%v, was\n%v, %v", name, again, recorded, err)
		}
		return s
	}
	s := look("planned", func(*releasev1.Request) {})
	if s.Phase != procedure.PhaseHeld || !slices.Equal(holds(s), []string{"incident.open"}) || s.Holds[0].GetSubject() != hurt ||
		!strings.HasPrefix(s.Holds[0].GetMessage(), "release "+hurt+" of the same service has an open incident, unexpected_impact since ") {
		t.Errorf("planned: phase %s, %v", s.Phase, s.Holds)
	}
	if s := look("urgent", proceduretest.Emergency); s.Phase != procedure.PhaseApprove || !slices.Contains(s.Bypassed, incident.Around(hurt)) || !found(s, incident.Rule) {
		t.Errorf("an emergency: phase %s, %v, bypassed %q", s.Phase, s.Holds, s.Bypassed)
	}
	if s := look("back", back); s.Phase != procedure.PhaseApprove || !found(s, incident.Rule) || len(s.Bypassed) > 0 {
		t.Errorf("the way back: phase %s, %v, %v", s.Phase, s.Holds, s.Findings)
	}
	// Whatever was recorded before: of what is at its end, one history is read.
	only := r.Reach(t, procedure.PhaseRisk, proceduretest.Key("counted"))
	store := &counting{Store: r.Store}
	if _, err := risk.Facts(t.Context(), r.Procedures, store, risk.Watch{}, r.State(t, only), time.Now()); err != nil || store.loads != 5 {
		t.Errorf("it reads %d histories, of one with an incident and four that are open, %v", store.loads, err)
	}
	r.Do(t, hurt, "eve", &releasev1.Event{Data: &releasev1.Event_Acknowledged{Acknowledged: &releasev1.Acknowledged{Cause: releasev1.Cause_CAUSE_UNEXPECTED_IMPACT, Comment: "on it"}}})
	if s := look("taken-on", func(*releasev1.Request) {}); s.Phase != procedure.PhaseHeld || !slices.Equal(holds(s), []string{"incident.open"}) ||
		!strings.HasSuffix(s.Holds[0].GetMessage(), "eve has taken it on, and nobody has closed it") {
		t.Errorf("when it was taken on: phase %s, %v", s.Phase, s.Holds)
	}
	r.Do(t, hurt, "eve", proceduretest.CloseIncident(r.State(t, hurt)))
	// The list of the service is behind; what is judged is the release itself.
	if s := look("after", func(*releasev1.Request) {}); s.Phase != procedure.PhaseApprove || !slices.ContainsFunc(s.Findings, func(f *releasev1.Finding) bool {
		return f.GetRule() == incident.Rule && f.GetSeverity() == releasev1.Finding_SEVERITY_OK
	}) {
		t.Errorf("when it was closed: phase %s, %v, %v", s.Phase, s.Holds, s.Findings)
	}
}
