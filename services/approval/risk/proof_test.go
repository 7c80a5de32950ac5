package risk_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// TestAWayBackThatIsNotShownIsRefusedOrTakesOneMoreGroup: step 3 names the exact proof that
// failed; with a plan of what is done instead one more group agrees (PD-3.5, N-05).
func TestAWayBackThatIsNotShownIsRefusedOrTakesOneMoreGroup(t *testing.T) {
	r := newRig(t, func(d *policyv1.Procedure) {
		d.RollbackReadiness = &policyv1.RollbackReadiness{
			Approvals:    []*policyv1.Approvals{{Group: "operators", Count: 1}},
			FirstRelease: policyv1.RollbackReadiness_FIRST_RELEASE_PLAN,
		}
	})
	recovery := func(q *releasev1.Request) { q.RollbackPlan.Recovery = "Roll forward with the hotfix build." }
	there := &releasev1.RollbackProof{Possible: true, Obtainable: true, Demanded: true, Found: "verified at shop/1.4.1/shop"}
	gone := &releasev1.RollbackProof{Possible: true, Demanded: true, Found: "artifact not found at shop/1.4.1/shop"}
	broken := &releasev1.RollbackProof{Demanded: true}
	first := &releasev1.RollbackProof{Demanded: true, First: true}
	for _, c := range []struct {
		name    string
		proof   *releasev1.RollbackProof
		unready bool
		changes []func(*releasev1.Request)
		phase   procedure.Phase
		groups  string
		finding string
		said    string
	}{
		{"shown", there, false, nil, procedure.PhaseApprove, "release-managers security", "rollback.ready", "a dry run went through"},
		{"gone", gone, false, nil, procedure.PhaseRecord, "", "rollback.unavailable", "artifact not found at shop/1.4.1/shop"},
		{"gone with a plan", gone, false, []func(*releasev1.Request){recovery}, procedure.PhaseApprove, "operators release-managers security", "rollback.unavailable", "artifact not found"},
		{"a dry run that fails", broken, false, nil, procedure.PhaseRecord, "", "rollback.unavailable", "the dry run of the way back failed"},
		{"the first release", first, true, nil, procedure.PhaseRecord, "", "rollback.unavailable", "nothing was there before"},
		{"the first release with a plan", first, true, []func(*releasev1.Request){recovery}, procedure.PhaseApprove, "release-managers security", "rollback.unavailable", "nothing was there before"},
		{"data is changed for good", there, false, []func(*releasev1.Request){proceduretest.Irreversible, recovery}, procedure.PhaseApprove, "operators release-managers security", "rollback.unavailable", "for good"},
		{"gone in an emergency", gone, false, []func(*releasev1.Request){proceduretest.Emergency}, procedure.PhaseApprove, "incident-commanders", "rollback.unavailable", "artifact not found"},
	} {
		t.Run(c.name, func(t *testing.T) {
			key := proceduretest.Key(strings.ReplaceAll(c.name, " ", "-"))
			release := r.Reach(t, procedure.PhasePreview, append(c.changes, key)...)
			var unready []string
			if c.unready {
				unready = []string{"eu1"}
			}
			e := proceduretest.Preview(r.State(t, release), releasev1.DriverClass_DRIVER_CLASS_OPAQUE, unready, nil)
			for _, p := range e.GetChangePreviewed().GetPreviews() {
				p.Rollback = c.proof
			}
			r.Do(t, release, "", e)
			s := judge(t, r, release, time.Now())
			var groups []string
			for _, q := range s.Quorum {
				groups = append(groups, q.GetGroup())
			}
			if s.Phase != c.phase || strings.Join(groups, " ") != c.groups {
				t.Fatalf("phase %s (%s), quorum %v", s.Phase, s.EndReason, groups)
			}
			if !slices.ContainsFunc(s.Findings, func(f *releasev1.Finding) bool {
				return f.GetRule() == c.finding && strings.Contains(f.GetMessage(), c.said)
			}) {
				t.Errorf("findings %v", s.Findings)
			}
			if s.Emergency() && !slices.ContainsFunc(s.Bypassed, func(b string) bool { return strings.HasPrefix(b, "rollback readiness: ") }) {
				t.Errorf("bypassed %q", s.Bypassed)
			}
		})
	}
}
