package notify_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/approval/channel"
)

// act lets the step tell of everything that people wait for.
func (r *rig) act(t *testing.T, release string) procedure.State {
	t.Helper()
	s := r.State(t, release)
	for len(s.Wanted) > 0 {
		var err error
		if s, err = r.Act(t, r.step(), release, r.now); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// subjects are what the receiver was told, in its order.
func (r *receiver) subjects(t *testing.T) []string {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []string
	for _, body := range r.bodies {
		var n notice
		if err := json.Unmarshal(body, &n); err != nil {
			t.Fatal(err)
		}
		out = append(out, n.Subject)
	}
	return out
}

// Whoever was told of a start hears that it waits, and for what, and that it begins after
// all; by the channels that told of it, though nobody listed them for that.
func TestAStartThatWaitsIsToldAgain(t *testing.T) {
	r := newRig(t, rules)
	r.channels["mail"] = open(t, "mail", configv1.ChannelAddress_KIND_WEBHOOK, newReceiver(t).URL)
	release := r.Reach(t, procedure.PhaseNotify)
	r.act(t, release)
	hold := func(rule string) {
		r.Do(t, release, "", &releasev1.Event{Data: &releasev1.Event_StartHeld{StartHeld: proceduretest.Hold(rule, time.Now().Add(-time.Second))}})
		r.act(t, release)
		s := r.State(t, release)
		r.Do(t, release, "", procedure.DecideDeadline(s, time.Now()))
	}
	hold(procedure.HoldTargetBusy)
	hold(procedure.HoldTargetBusy) // it is looked at again: no news
	r.Do(t, release, "", proceduretest.Claim(r.State(t, release), "executor-1", time.Now()))
	r.act(t, release)
	want := []string{
		"Release about to start: shop 1.4.2 to production",
		"Release waits before its start: shop 1.4.2 to production",
		"Release starts now: shop 1.4.2 to production",
	}
	if diff := cmp.Diff(want, r.ops.subjects(t)); diff != "" {
		t.Errorf("heard (-want +got):\n%s", diff)
	}
	n := r.told(t, release)
	if n.GetOccasion() != releasev1.Occasion_OCCASION_CORRECTION || !slices.ContainsFunc(n.GetRecipients(), func(x *releasev1.Recipient) bool { return x.GetPerson() == "finn" }) {
		t.Errorf("the correction was for %v", n.GetRecipients())
	}
}

// What people were told of a wait is no news when it comes.
func TestAWaitThatWasAnnouncedIsNoNews(t *testing.T) {
	r := newRig(t, func(d *policyv1.Procedure) {
		d.Freezes = append(d.Freezes, &policyv1.Freeze{Name: "weekend", SetBy: "gina", Reason: "nobody is there", When: &policyv1.Freeze_Once{Once: &policyv1.Span{
			Start: timestamppb.New(time.Now().Add(-time.Hour)), End: timestamppb.New(time.Now().Add(48 * time.Hour)),
		}}})
	})
	release := r.Reach(t, procedure.PhaseNotify)
	s := r.act(t, release)
	waits := r.told(t, release).GetWaitsFor()
	if len(waits) != 1 || waits[0].GetSubject() != "weekend" || s.Corrected == "" {
		t.Fatalf("waits for %v, %q", waits, s.Corrected)
	}
	hold := proceduretest.Hold("freeze", time.Now().Add(time.Hour))
	hold.Reasons = waits
	if s = r.Do(t, release, "", &releasev1.Event{Data: &releasev1.Event_StartHeld{StartHeld: hold}}); len(s.Wanted) != 0 {
		t.Errorf("wanted %v", s.Wanted)
	}
}

// A time that was told and is not true any more is told again, with the new one.
func TestAWaitThatLastsLongerIsTold(t *testing.T) {
	r := newRig(t)
	release := r.Reach(t, procedure.PhaseNotify)
	r.act(t, release)
	for _, until := range []time.Time{time.Now().Add(-time.Minute), time.Now().Add(-time.Second)} {
		r.Do(t, release, "", &releasev1.Event{Data: &releasev1.Event_StartHeld{StartHeld: proceduretest.Hold("freeze", until)}})
		r.act(t, release)
		if said, _ := r.ops.last(t); said.Subject != "Release waits before its start: shop 1.4.2 to production" || !strings.Contains(said.Text, "(until "+stamp(until)+")") {
			t.Errorf("heard %+v", said)
		}
		r.Do(t, release, "", procedure.DecideDeadline(r.State(t, release), time.Now()))
	}
}

// TestAPauseIsToldWithoutATime: of it nobody knows the end, and nobody looks again.
func TestAPauseIsToldWithoutATime(t *testing.T) {
	r := newRig(t)
	release := r.Reach(t, procedure.PhaseNotify)
	r.act(t, release)
	s := r.Do(t, release, "gina", proceduretest.Pause())
	hold := proceduretest.Hold(procedure.HoldPaused, time.Now().Add(72*time.Hour))
	hold.Reasons = []*releasev1.HoldReason{procedure.PauseHold(s)}
	r.Do(t, release, "", &releasev1.Event{Data: &releasev1.Event_StartHeld{StartHeld: hold}})
	r.act(t, release)
	if said, _ := r.ops.last(t); !strings.Contains(said.Text, "paused: customers call\nIt goes on when somebody resumes it") || strings.Contains(said.Text, "looked at again") {
		t.Errorf("heard %+v", said)
	}
}

func TestAStartThatDoesNotComeIsToldAsSuch(t *testing.T) {
	r := newRig(t)
	release := r.Reach(t, procedure.PhaseNotify)
	r.act(t, release)
	r.Do(t, release, "otto", proceduretest.Withdraw())
	r.act(t, release)
	said, _ := r.ops.last(t)
	if said.Subject != "Release does not start: shop 1.4.2 to production" || !strings.Contains(said.Text, "withdrawn; wrong version") {
		t.Errorf("heard %+v", said)
	}
}

// A pager hears of a call, that somebody has taken it on, and when the release is over,
// that it is settled; each under the key that it knows.
func TestAnAlarmIsTakenOnAndSettled(t *testing.T) {
	r := newRig(t, func(d *policyv1.Procedure) {
		d.Channels[1].Name, d.Channels[1].Occasions = "pager", []releasev1.Occasion{releasev1.Occasion_OCCASION_ESCALATION}
	})
	pager := newReceiver(t)
	c, err := channel.New(channel.Config{Name: "pager", Kind: configv1.ChannelAddress_KIND_PAGERDUTY, URL: pager.URL, Secrets: []string{strings.Repeat("r", 32)}})
	if err != nil {
		t.Fatal(err)
	}
	r.channels["pager"] = c
	release := r.Reach(t, procedure.PhaseExecuting)
	r.Do(t, release, "", proceduretest.Executed(r.State(t, release), map[string]releasev1.TargetResult_Status{"eu1": releasev1.TargetResult_STATUS_UNKNOWN}))
	r.Do(t, release, "", proceduretest.Escalate(r.State(t, release), time.Now()))
	r.act(t, release)
	r.Do(t, release, "gina", proceduretest.Acknowledge(releasev1.Cause_CAUSE_OUTCOME_UNKNOWN))
	r.act(t, release)
	if said, _ := r.ops.last(t); said.Subject != "Taken on by gina: outcome unknown, shop 1.4.2 to production" {
		t.Errorf("the others hear %+v", said)
	}
	r.Do(t, release, "gina", proceduretest.Intervene(releasev1.Intervened_ACTION_ACCEPT))
	r.To(t, release, procedure.PhaseFollowUp)
	r.act(t, release)
	var got []string
	for _, body := range pager.bodies {
		var e struct {
			Action string `json:"event_action"`
			Key    string `json:"dedup_key"`
		}
		if err := json.Unmarshal(body, &e); err != nil {
			t.Fatal(err)
		}
		got = append(got, e.Action+" "+e.Key)
	}
	key := release + "/escalation/3001/pager"
	if diff := cmp.Diff([]string{"trigger " + key, "acknowledge " + key, "resolve " + key}, got); diff != "" {
		t.Errorf("the pager hears (-want +got):\n%s", diff)
	}
}

// A pager hears that an incident is settled when a person has closed it, and neither when somebody
// takes it on after the release was over, nor when the release ends; whoever was called hears why.
func TestAnAlarmIsSettledWhenTheIncidentIsClosed(t *testing.T) {
	r := newRig(t, func(d *policyv1.Procedure) {
		d.Channels[1].Name, d.Channels[1].Occasions = "pager", []releasev1.Occasion{releasev1.Occasion_OCCASION_ESCALATION}
	})
	pager := newReceiver(t)
	c, err := channel.New(channel.Config{Name: "pager", Kind: configv1.ChannelAddress_KIND_PAGERDUTY, URL: pager.URL, Secrets: []string{strings.Repeat("r", 32)}})
	if err != nil {
		t.Fatal(err)
	}
	r.channels["pager"] = c
	release := r.Reach(t, procedure.PhaseVerify)
	r.Do(t, release, "", proceduretest.Verified(r.State(t, release), releasev1.CheckResult_VERDICT_FAIL, false))
	r.Do(t, release, "", proceduretest.Escalate(r.State(t, release), time.Now()))
	r.act(t, release)
	r.To(t, release, procedure.PhaseFollowUp)
	r.act(t, release)
	r.Do(t, release, "gina", proceduretest.Acknowledge(releasev1.Cause_CAUSE_VALIDATION_FAILED))
	r.act(t, release)
	key := release + "/escalation/1001/pager"
	heard := func(want ...string) {
		t.Helper()
		var got []string
		for _, body := range pager.bodies {
			var e struct {
				Action string `json:"event_action"`
				Key    string `json:"dedup_key"`
			}
			if err := json.Unmarshal(body, &e); err != nil {
				t.Fatal(err)
			}
			got = append(got, e.Action+" "+e.Key)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("the pager hears (-want +got):\n%s", diff)
		}
	}
	heard("trigger "+key, "acknowledge "+key)
	r.Do(t, release, "gina", proceduretest.CloseIncident(r.State(t, release)))
	r.act(t, release)
	heard("trigger "+key, "acknowledge "+key, "resolve "+key)
	if said, _ := r.ops.last(t); said.Subject != "Closed by gina: validation failed, shop 1.4.2 to production" || !strings.Contains(said.Text, "the disk was full") {
		t.Errorf("the others hear %+v", said)
	}
}

// A call that was under way when somebody closed the incident, and an earlier one of its ladder, are
// settled: nothing else would, because the release is over and its end was told.
func TestACallThatIsUnderWayIsSettledWhenTheIncidentIsClosed(t *testing.T) {
	r := newRig(t, func(d *policyv1.Procedure) {
		d.Channels[1].Name, d.Channels[1].Occasions = "pager", []releasev1.Occasion{releasev1.Occasion_OCCASION_ESCALATION}
	})
	pager := newReceiver(t)
	c, err := channel.New(channel.Config{Name: "pager", Kind: configv1.ChannelAddress_KIND_PAGERDUTY, URL: pager.URL, Secrets: []string{strings.Repeat("r", 32)}})
	if err != nil {
		t.Fatal(err)
	}
	r.channels["pager"] = c
	release := r.Reach(t, procedure.PhaseFollowUp) // with its end to be told
	r.Do(t, release, "rita", proceduretest.Impact())
	r.Do(t, release, "", proceduretest.Escalate(r.State(t, release), time.Now()))
	r.act(t, release)
	r.Do(t, release, "gina", proceduretest.Acknowledge(releasev1.Cause_CAUSE_UNEXPECTED_IMPACT))
	r.Do(t, release, "rita", proceduretest.Impact())
	r.Do(t, release, "", proceduretest.Escalate(r.State(t, release), time.Now())) // and nobody has told of it
	r.Do(t, release, "gina", proceduretest.CloseIncident(r.State(t, release)))
	r.act(t, release)
	open := map[string]bool{}
	for _, body := range pager.bodies {
		var e struct {
			Action string `json:"event_action"`
			Key    string `json:"dedup_key"`
		}
		if err := json.Unmarshal(body, &e); err != nil {
			t.Fatal(err)
		}
		open[e.Key] = e.Action != "resolve"
	}
	want := map[string]bool{release + "/escalation/12001/pager": false, release + "/escalation/12002/pager": false}
	if diff := cmp.Diff(want, open); diff != "" {
		t.Errorf("what the pager still has open (-want +got):\n%s", diff)
	}
	if s := r.State(t, release); s.Phase != procedure.PhaseClosed {
		t.Errorf("phase %s, to tell: %v", s.Phase, s.Wanted)
	}
}

// Who hears of emergencies hears of who tried to authorize one and may not.
func TestPeopleHearOfWhoTriedToAuthorizeAnEmergency(t *testing.T) {
	r := newRig(t)
	release := r.Reach(t, procedure.PhaseApprove, proceduretest.Emergency)
	r.Do(t, release, "finn", proceduretest.Attempt())
	r.act(t, release)
	said, _ := r.ops.last(t)
	if said.Subject != "Emergency not authorized: finn may not, shop 1.4.2 to production" || said.Fields["tried_by"] != "finn" || said.Fields["incident"] != "INC-77" {
		t.Errorf("heard %+v", said)
	}
}
