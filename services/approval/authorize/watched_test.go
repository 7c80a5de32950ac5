package authorize_test

import (
	"slices"
	"strings"
	"testing"
	"time"

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
