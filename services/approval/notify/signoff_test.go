package notify_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// TestWhoIsAskedToSignOffIsTold: those of the check's groups who may answer are told what is asked, until
// when, and how it is answered (PD-4.1).
func TestWhoIsAskedToSignOffIsTold(t *testing.T) {
	r := newRig(t, func(d *policyv1.Procedure) {
		d.Channels[0].Occasions = append(slices.Clone(d.GetChannels()[0].GetOccasions()), releasev1.Occasion_OCCASION_SIGN_OFF_WANTED)
	})
	ledger := &releasev1.Check{Name: "ledger", Probe: &releasev1.Check_SignOff{SignOff: &releasev1.SignOffProbe{
		Question: "Do the sums agree?", Groups: []string{"release-managers", "security"},
	}}}
	release := r.Reach(t, procedure.PhaseVerify, func(q *releasev1.Request) { q.Validation.Checks = append(q.Validation.Checks, ledger) })
	s := r.Do(t, release, "", procedure.DecideSignOffWanted(r.State(t, release), []*releasev1.Check{ledger}, time.Hour, r.now))
	if s = r.act(t, release); slices.ContainsFunc(s.Wanted, func(n procedure.Notice) bool { return n.Occasion == releasev1.Occasion_OCCASION_SIGN_OFF_WANTED }) {
		t.Fatalf("still to be told: %v", s.Wanted)
	}
	said, _ := r.ops.last(t)
	for _, want := range []string{
		"To be signed off: shop 1.4.2 to production", "ledger: Do the sums agree?", "release-managers or security",
		"until " + s.SignOffs[0].Until.UTC().Format(time.RFC3339), "shipwarden sign-off " + release + " ledger --pass",
	} {
		if !strings.Contains(said.Subject+"\n"+said.Text, want) {
			t.Errorf("nobody is told %q in\n%s\n%s", want, said.Subject, said.Text)
		}
	}
	var asked []string
	for _, p := range r.told(t, release).GetAudience() {
		asked = append(asked, p.GetReason()+": "+strings.Join(p.GetPeople(), " "))
	}
	// Rita asked for it, Otto owns it, Ada and Alan wrote it.
	if diff := cmp.Diff([]string{"release-managers may sign off ledger: anna cleo dan", "security may sign off ledger: ben cleo"}, asked); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
	// Of a verification that is over nobody is told any more.
	other := r.Reach(t, procedure.PhaseVerify, proceduretest.Key("other"), func(q *releasev1.Request) { q.Validation.Checks = append(q.Validation.Checks, ledger) })
	r.Do(t, other, "", procedure.DecideSignOffWanted(r.State(t, other), []*releasev1.Check{ledger}, time.Hour, r.now))
	s = r.Do(t, other, "", proceduretest.Verified(r.State(t, other), releasev1.CheckResult_VERDICT_FAIL, false))
	if slices.ContainsFunc(s.Wanted, func(n procedure.Notice) bool { return n.Occasion == releasev1.Occasion_OCCASION_SIGN_OFF_WANTED }) {
		t.Errorf("wanted %v", s.Wanted)
	}
}
