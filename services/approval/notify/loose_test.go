package notify_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/approval/notify"
)

// lostDraft has the step tell, and what it would store is lost: the process is killed, or
// somebody else has written meanwhile.
func (r *rig) lostDraft(t *testing.T, release string, ledger notify.Ledger) {
	t.Helper()
	step := notify.New(r.Procedures, r.channels, ledger, r.Evidence, r.Store, func() time.Time { return r.now })
	if _, err := step.Act(t.Context(), r.Task(t, release, r.now)); err != nil {
		t.Fatal(err)
	}
}

// Where approvals are wanted, people are told, and the wait ends before that is on record, the
// same people hear that it is over, and no alarm stays open: whether the process was killed
// before or after it knew what became of it, and whether the receiver said that it has it.
func TestAWaitThatWasToldAndIsNotOnRecordIsSettled(t *testing.T) {
	for name, test := range map[string]struct {
		status int
		ledger func(notify.Ledger) notify.Ledger
		waits  bool // for whoever may be sending still
	}{
		"and it is known that it arrived": {200, func(l notify.Ledger) notify.Ledger { return l }, false},
		"and nobody knows":                {200, func(l notify.Ledger) notify.Ledger { return forgetful{l} }, true},
		"and the receiver had a fault":    {500, func(l notify.Ledger) notify.Ledger { return l }, false},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, wanting)
			pager := r.pages(t)
			release, _ := r.announce(t)
			pager.answer(test.status)
			r.lostDraft(t, release, test.ledger(r.ledger))
			pager.answer(200)
			r.Do(t, release, "otto", proceduretest.Withdraw())
			if test.waits {
				if _, err := r.step().Act(t.Context(), r.Task(t, release, r.now)); err == nil {
					t.Error("whoever may be sending still is not waited for")
				}
				r.now = r.now.Add(time.Hour)
			}
			for range 2 { // The first of them is lost as well.
				r.lostDraft(t, release, r.ledger)
			}
			r.act(t, release)
			key := release + "/approval_wanted/1/pager"
			got := slices.Compact(pager.actions(t))
			if diff := cmp.Diff([]string{"trigger " + key, "resolve " + key}, got); diff != "" {
				t.Errorf("the pager heard (-want +got):\n%s", diff)
			}
			if said, _ := r.ops.last(t); said.Subject != "Approval not wanted any more: shop 1.4.2 to production" {
				t.Errorf("ops heard %+v", said)
			}
		})
	}
}

// An announcement of a start that is not on record leaves no alarm open either: the end of the
// release settles it, and says nothing of it where nothing stays open.
func TestTheEndSettlesWhatIsNotOnRecord(t *testing.T) {
	r := newRig(t, wanting, func(d *policyv1.Procedure) {
		d.Channels = append(d.Channels, &policyv1.Channel{Name: "mail", Occasions: []releasev1.Occasion{releasev1.Occasion_OCCASION_START}})
	})
	pager, mail := r.pages(t), newReceiver(t)
	r.channels["mail"] = open(t, "mail", configv1.ChannelAddress_KIND_WEBHOOK, mail.URL)
	r.channels["chat"] = r.channels["pager"] // It hears starts.
	release := r.Reach(t, procedure.PhaseNotify)
	r.lostDraft(t, release, r.ledger)
	r.Do(t, release, "otto", proceduretest.Withdraw())
	r.To(t, release, procedure.PhaseFollowUp)
	r.act(t, release)
	key := release + "/start/1/chat"
	if diff := cmp.Diff([]string{"trigger " + key, "resolve " + key}, pager.actions(t)); diff != "" {
		t.Errorf("the pager heard (-want +got):\n%s", diff)
	}
	if got := mail.heard(); !slices.Equal(got, []string{release + "/start/1/mail"}) {
		t.Errorf("mail heard %v", got)
	}
}
