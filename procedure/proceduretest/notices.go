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
	e := Notify(s)
	if e == nil {
		return nil
	}
	e.GetNotified().Audience = []*releasev1.Party{
		{Audience: "owners", Reason: "owns shop", People: []string{"otto"}},
		{Audience: "support", Reason: "group support", People: people, AcknowledgeBy: timestamppb.New(by), Everybody: everybody},
	}
	return e
}

// Know says that somebody knows of the start.
func Know() *releasev1.Event {
	return procedure.DecideNoticeAcknowledged(procedure.Notice{Occasion: releasev1.Occasion_OCCASION_START, Number: 1}, "the desk is staffed")
}
