package notify_test

import (
	"net/http"
	"slices"
	"testing"

	"github.com/blackdice/shipwarden/procedure"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// Where a required channel is down, its fallback is told instead, once however often it
// is tried, and its word is enough for the start; where both are down, the start waits.
func TestAFallbackStandsInForAChannelThatIsDown(t *testing.T) {
	r := newRig(t, func(d *policyv1.Procedure) {
		d.Channels = append(d.Channels, &policyv1.Channel{Name: "mail", Occasions: []releasev1.Occasion{releasev1.Occasion_OCCASION_END}})
		d.Channels[0].Fallback = "mail"
		d.Audiences = []*policyv1.Audience{{Name: "owners", Occasions: []releasev1.Occasion{releasev1.Occasion_OCCASION_START}, Owners: true, Channels: []string{"ops"}}}
	})
	mail := newReceiver(t)
	r.channels["mail"] = open(t, "mail", configv1.ChannelAddress_KIND_SLACK, mail.URL)
	r.ops.answer(http.StatusServiceUnavailable)
	mail.answer(http.StatusServiceUnavailable)
	release := r.Reach(t, procedure.PhaseNotify)
	if s, err := r.Act(t, r.step(), release, r.now); err == nil || s.Phase != procedure.PhaseNotify {
		t.Fatalf("both are down: phase %s, %v", s.Phase, err)
	}
	mail.answer(http.StatusOK)
	task := r.Task(t, release, r.now)
	if _, err := r.step().Act(t.Context(), task); err != nil { // and its draft is lost
		t.Fatal(err)
	}
	if s, err := r.Act(t, r.step(), release, r.now); err != nil || s.Phase != procedure.PhaseExecute {
		t.Fatalf("phase %s, %v", s.Phase, err)
	}
	n := r.told(t, release)
	at := slices.IndexFunc(n.GetReceipts(), func(x *releasev1.Receipt) bool { return x.GetInsteadOf() == "ops" })
	if at < 0 || n.GetReceipts()[at].GetChannel() != "mail" || !n.GetReceipts()[at].GetDelivered() || n.GetReceipts()[at].GetKey() != release+"/start/1/ops/mail" {
		t.Errorf("receipts %v", n.GetReceipts())
	}
	if p := n.GetRecipients()[0]; p.GetPerson() != "ada" || p.GetState() != releasev1.Recipient_STATE_DELIVERED || p.GetChannels()[0] != "mail" {
		t.Errorf("recipients %v", n.GetRecipients())
	}
	if len(mail.heard()) != 1 {
		t.Errorf("the fallback heard it %d times", len(mail.heard()))
	}
}

// A channel that is told anyway is not told twice because another one is down.
func TestAFallbackThatIsToldAnywayIsToldOnce(t *testing.T) {
	r := newRig(t, func(d *policyv1.Procedure) { d.Channels[0].Fallback = "chat" })
	r.ops.answer(http.StatusServiceUnavailable)
	release := r.Reach(t, procedure.PhaseNotify)
	if s, err := r.Act(t, r.step(), release, r.now); err != nil || s.Phase != procedure.PhaseExecute {
		t.Fatalf("phase %s, %v", s.Phase, err)
	}
	if n := r.told(t, release); len(n.GetReceipts()) != 2 || len(r.chat.heard()) != 1 {
		t.Errorf("receipts %v, the chat heard %v", n.GetReceipts(), r.chat.heard())
	}
}
