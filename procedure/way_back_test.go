package procedure_test

import (
	"testing"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// TestWhoCanGoBack tells what a request has to say from what the machine does: a
// rollback is a way back and need not have one planned, and is not undone by itself.
func TestWhoCanGoBack(t *testing.T) {
	none := func(r *releasev1.Request) { r.RollbackPlan.Strategy = releasev1.RollbackPlan_STRATEGY_NONE }
	for _, test := range []struct {
		name         string
		changes      []func(*releasev1.Request)
		unready      []string
		has, machine string
	}{
		{"a release", nil, nil, "", ""},
		{"a release that plans none", []func(*releasev1.Request){none}, nil, "the rollback plan says that there is no way back", "the rollback plan says that there is no way back"},
		{"a release whose target says no", nil, []string{"eu1"}, "target eu1: nothing was there before", "target eu1: nothing was there before"},
		{"a rollback", []func(*releasev1.Request){proceduretest.Rollback}, nil, "", "a rollback is not rolled back by itself"},
		{"a rollback that plans none", []func(*releasev1.Request){proceduretest.Rollback, none}, nil, "", "a rollback is not rolled back by itself"},
		{"a rollback whose target says no", []func(*releasev1.Request){proceduretest.Rollback}, []string{"eu1"}, "target eu1: nothing was there before", "a rollback is not rolled back by itself"},
		{"a release of which nobody knows about data", []func(*releasev1.Request){func(r *releasev1.Request) { r.Risk.Data = releasev1.Risk_DATA_NOT_STATED }}, nil, "nobody says whether data can be changed back", "nobody says whether data can be changed back"},
		{"a rollback that changes data for good", []func(*releasev1.Request){proceduretest.Rollback, proceduretest.Irreversible}, nil, "data is changed for good", "a rollback is not rolled back by itself"},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := proceduretest.New(proceduretest.Request(test.changes...))
			h.To(t, procedure.PhasePreview)
			h.Do(t, "", proceduretest.Preview(h.State(), h.Class, test.unready, nil))
			targets := procedure.Targets(h.State().Request)
			if has, why := procedure.HasWayBack(h.State(), targets); has != (test.has == "") || why != test.has {
				t.Errorf("has a way back: %t, %q; want %q", has, why, test.has)
			}
			if can, why := procedure.CanRollBack(h.State(), targets); can != (test.machine == "") || why != test.machine {
				t.Errorf("goes back by itself: %t, %q; want %q", can, why, test.machine)
			}
		})
	}
}

// TestAProofThatIsDemandedDecides: what the driver says of itself is enough where nothing
// else is demanded, and in histories of before it was tried (PD-3.5).
func TestAProofThatIsDemandedDecides(t *testing.T) {
	for _, test := range []struct {
		name  string
		proof *releasev1.RollbackProof
		data  string
		want  string
	}{
		{"of before", nil, "", ""},
		{"not demanded", &releasev1.RollbackProof{Found: "gone"}, "", ""},
		{"in order", &releasev1.RollbackProof{Demanded: true, Possible: true, Obtainable: true}, "migration 42 down", ""},
		{"no dry run", &releasev1.RollbackProof{Demanded: true, Obtainable: true}, "x", "target eu1: the dry run of the way back failed: 1.4.1 is still there"},
		{"gone", &releasev1.RollbackProof{Demanded: true, Possible: true, Found: "not found at shop"}, "x", "target eu1: what it would go back to cannot be had: not found at shop"},
		{"data that nobody says how to bring back", &releasev1.RollbackProof{Demanded: true, Possible: true, Obtainable: true}, " ", "risk.data_plan does not say how data is changed back"},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := proceduretest.New(proceduretest.Request(func(r *releasev1.Request) {
				r.Risk.Data, r.Risk.DataPlan = releasev1.Risk_DATA_REVERSIBLE, test.data
			}))
			h.To(t, procedure.PhasePreview)
			e := proceduretest.Preview(h.State(), h.Class, nil, nil)
			for _, p := range e.GetChangePreviewed().GetPreviews() {
				p.Rollback = test.proof
			}
			h.Do(t, "", e)
			if _, why := procedure.HasWayBack(h.State(), procedure.Targets(h.State().Request)); why != test.want {
				t.Errorf("%q, want %q", why, test.want)
			}
		})
	}
}

// TestWhatThePreviewCallsOutIsKept: approvers are shown it, and so is whoever reads the
// record.
func TestWhatThePreviewCallsOutIsKept(t *testing.T) {
	h := proceduretest.New(proceduretest.Request(proceduretest.Emergency))
	h.To(t, procedure.PhasePreview)
	before := len(h.State().Findings)
	drift := &releasev1.Finding{Rule: "target.drift", Severity: releasev1.Finding_SEVERITY_WARNING, Subject: "eu1"}
	previews := proceduretest.Preview(h.State(), h.Class, nil, nil).GetChangePreviewed().GetPreviews()
	h.Do(t, "", procedure.DecidePreview(previews, []*releasev1.Finding{drift}))
	if found := h.State().Findings; len(found) != before+1 || found[before].GetRule() != "target.drift" || h.State().Phase != procedure.PhaseRisk {
		t.Errorf("in phase %s: %v", h.State().Phase, found)
	}
}
