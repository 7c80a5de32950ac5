package notify_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/approval/approvaltest"
)

// rules has the owners, those who depend, the customers and a group told of a start, the
// customers by a channel of their own.
func rules(d *policyv1.Procedure) {
	start := []releasev1.Occasion{releasev1.Occasion_OCCASION_START}
	d.Groups = append(d.Groups,
		&policyv1.Group{Name: "web", Members: []string{"finn"}}, &policyv1.Group{Name: "acme-desk", Members: []string{"dan", "cleo"}})
	d.Services = append(d.Services, &policyv1.Service{Name: "web", OwnerGroups: []string{"web"}, Dependencies: []string{"shop"}})
	d.Channels = append(d.Channels, &policyv1.Channel{Name: "mail", Occasions: []releasev1.Occasion{releasev1.Occasion_OCCASION_END}})
	d.CustomerContacts = []*policyv1.CustomerContact{{Customer: "acme", Group: "acme-desk"}}
	d.Audiences = []*policyv1.Audience{
		{Name: "responsible", Occasions: start, Owners: true, Dependents: true},
		{Name: "customers", Occasions: start, Customers: true, Channels: []string{"mail"}, Acknowledge: &policyv1.Acknowledgement{Within: durationpb.New(time.Hour)}},
		{Name: "elsewhere", Occasions: start, Environments: []string{"staging"}, Groups: []string{"security"}},
		{Name: "desk", Occasions: start, Groups: []string{"operators"}, Channels: []string{"chat"}},
	}
}

func TestAnAudienceIsFoundByWhatTheReleaseTouches(t *testing.T) {
	index := policy.NewIndex(approvaltest.Document(rules))
	served := proceduretest.Request(proceduretest.Waves([]string{"eu1"}, []string{"us1"}))
	var got []string
	for _, m := range index.AudienceOf(releasev1.Occasion_OCCASION_START, procedure.State{Request: served}, time.Time{}) {
		got = append(got, m.Audience.GetName()+" | "+m.Reason+" | "+strings.Join(m.People, " "))
	}
	want := []string{
		"responsible | owns shop: developers | ada otto",
		"responsible | owner of the release | otto",
		"responsible | owns web, which depends on shop: web | finn",
		"customers | customer acme | cleo dan",
		"desk | group operators | gina",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("audience (-want +got):\n%s", diff)
	}
	if all := index.AudienceOf(releasev1.Occasion_OCCASION_END, procedure.State{Request: served}, time.Time{}); len(all) != 0 {
		t.Errorf("of the end: %v", all)
	}
	for _, m := range index.AudienceOf(releasev1.Occasion_OCCASION_START, procedure.State{Request: proceduretest.Request()}, time.Time{}) {
		if m.Audience.GetName() == "customers" {
			t.Errorf("eu1 serves nobody: %v", m)
		}
	}
}

// The event says for whom a notice was meant, why, and what became of it for each; and the
// start waits for whom it has to.
func TestTheAudienceIsOnRecordAndTheStartWaitsForIt(t *testing.T) {
	r := newRig(t, rules)
	r.chat.answer(403)
	mail := newReceiver(t)
	r.channels["mail"] = open(t, "mail", configv1.ChannelAddress_KIND_WEBHOOK, mail.URL)
	release := r.Reach(t, procedure.PhaseNotify, proceduretest.Waves([]string{"eu1"}, []string{"us1"}))
	s, err := r.Act(t, r.step(), release, r.now)
	if err != nil || s.Phase != procedure.PhaseNotify || len(s.Holds) != 1 || s.Holds[0].GetMessage() != "cleo or dan (customer acme)" {
		t.Fatalf("phase %s, holds %v, %v", s.Phase, s.Holds, err)
	}
	n := r.told(t, release)
	if n.GetAudience()[3].GetAcknowledgeBy().AsTime().Sub(r.now) != time.Hour || n.GetAudience()[0].GetAcknowledgeBy() != nil {
		t.Errorf("audience %v", n.GetAudience())
	}
	delivered, failed := releasev1.Recipient_STATE_DELIVERED, releasev1.Recipient_STATE_FAILED
	want := []*releasev1.Recipient{
		{Person: "ada", State: delivered, Channels: []string{"ops"}},
		{Person: "cleo", State: delivered, Channels: []string{"mail"}},
		{Person: "dan", State: delivered, Channels: []string{"mail"}},
		{Person: "finn", State: delivered, Channels: []string{"ops"}},
		{Person: "gina", State: failed, Channels: []string{"chat"}},
		{Person: "otto", State: delivered, Channels: []string{"ops"}},
	}
	if diff := cmp.Diff(want, n.GetRecipients(), protocmp.Transform()); diff != "" {
		t.Errorf("recipients (-want +got):\n%s", diff)
	}
	got, raw := mail.last(t)
	if !strings.Contains(got.Text, "shipwarden acknowledge-notice "+release) || got.Fields["acknowledge"] != "one of cleo, dan (customer acme) within 1h0m0s" ||
		!strings.Contains(string(raw), `"people":["cleo","dan"]`) {
		t.Errorf("the mail says %s", raw)
	}
	if s = r.Do(t, release, "dan", proceduretest.Know()); s.Phase != procedure.PhaseExecute || len(s.Holds) != 0 {
		t.Errorf("when it is known: phase %s, holds %v", s.Phase, s.Holds)
	}
}

// Nothing makes an emergency wait, and nothing asks for it.
func TestAnEmergencyAsksNobodyToAcknowledge(t *testing.T) {
	r := newRig(t, rules)
	release := r.Reach(t, procedure.PhaseNotify, proceduretest.Emergency, proceduretest.Waves([]string{"us1"}))
	if s, err := r.Act(t, r.step(), release, r.now); err != nil || s.Phase != procedure.PhaseExecute {
		t.Fatalf("phase %s, %v", s.Phase, err)
	}
	n := r.told(t, release)
	if !slices.ContainsFunc(n.GetAudience(), func(p *releasev1.Party) bool { return p.GetAudience() == "customers" }) {
		t.Errorf("audience %v", n.GetAudience())
	}
	for _, p := range n.GetAudience() {
		if p.GetAcknowledgeBy() != nil {
			t.Errorf("asked of %v", p)
		}
	}
}
