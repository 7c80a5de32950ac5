package notify_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/approval/channel"
)

// wanting has ops told when approvals are wanted, and a pager of nothing else. No machine is in
// a group whose approvals are needed: such a document is refused.
func wanting(d *policyv1.Procedure) {
	d.Channels[0].Occasions = append(slices.Clone(d.GetChannels()[0].GetOccasions()), releasev1.Occasion_OCCASION_APPROVAL_WANTED)
	d.Channels = append(d.Channels, &policyv1.Channel{Name: "pager", Occasions: []releasev1.Occasion{releasev1.Occasion_OCCASION_APPROVAL_WANTED}})
}

// pages adds the pager, and returns what it hears.
func (r *rig) pages(t *testing.T) *receiver {
	t.Helper()
	pager := newReceiver(t)
	c, err := channel.New(channel.Config{Name: "pager", Kind: configv1.ChannelAddress_KIND_PAGERDUTY, URL: pager.URL, Secrets: []string{strings.Repeat("r", 32)}, Attempts: 1})
	if err != nil {
		t.Fatal(err)
	}
	r.channels["pager"] = c
	return pager
}

// actions are what a pager was told to do, in its order.
func (r *receiver) actions(t *testing.T) []string {
	t.Helper()
	var out []string
	for _, body := range r.bodies {
		var e struct {
			Action string `json:"event_action"`
			Key    string `json:"dedup_key"`
		}
		if err := json.Unmarshal(body, &e); err != nil {
			t.Fatal(err)
		}
		out = append(out, e.Action+" "+e.Key)
	}
	return out
}

// announce carries a release to where it waits for approvals, which are announced.
func (r *rig) announce(t *testing.T, changes ...func(*releasev1.Request)) (release string, s procedure.State) {
	t.Helper()
	release = r.Reach(t, procedure.PhaseRisk, changes...)
	s = r.Do(t, release, "", proceduretest.Risk(r.State(t, release), r.now, func(f *procedure.RiskFacts) { f.Announced = true }))
	return release, s
}

// Those are told whose approvals a release begins to wait for, of exactly what, until when and
// how it is looked at; once, also when the process is killed and another one goes on, and
// whoever approves meanwhile. When it waits no more they are told that, and alarms are let go.
// When it waits anew, those are told who are missing then.
func TestWhoseApprovalsAreWantedIsTold(t *testing.T) {
	r := newRig(t, wanting)
	pager := r.pages(t)
	release, s := r.announce(t)
	if _, err := r.step().Act(t.Context(), r.Task(t, release, r.now)); err != nil { // and its draft is lost
		t.Fatal(err)
	}
	if s = r.act(t, release); s.Phase != procedure.PhaseApprove {
		t.Fatalf("phase %s", s.Phase)
	}
	said, _ := r.ops.last(t)
	for _, want := range []string{
		"Approval wanted: shop 1.4.2 to production", "1 of release-managers, 1 of security",
		"expires at " + s.ApproveBy.UTC().Format(time.RFC3339), "shipwarden approve " + release, "asked for by rita",
	} {
		if !strings.Contains(said.Subject+"\n"+said.Text, want) {
			t.Errorf("nobody is told %q in\n%s\n%s", want, said.Subject, said.Text)
		}
	}
	if said.Fields["change_digest"] != s.ChangeDigest {
		t.Errorf("fields %v, want the digest %s", said.Fields, s.ChangeDigest)
	}
	// Rita asked for it, Otto owns it, Ada and Alan wrote it.
	asked := func() (out []string) {
		for _, p := range r.told(t, release).GetAudience() {
			out = append(out, p.GetReason()+": "+strings.Join(p.GetPeople(), " "))
		}
		return out
	}
	if diff := cmp.Diff([]string{"1 of release-managers missing: anna cleo dan", "1 of security missing: ben cleo"}, asked()); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}

	r.Do(t, release, "anna", proceduretest.Approval(s, r.now.Add(time.Hour)))
	r.Do(t, release, "ben", proceduretest.Approval(r.State(t, release), r.now.Add(time.Hour)))
	r.Do(t, release, "", proceduretest.Authorize(r.State(t, release), r.now))
	r.act(t, release)
	said, _ = r.ops.last(t)
	if said.Subject != "Approval not wanted any more: shop 1.4.2 to production" || !strings.Contains(said.Text, "anna for release-managers, ben for security") {
		t.Errorf("heard %+v", said)
	}
	if diff := cmp.Diff([]string{"1 of release-managers missing: anna cleo dan", "1 of security missing: ben cleo"}, asked()); diff != "" {
		t.Errorf("told that it is over (-want +got):\n%s", diff)
	}

	r.Do(t, release, "ben", proceduretest.WithdrawApproval())
	r.act(t, release)
	if diff := cmp.Diff([]string{"1 of security missing: ben cleo"}, asked()); diff != "" {
		t.Errorf("asked anew (-want +got):\n%s", diff)
	}
	r.Do(t, release, "otto", proceduretest.Withdraw())
	r.act(t, release)
	if said, _ = r.ops.last(t); !strings.Contains(said.Text, "There is nothing to approve: withdrawn by otto; wrong version") {
		t.Errorf("heard %+v", said)
	}
	want := []string{"/approval_wanted/1/ops", "/start/1/ops", "/approval_settled/1/ops", "/correction/1/ops", "/approval_wanted/2/ops", "/approval_settled/2/ops"}
	for i := range want {
		want[i] = release + want[i]
	}
	if diff := cmp.Diff(want, r.ops.heard()); diff != "" {
		t.Errorf("ops heard (-want +got):\n%s", diff)
	}
	first, second := release+"/approval_wanted/1/pager", release+"/approval_wanted/2/pager"
	if diff := cmp.Diff([]string{"trigger " + first, "resolve " + first, "trigger " + second, "resolve " + second}, pager.actions(t)); diff != "" {
		t.Errorf("the pager heard (-want +got):\n%s", diff)
	}
}

// Whoever is slow asks nobody for what is not wanted any more, and tells nobody that it is
// not: that nobody was told is found out by the ledger.
func TestNobodyIsAskedToApproveWhatIsOver(t *testing.T) {
	r := newRig(t, wanting)
	pager := r.pages(t)
	release, _ := r.announce(t)
	late := r.Task(t, release, r.now) // a process that is held up here
	r.To(t, release, procedure.PhaseNotify)
	start, err := r.step().Act(t.Context(), r.Task(t, release, r.now))
	if err == nil {
		_, err = r.Store.Append(t.Context(), start...)
	}
	if err != nil {
		t.Fatal(err)
	}
	r.lostDraft(t, release, r.ledger)
	r.act(t, release)
	if got := r.ops.heard(); !slices.Equal(got, []string{release + "/start/1/ops"}) || len(pager.bodies) > 0 {
		t.Errorf("ops heard %v, the pager %d notices", got, len(pager.bodies))
	}
	if n := r.told(t, release); n.GetOccasion() != releasev1.Occasion_OCCASION_APPROVAL_SETTLED || len(n.GetReceipts()) > 0 {
		t.Errorf("on record is %v", n)
	}
	if _, err := r.step().Act(t.Context(), late); err != nil { // and its draft is refused
		t.Fatal(err)
	}
	if got := r.ops.heard(); len(got) != 1 || len(pager.bodies) > 0 {
		t.Errorf("after it was over ops heard %v, the pager %d notices", got, len(pager.bodies))
	}
}

// An emergency asks whoever may authorize it, and says that it is one.
func TestWhoMayAuthorizeAnEmergencyIsAsked(t *testing.T) {
	r := newRig(t, wanting)
	r.pages(t)
	release, _ := r.announce(t, proceduretest.Emergency)
	r.act(t, release)
	said, _ := r.ops.last(t)
	if said.Subject != "Emergency to be authorized: shop 1.4.2 to production" || said.Fields["incident"] != "INC-77" || said.Fields["missing"] != "1 of incident-commanders" {
		t.Errorf("heard %+v", said)
	}
	// In the emergency lane the owner may, too.
	if p := r.told(t, release).GetAudience(); len(p) != 1 || !slices.Equal(p[0].GetPeople(), []string{"eve", "otto"}) {
		t.Errorf("asked %v", p)
	}
}
