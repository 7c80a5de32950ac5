package proceduretest

import (
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// NotifyWaiting tells stakeholders of the first thing that they wait for, with people who
// have to say that they know: one of them, or everybody. Nil where nobody waits.
func NotifyWaiting(s procedure.State, by time.Time, everybody bool, people ...string) *releasev1.Event {
	e := NotifyFollowed(s)
	if e == nil {
		return nil
	}
	e.GetNotified().Audience = []*releasev1.Party{
		{Audience: "owners", Reason: "owns shop", People: []string{"otto"}},
		{Audience: "support", Reason: "group support", People: people, AcknowledgeBy: timestamppb.New(by), Everybody: everybody},
	}
	return e
}

// NotifyFollowed tells stakeholders of the first thing that they wait for, who are told
// again when it is no longer so. Nil where nobody waits.
func NotifyFollowed(s procedure.State) *releasev1.Event {
	e := Notify(s)
	if e != nil {
		e.GetNotified().Followed = true
	}
	return e
}

// NotifyTimed is NotifyFollowed, with what a start is known to wait for: whoever was told is
// told again when that lasts for another time. Nil where nobody waits.
func NotifyTimed(s procedure.State, waits ...*releasev1.HoldReason) *releasev1.Event {
	e := NotifyFollowed(s)
	if e != nil && e.GetNotified().GetOccasion() == releasev1.Occasion_OCCASION_START {
		e.GetNotified().TimesFollowed, e.GetNotified().WaitsFor = true, waits
	}
	return e
}

// NotifyDeferred tells stakeholders of the first thing that they wait for, one channel of
// them later. Nil where nobody waits.
func NotifyDeferred(s procedure.State, channel string, until time.Time) *releasev1.Event {
	e := NotifyFollowed(s)
	if e != nil {
		e.GetNotified().Deferred = []*releasev1.Deferral{{Channel: channel, Until: timestamppb.New(until), Reason: releasev1.Deferral_REASON_QUIET_HOURS}}
	}
	return e
}

// Later tells a channel of what was deferred and is due. Nil where nothing is.
func Later(s procedure.State) *releasev1.Event {
	due := procedure.DueNotice(s)
	if len(due) == 0 {
		return nil
	}
	return procedure.DecideLater(due[0].Notice, due[0].By, nil, nil)
}

// Impact reports an impact that nobody expected.
func Impact() *releasev1.Event {
	return &releasev1.Event{Data: &releasev1.Event_ImpactReported{ImpactReported: &releasev1.ImpactReported{
		Description: "checkout fails for every third customer", Customers: []string{"acme"},
	}}}
}

// Attempt keeps that somebody tried to authorize an emergency who may not.
func Attempt() *releasev1.Event {
	return &releasev1.Event{Data: &releasev1.Event_AuthorizationRefused{AuthorizationRefused: &releasev1.AuthorizationRefused{
		Reason: "person is in no group whose approval is needed",
	}}}
}

// Know says that somebody knows of the start.
func Know() *releasev1.Event {
	return procedure.DecideNoticeAcknowledged(procedure.Notice{Occasion: releasev1.Occasion_OCCASION_START, Number: 1}, "the desk is staffed")
}
