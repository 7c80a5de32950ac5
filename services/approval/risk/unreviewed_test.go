package risk_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/internal/standing"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/approval/approvaltest"
)

// forced makes the procedure owe the review of its document; it blocks from that time on.
func forced(t *testing.T, r *approvaltest.Rig, from time.Time) {
	t.Helper()
	active, err := standing.ReadProcedure(t.Context(), r.Store, approvaltest.ProcedureID)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Store.Append(t.Context(), active.Draft(&releasev1.Event{ProcedureDigest: r.Digest, Data: &releasev1.Event_ProcedureActivated{
		ProcedureActivated: &releasev1.ProcedureActivated{Version: "1.1", Digest: r.Digest, Standing: &releasev1.ProcedureStanding{
			Version: "1.1", Digest: r.Digest, Forced: 1, Debts: []*releasev1.ProcedureDebt{{
				Number: 1, Version: "1.1", Digest: r.Digest, ClaimedBy: "dave", Group: "security",
				Activated: timestamppb.New(from.Add(-72 * time.Hour)), Due: timestamppb.New(from.Add(-24 * time.Hour)), BlocksFrom: timestamppb.New(from),
			}},
		}},
	}})); err != nil {
		t.Fatal(err)
	}
}

// TestAForcedDocumentThatNobodyReviewedBlocksPlannedReleasesAndNoEmergency, after its grace;
// and says who has to do what.
func TestAForcedDocumentThatNobodyReviewedBlocksPlannedReleasesAndNoEmergency(t *testing.T) {
	r := newRig(t)
	now := time.Now()
	forced(t, r, now)
	planned := r.Reach(t, procedure.PhaseRisk, proceduretest.Key("planned"))
	if s := judge(t, r, planned, now.Add(-time.Second)); s.Phase != procedure.PhaseApprove {
		t.Errorf("before the grace is over: phase %s, %v", s.Phase, s.Holds)
	}
	late := r.Reach(t, procedure.PhaseRisk, proceduretest.Key("late"))
	s := judge(t, r, late, now)
	if s.Phase != procedure.PhaseHeld || s.HeldFor != procedure.PhaseRisk || !slices.Equal(holds(s), []string{procedure.HoldDocumentUnreviewed}) || s.Holds[0].GetSubject() != r.Digest {
		t.Fatalf("planned: phase %s, %v", s.Phase, s.Holds)
	}
	for _, say := range []string{"1.1", "dave", "security", "shipwarden procedure review 1"} {
		if !strings.Contains(s.Holds[0].GetMessage(), say) {
			t.Errorf("it does not say %q: %s", say, s.Holds[0].GetMessage())
		}
	}
	urgent := r.Reach(t, procedure.PhaseRisk, proceduretest.Key("urgent"), proceduretest.Emergency)
	if s := judge(t, r, urgent, now); s.Phase != procedure.PhaseApprove || !found(s, procedure.HoldDocumentUnreviewed) {
		t.Errorf("emergency: phase %s, %v, findings %v", s.Phase, s.Holds, s.Findings)
	}
}

// TestAForcedDocumentThatNobodyReviewedLetsAWayBackPass and blocks what only calls itself one.
func TestAForcedDocumentThatNobodyReviewedLetsAWayBackPass(t *testing.T) {
	r := newRig(t)
	now := time.Now()
	forced(t, r, now)
	gone := r.Reach(t, procedure.PhaseExecuting, proceduretest.Key("gone"))
	r.Carries(t, "eu1", &releasev1.Deployment{Release: "shop-before", Version: "1.4.1", Digest: proceduretest.Digest('b'), Service: "shop"})
	r.Carries(t, "eu1", &releasev1.Deployment{Release: gone, Version: "1.4.2", Digest: proceduretest.Digest('a'), Service: "shop"})
	for _, test := range []struct {
		name  string
		digit byte
		want  procedure.Phase
	}{{"back", 'b', procedure.PhaseApprove}, {"forth", '9', procedure.PhaseHeld}} {
		release := r.Reach(t, procedure.PhaseScope, proceduretest.Key(test.name), proceduretest.Rollback, func(q *releasev1.Request) {
			q.RollbackOf, q.Version, q.Artifacts[0].Digest = gone, "1.4.1", proceduretest.Digest(test.digit)
		})
		scope := approvaltest.Scope(r.State(t, release))
		scope.GetScopeValidated().GetTargets()[0].State = &releasev1.TargetState{Generation: 2}
		r.Do(t, release, "", scope)
		r.To(t, release, procedure.PhaseRisk)
		if s := judge(t, r, release, now); s.Phase != test.want {
			t.Errorf("%s: phase %s, %v, %s", test.name, s.Phase, s.Holds, s.EndReason)
		}
	}
}
