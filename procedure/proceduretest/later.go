package proceduretest

import (
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// LookedAtAgain is Requested under a procedure that has verified releases looked at again, ten
// times, and calls people when nobody saw anything that often in a row.
func LookedAtAgain(r *releasev1.Request, at time.Time, every time.Duration, unseen uint32) *releasev1.Event {
	e := Requested(r, at)
	e.GetRequested().Reverification = &releasev1.Reverification{
		Every: durationpb.New(every), During: durationpb.New(10 * every), Unseen: unseen,
	}
	return e
}

// LaterLook is the look at the release that is due, with that verdict on its first target; nil where
// none is due.
func LaterLook(s procedure.State, now time.Time, verdict releasev1.CheckResult_Verdict) *releasev1.Event {
	number, due, is := procedure.LookDue(s, now)
	if !is {
		return nil
	}
	look := procedure.NewLook(number, due, s.Touched[:1])
	look.Started, look.Ended = timestamppb.New(now), timestamppb.New(now)
	look.Samples = &releasev1.EvidenceRef{Digest: Digest('d'), MediaType: "application/vnd.shipwarden.samples.v1+json", Size: 1}
	return procedure.DecideLaterLook(look, &releasev1.Verification{
		Results: []*releasev1.CheckResult{
			{Check: "target.digest", Target: s.Touched[0], Verdict: releasev1.CheckResult_VERDICT_PASS, Samples: 2, Passed: 2},
			{Check: "health", Target: s.Touched[0], Verdict: verdict, Samples: 5, Reason: "as the test has it"},
		},
		Reason: "health on " + s.Touched[0] + ": as the test has it",
	})
}
