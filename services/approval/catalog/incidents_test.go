package catalog_test

import (
	"slices"
	"testing"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/approval/approvaltest"
)

// TestAnIncidentOfWhatIsAtItsEndIsKeptUntilItIsClosed: an impact of a recorded release is
// reported, and others must find it although it is open no longer.
func TestAnIncidentOfWhatIsAtItsEndIsKeptUntilItIsClosed(t *testing.T) {
	r := approvaltest.New(t, approvaltest.Document())
	release := r.Reach(t, procedure.PhaseFollowUp)
	tick(t, r, release)
	if s := shop(t, r); len(s.Open)+len(s.Incidents) != 0 {
		t.Fatalf("recorded: %v, %v", s.Open, s.Incidents)
	}
	r.Do(t, release, "rita", &releasev1.Event{Data: &releasev1.Event_ImpactReported{ImpactReported: &releasev1.ImpactReported{Description: "Orders are lost."}}})
	if tick(t, r, release); !slices.Equal(shop(t, r).Incidents, []string{release}) {
		t.Errorf("reported: %v", shop(t, r).Incidents)
	}
	if again := tick(t, r, release); again != nil {
		t.Errorf("woken again, it says %v", again)
	}
	r.Request(t, proceduretest.Key("next"))
	if s := shop(t, r); len(s.Open) != 1 || len(s.Incidents) != 1 {
		t.Errorf("with the next request: %v, %v", s.Open, s.Incidents)
	}
	r.Do(t, release, "eve", &releasev1.Event{Data: &releasev1.Event_Acknowledged{Acknowledged: &releasev1.Acknowledged{Cause: releasev1.Cause_CAUSE_UNEXPECTED_IMPACT, Comment: "on it"}}})
	if tick(t, r, release); !slices.Equal(shop(t, r).Incidents, []string{release}) {
		t.Errorf("taken on: %v", shop(t, r).Incidents)
	}
	r.Do(t, release, "eve", proceduretest.CloseIncident(r.State(t, release)))
	if tick(t, r, release); len(shop(t, r).Incidents) != 0 {
		t.Errorf("closed: %v", shop(t, r).Incidents)
	}
}
