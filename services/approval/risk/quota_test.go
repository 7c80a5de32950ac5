package risk_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/standing"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/approval/approvaltest"
	"github.com/blackdice/shipwarden/services/approval/catalog"
)

// entered lets the catalog note what became of a release.
func entered(t *testing.T, r *approvaltest.Rig, release string) {
	t.Helper()
	drafts, err := catalog.New(r.Procedures, r.Store).Act(t.Context(), r.Task(t, release, time.Now()))
	if err != nil {
		t.Fatal(err)
	}
	if len(drafts) > 0 {
		if _, err := r.Store.Append(t.Context(), drafts...); err != nil {
			t.Fatal(err)
		}
	}
}

// used puts emergencies on record that were asked for so long ago.
func used(t *testing.T, r *approvaltest.Rig, ago ...time.Duration) {
	t.Helper()
	s, err := standing.ReadService(t.Context(), r.Store, "production", "shop")
	if err != nil {
		t.Fatal(err)
	}
	for i, d := range ago {
		s = s.Used(fmt.Sprintf("shop-before-%d-%d", len(s.Emergencies), i), time.Now().Add(-d))
	}
	if _, err := r.Store.Append(t.Context(), s.Draft(s.Changed("shop-before", s.Open, s.Debts))); err != nil {
		t.Fatal(err)
	}
}

// TestOneEmergencyTooMany is refused, or takes more people, as the document says (N-04).
func TestOneEmergencyTooMany(t *testing.T) {
	quota := func(over ...*policyv1.Approvals) func(*policyv1.Procedure) {
		return func(d *policyv1.Procedure) {
			d.Emergency.Quota = &policyv1.EmergencyQuota{Count: 2, Period: durationpb.New(7 * 24 * time.Hour), Over: over}
		}
	}
	more := quota(&policyv1.Approvals{Group: "security", Count: 2})
	week := 7 * 24 * time.Hour
	for i, c := range []struct {
		name   string
		change func(*policyv1.Procedure)
		ago    []time.Duration
		want   procedure.Phase
		asked  int
	}{
		{"the second one", quota(), []time.Duration{time.Hour}, procedure.PhaseApprove, 1},
		{"the third one", quota(), []time.Duration{week - time.Hour, time.Hour}, procedure.PhaseRecord, 0},
		{"the third one, with more people", more, []time.Duration{week - time.Hour, time.Hour}, procedure.PhaseApprove, 2},
		{"the second one, with more people in the document", more, []time.Duration{time.Hour}, procedure.PhaseApprove, 1},
		{"of three, one is long ago", quota(), []time.Duration{week + time.Hour, time.Hour}, procedure.PhaseApprove, 1},
		{"where there is no quota", func(*policyv1.Procedure) {}, []time.Duration{3, 2, 1}, procedure.PhaseApprove, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, c.change)
			used(t, r, c.ago...)
			release := r.Reach(t, procedure.PhaseRisk, proceduretest.Key(fmt.Sprint(i)), proceduretest.Emergency)
			s := judge(t, r, release, time.Now())
			if s.Phase != c.want || len(s.Quorum) != c.asked {
				t.Errorf("phase %s, asked for %v: %s", s.Phase, s.Quorum, s.EndReason)
			}
			// A planned release is none of it.
			planned := r.Reach(t, procedure.PhaseRisk, proceduretest.Key(fmt.Sprint("planned-", i)))
			if s := judge(t, r, planned, time.Now()); s.Phase != procedure.PhaseApprove || found(s, "emergency.quota") {
				t.Errorf("planned: phase %s, %v", s.Phase, s.Findings)
			}
		})
	}
}

// TestAnEmergencyCountsOnceAndItsReviewIsOwed goes from the bypass to the review: it counts
// for the quota, blocks planned releases when the grace is over, is reviewed by nobody who
// had a part in it, and blocks nothing when somebody else has reviewed it (N-04).
func TestAnEmergencyCountsOnceAndItsReviewIsOwed(t *testing.T) {
	r := newRig(t)
	urgent := r.Reach(t, procedure.PhaseNotify, proceduretest.Key("urgent"), proceduretest.Emergency)
	for range 2 {
		entered(t, r, urgent)
	}
	for r.State(t, urgent).Phase == procedure.PhaseNotify {
		r.Do(t, urgent, "", proceduretest.Notify(r.State(t, urgent)))
	}
	r.To(t, urgent, procedure.PhaseFollowUp)
	entered(t, r, urgent)
	s, err := standing.ReadService(t.Context(), r.Store, "production", "shop")
	if err != nil || len(s.Emergencies) != 1 || s.Emergencies[0].GetRelease() != urgent || len(s.Debts) != 1 {
		t.Fatalf("%v, %v, %v", s.Emergencies, s.Debts, err)
	}
	from := s.Debts[0].GetBlocksFrom().AsTime()
	before := r.Reach(t, procedure.PhaseRisk, proceduretest.Key("before"))
	if s := judge(t, r, before, from.Add(-time.Second)); s.Phase != procedure.PhaseApprove {
		t.Errorf("within the grace: %s, %v", s.Phase, s.Holds)
	}
	after := r.Reach(t, procedure.PhaseRisk, proceduretest.Key("after"))
	if s := judge(t, r, after, from); s.Phase != procedure.PhaseHeld || !slices.Equal(holds(s), []string{"review.overdue"}) {
		t.Errorf("after it: %s, %v", s.Phase, s.Holds)
	}
	state := r.State(t, urgent)
	for _, who := range []string{"eve", "otto", "rita", "ada"} {
		if state.ReviewConflict(who) == "" {
			t.Errorf("%s may review it", who)
		}
	}
	r.Do(t, urgent, "cleo", proceduretest.Review())
	entered(t, r, urgent)
	then := r.Reach(t, procedure.PhaseRisk, proceduretest.Key("then"))
	if s := judge(t, r, then, from.Add(time.Hour)); s.Phase != procedure.PhaseApprove {
		t.Errorf("reviewed: %s, %v", s.Phase, s.Holds)
	}
	if s, err = standing.ReadService(t.Context(), r.Store, "production", "shop"); err != nil || len(s.Emergencies) != 1 || len(s.Debts) != 0 {
		t.Errorf("%v, %v, %v", s.Emergencies, s.Debts, err)
	}
}

// TestTwoEmergenciesAtOnceAreBothCounted: neither is authorized when the other is judged.
// Whichever gets to step 3 first, the one that was accepted later counts the earlier one,
// which counts no longer when it ended without being authorized (N-04).
func TestTwoEmergenciesAtOnceAreBothCounted(t *testing.T) {
	quota := func(d *policyv1.Procedure) {
		d.Environments[0].SupersedeOlder = false
		d.Emergency.Quota = &policyv1.EmergencyQuota{
			Count: 1, Period: durationpb.New(7 * 24 * time.Hour), Over: []*policyv1.Approvals{{Group: "security", Count: 1}},
		}
	}
	for name, order := range map[string][]int{"the first one first": {0, 1}, "the second one first": {1, 0}} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, quota)
			both := []string{
				r.Reach(t, procedure.PhaseRisk, proceduretest.Key("one"), proceduretest.Emergency),
				r.Reach(t, procedure.PhaseRisk, proceduretest.Key("two"), proceduretest.Emergency),
			}
			var asked [2]int
			for _, i := range order {
				asked[i] = len(judge(t, r, both[i], time.Now()).Quorum)
			}
			if asked != [2]int{1, 2} {
				t.Errorf("asked for %v groups, want one of the first and two of the second", asked)
			}
		})
	}
	r := newRig(t, quota)
	first := r.Reach(t, procedure.PhaseRisk, proceduretest.Key("one"), proceduretest.Emergency)
	second := r.Reach(t, procedure.PhaseRisk, proceduretest.Key("two"), proceduretest.Emergency)
	r.Do(t, first, "", &releasev1.Event{Data: &releasev1.Event_Superseded{Superseded: &releasev1.Superseded{ByRelease: second}}})
	if s := judge(t, r, second, time.Now()); len(s.Quorum) != 1 {
		t.Errorf("the first one is over and was never authorized; asked for %v", s.Quorum)
	}
}

// TestAnEmergencyWhoseHistorySomebodyFillsIsCounted for the next one, and neither that nor a
// name on the list that no release has keeps step 3 from its end (N-04).
func TestAnEmergencyWhoseHistorySomebodyFillsIsCounted(t *testing.T) {
	r := newRig(t, func(d *policyv1.Procedure) {
		d.Environments[0].SupersedeOlder = false
		d.Emergency.Quota = &policyv1.EmergencyQuota{
			Count: 1, Period: durationpb.New(7 * 24 * time.Hour), Over: []*policyv1.Approvals{{Group: "security", Count: 1}},
		}
	})
	filled := r.Reach(t, procedure.PhaseRisk, proceduretest.Key("one"), proceduretest.Emergency)
	s, err := standing.ReadService(t.Context(), r.Store, "production", "shop")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Store.Append(t.Context(), s.Draft(s.Changed(filled, append([]string{"no release.has > such a name"}, s.Open...), nil))); err != nil {
		t.Fatal(err)
	}
	next := r.Reach(t, procedure.PhaseRisk, proceduretest.Key("two"), proceduretest.Emergency)
	for range eventstore.MaxHistory {
		if _, err := r.JetStream().PublishAsync(procedure.Aggregate(filled)+".approval.approval_given", []byte("noise")); err != nil {
			t.Fatal(err)
		}
	}
	<-r.JetStream().PublishAsyncComplete()
	if s := judge(t, r, next, time.Now()); s.Phase != procedure.PhaseApprove || len(s.Quorum) != 2 {
		t.Errorf("in phase %s, asked for %v: %s", s.Phase, s.Quorum, s.EndReason)
	}
}
