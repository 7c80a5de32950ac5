package authorize_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// TestExplainSaysThatAlertsAreAskedForAgain before the start, and which one holds it then.
func TestExplainSaysThatAlertsAreAskedForAgain(t *testing.T) {
	r := newRig(t, func(d *policyv1.Procedure) {
		d.Incidents = &policyv1.Incidents{Scopes: []policyv1.Incidents_Scope{policyv1.Incidents_SCOPE_DEPENDENCY}}
		d.Alerts = []*policyv1.AlertRule{{
			Name: "errors", Source: "alertmanager", Reason: "look after it first",
			Matchers: []*policyv1.LabelMatcher{{Label: "service", Value: &policyv1.LabelMatcher_Is{Is: "{service}"}}},
		}}
	})
	desk := r.dial(t)
	ask := func(release string) *approvalv1.OutlookStep {
		t.Helper()
		answer, err := desk.Explain(as(t, "finn"), &approvalv1.ExplainRequest{Release: release})
		if err != nil {
			t.Fatal(err)
		}
		return stepOf(t, answer.GetOutlook(), "5")
	}
	release := r.Reach(t, procedure.PhaseApprove)
	if step := ask(release); !slices.Contains(step.GetWaitsFor(), "no alert of rule errors fires then, by alertmanager") {
		t.Errorf("ahead: %v", step)
	} else if !slices.Contains(step.GetWaitsFor(), "no release of billing is in flight then") ||
		!slices.Contains(step.GetWaitsFor(), "no other release has an open incident then, of billing") {
		t.Errorf("of neighbors it says %v", step)
	}
	r.To(t, release, procedure.PhaseExecute)
	held := proceduretest.Hold("alert.firing", time.Now().Add(time.Hour))
	held.Reasons[0].Subject, held.Reasons[0].Message = "errors", "ErrorRate fires"
	r.Do(t, release, "", &releasev1.Event{Data: &releasev1.Event_StartHeld{StartHeld: held}})
	if step := ask(release); step.GetStanding() != approvalv1.OutlookStep_STANDING_NOW || !strings.Contains(strings.Join(step.GetWaitsFor(), " "), "alert.firing errors") {
		t.Errorf("held: %v", step)
	}
}

// TestExplainSaysWhatTheDocumentInEffectAdds: the executor looks at other releases by that one
// too. What only calls itself a rollback waits for them like a planned release, and what takes
// back what it names does not.
func TestExplainSaysWhatTheDocumentInEffectAdds(t *testing.T) {
	r := newRig(t)
	desk := r.dial(t)
	gone := r.Reach(t, procedure.PhaseExecuting, proceduretest.Key("gone"), proceduretest.Waves([]string{"us1"}))
	r.Carries(t, "us1", &releasev1.Deployment{Release: "shop-before", Version: "1.4.1", Digest: proceduretest.Digest('b'), Service: "shop"})
	r.Carries(t, "us1", &releasev1.Deployment{Release: gone, Version: "1.4.2", Digest: proceduretest.Digest('a'), Service: "shop"})
	back := func(digit byte) func(*releasev1.Request) {
		return func(q *releasev1.Request) {
			proceduretest.Rollback(q)
			proceduretest.Waves([]string{"us1"})(q)
			q.RollbackOf, q.Version, q.Artifacts[0].Digest = gone, "1.4.1", proceduretest.Digest(digit)
		}
	}
	releases := map[string]string{
		"planned": r.Reach(t, procedure.PhaseApprove, proceduretest.Key("planned")),
		"back":    r.Reach(t, procedure.PhaseApprove, proceduretest.Key("back"), back('b')),
		"forth":   r.Reach(t, procedure.PhaseApprove, proceduretest.Key("forth"), back('9')),
		"urgent":  r.Reach(t, procedure.PhaseApprove, proceduretest.Key("urgent"), proceduretest.Emergency),
	}
	before := proto.CloneOf(r.Index(t).Document())
	for added, change := range map[string]func(*policyv1.Procedure){
		"no release of billing, search is in flight then": func(d *policyv1.Procedure) {
			d.Services = append(d.Services, &policyv1.Service{Name: "search", Dependencies: []string{"shop"}, Owners: []string{"anna"}})
		},
		"no other release has an open incident then, of billing": func(d *policyv1.Procedure) {
			d.Incidents = &policyv1.Incidents{Scopes: []policyv1.Incidents_Scope{policyv1.Incidents_SCOPE_DEPENDENCY}}
		},
	} {
		now := proto.CloneOf(before)
		change(now)
		r.Activate(t, now)
		for name, want := range map[string]bool{"planned": true, "forth": true, "back": false, "urgent": false} {
			answer, err := desk.Explain(as(t, "finn"), &approvalv1.ExplainRequest{Release: releases[name]})
			if err != nil {
				t.Fatal(err)
			}
			if step := stepOf(t, answer.GetOutlook(), "5"); slices.Contains(step.GetWaitsFor(), added) != want {
				t.Errorf("%s: %v", name, step)
			}
		}
	}
}
