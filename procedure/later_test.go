package procedure_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

const (
	laterPass = releasev1.CheckResult_VERDICT_PASS
	laterFail = releasev1.CheckResult_VERDICT_FAIL
	laterOpen = releasev1.CheckResult_VERDICT_INCONCLUSIVE
)

// watched is a release that was verified and closed, and is looked at again every hour, ten times;
// people are called after three looks without a verdict.
func watched(t *testing.T) *proceduretest.History {
	t.Helper()
	r := proceduretest.Request()
	h := proceduretest.New(r)
	h.Do(t, "", proceduretest.LookedAtAgain(r, h.Now, time.Hour, 3))
	h.To(t, procedure.PhaseClosed)
	return h
}

// looked has the next look due and done.
func looked(t *testing.T, h *proceduretest.History, verdict releasev1.CheckResult_Verdict) *releasev1.Event {
	t.Helper()
	h.Advance(time.Hour)
	e := proceduretest.LaterLook(h.State(), h.Now, verdict)
	h.Do(t, "", e)
	return e
}

// TestAFailureLaterRevokesThatItIsVerified follows a release from when it passed once more to when
// it failed: people are called, there is an incident, and no later look gives anything back.
func TestAFailureLaterRevokesThatItIsVerified(t *testing.T) {
	h := watched(t)
	looked(t, h, laterPass)
	if s := h.State(); s.Phase != procedure.PhaseClosed || s.Later.Looks != 1 || s.Later.Revoked != nil || len(procedure.DueCalls(s)) != 0 {
		t.Fatalf("it passed, and is in phase %s: %+v", s.Phase, s.Later)
	}
	revoked := looked(t, h, laterFail)
	s := h.State()
	if x, open := procedure.OpenIncident(s, nil, false); !open || x.Cause != releasev1.Cause_CAUSE_VERIFICATION_REVOKED {
		t.Errorf("no incident: %+v", x)
	}
	if calls := procedure.DueCalls(s); s.Phase != procedure.PhaseFollowUp || len(calls) != 1 || !procedure.Due(procedure.StepCatalog, s, h.Now) {
		t.Errorf("in phase %s, calls %v", s.Phase, calls)
	}
	if s.Later.Revoked.GetNumber() != 2 || !slices.Equal(procedure.FailedLater(s.Later.Revoked), []string{"health"}) || s.Later.RevokedAt.IsZero() {
		t.Errorf("on record is %v", s.Later.Revoked)
	}
	if s.Outcome != releasev1.Outcome_OUTCOME_SUCCEEDED {
		t.Errorf("what happened then is another thing now: %s", s.Outcome)
	}
	if err := h.Store(h.Next(nil, revoked)); err == nil {
		t.Error("it counts twice")
	}
	h.Do(t, "", proceduretest.Escalate(h.State(), h.Now))
	h.Do(t, "eve", proceduretest.Acknowledge(releasev1.Cause_CAUSE_VERIFICATION_REVOKED))
	h.To(t, procedure.PhaseClosed)
	h.Advance(time.Hour)
	if e := proceduretest.LaterLook(h.State(), h.Now, laterPass); e != nil {
		t.Errorf("it is looked at again: %v", e)
	}
	again := proto.CloneOf(revoked.GetVerificationRevoked().GetLook())
	again.Number, again.Due = 3, timestamppb.New(h.State().Verified.Add(3*time.Hour))
	if err := h.Store(h.Next(nil, procedure.DecideLaterLook(again, &releasev1.Verification{
		Results: []*releasev1.CheckResult{{Check: "health", Target: "eu1", Verdict: laterPass}},
	}))); err == nil || h.State().Later.Revoked == nil {
		t.Errorf("a later pass gives it back: %v", err)
	}
}

// TestNoDataLaterRevokesNothingAndIsTold once, after as many looks in a row as the procedure says,
// and again only when somebody saw something in between.
func TestNoDataLaterRevokesNothingAndIsTold(t *testing.T) {
	h := watched(t)
	for i, verdict := range []releasev1.CheckResult_Verdict{laterOpen, laterOpen, laterPass, laterOpen, laterOpen} {
		looked(t, h, verdict)
		if s := h.State(); s.Phase != procedure.PhaseClosed || len(s.OpenEscalations()) > 0 {
			t.Fatalf("after look %d: phase %s, called for %v", i+1, s.Phase, s.OpenEscalations())
		}
	}
	looked(t, h, laterOpen)
	s := h.State()
	if !slices.Equal(s.OpenEscalations(), []releasev1.Cause{releasev1.Cause_CAUSE_REVERIFICATION_UNSEEN}) || s.Phase != procedure.PhaseFollowUp || s.Later.Revoked != nil {
		t.Errorf("phase %s, called for %v, revoked by %v", s.Phase, s.OpenEscalations(), s.Later.Revoked)
	}
	if _, open := procedure.OpenIncident(s, nil, false); open {
		t.Error("that nobody sees anything is an incident")
	}
	h.Do(t, "", proceduretest.Escalate(s, h.Now))
	h.Do(t, "eve", proceduretest.Acknowledge(releasev1.Cause_CAUSE_REVERIFICATION_UNSEEN))
	looked(t, h, laterOpen)
	if open := h.State().OpenEscalations(); len(open) > 0 {
		t.Errorf("they are called again: %v", open)
	}
	looked(t, h, laterFail)
	if h.State().Later.Revoked == nil {
		t.Error("a failure after that revokes nothing")
	}
}

// TestALookIsDueOnceAnIntervalAndForSomeTime: before, between and after there is none, what was
// missed is not made good, and a clock that is set back or forth makes none of its own.
func TestALookIsDueOnceAnIntervalAndForSomeTime(t *testing.T) {
	h := watched(t)
	verified := h.State().Verified
	at := func(after time.Duration) uint32 {
		n, due, is := procedure.LookDue(h.State(), verified.Add(after))
		if is != (n > 0) || is && !due.Equal(verified.Add(time.Duration(n)*time.Hour)) {
			t.Errorf("after %s: look %d, due %s, %t", after, n, due, is)
		}
		return n
	}
	for after, want := range map[time.Duration]uint32{
		-time.Hour: 0, 0: 0, time.Hour - 1: 0, time.Hour: 1, 4*time.Hour + 59*time.Minute: 4, 10 * time.Hour: 10, 11*time.Hour - 1: 10, 11 * time.Hour: 0, 1e6 * time.Hour: 0,
	} {
		if got := at(after); got != want {
			t.Errorf("after %s look %d is due, want %d", after, got, want)
		}
	}
	h.Now = verified.Add(4 * time.Hour)
	h.Do(t, "", proceduretest.LaterLook(h.State(), h.Now, laterPass))
	if at(4*time.Hour+59*time.Minute) != 0 || at(2*time.Hour) != 0 || at(5*time.Hour) != 5 {
		t.Error("one is due twice, or one that is over")
	}
}

// TestALookThatIsNotTheReleasesDoesNotCount whoever says it.
func TestALookThatIsNotTheReleasesDoesNotCount(t *testing.T) {
	h := watched(t)
	h.Advance(2 * time.Hour)
	for _, good := range []*releasev1.Event{
		proceduretest.LaterLook(h.State(), h.Now, laterPass), proceduretest.LaterLook(h.State(), h.Now, laterOpen), proceduretest.LaterLook(h.State(), h.Now, laterFail),
	} {
		look := func(e *releasev1.Event) *releasev1.LaterLook {
			if l := e.GetVerificationRevoked().GetLook(); l != nil {
				return l
			}
			return e.GetReverified().GetLook()
		}
		if err := h.Clone().Store(h.Next(nil, proto.CloneOf(good))); err != nil {
			t.Fatalf("the right one does not count: %v", err)
		}
		for why, change := range map[string]func(e *releasev1.Event, l *releasev1.LaterLook){
			"no look": func(_ *releasev1.Event, l *releasev1.LaterLook) { proto.Reset(l) },
			"number 0": func(_ *releasev1.Event, l *releasev1.LaterLook) {
				l.Number, l.Due = 0, timestamppb.New(h.State().Verified)
			},
			"not due yet": func(_ *releasev1.Event, l *releasev1.LaterLook) {
				l.Number, l.Due = 3, timestamppb.New(h.State().Verified.Add(3*time.Hour))
			},
			"after the end":     func(_ *releasev1.Event, l *releasev1.LaterLook) { l.Number = 11 },
			"due otherwise":     func(_ *releasev1.Event, l *releasev1.LaterLook) { l.Due = timestamppb.New(h.Now) },
			"of no target":      func(_ *releasev1.Event, l *releasev1.LaterLook) { l.Targets = nil },
			"of another target": func(_ *releasev1.Event, l *releasev1.LaterLook) { l.Targets = []string{"eu9"} },
			"nothing looked at": func(_ *releasev1.Event, l *releasev1.LaterLook) { l.Looked = 0; l.More = 1 },
			"another verdict": func(e *releasev1.Event, l *releasev1.LaterLook) {
				if r := e.GetReverified(); r != nil {
					r.Inconclusive = !r.GetInconclusive()
					return
				}
				l.Results[0].Verdict = laterOpen
			},
			"by somebody else": func(e *releasev1.Event, _ *releasev1.LaterLook) { e.Writer = procedure.ServiceExecutor },
		} {
			bad := proto.CloneOf(good)
			change(bad, look(bad))
			if err := h.Clone().Store(h.Next(nil, bad)); err == nil {
				t.Errorf("%s: it counts: %v", why, bad)
			}
		}
	}
	failed := proceduretest.LaterLook(h.State(), h.Now, laterFail).GetVerificationRevoked().GetLook()
	if err := h.Clone().Store(h.Next(nil, &releasev1.Event{Data: &releasev1.Event_Reverified{Reverified: &releasev1.Reverified{Look: failed, Inconclusive: true}}})); err == nil {
		t.Error("a failure counts as no verdict")
	}
}

// TestWhatWasNotVerifiedIsNotLookedAtAgain: a release that is not over, was taken back, or that the
// procedure says nothing of.
func TestWhatWasNotVerifiedIsNotLookedAtAgain(t *testing.T) {
	never := proceduretest.New(proceduretest.Request())
	never.To(t, procedure.PhaseClosed)
	r := proceduretest.Request()
	under := proceduretest.New(r)
	under.Do(t, "", proceduretest.LookedAtAgain(r, under.Now, time.Second, 1))
	under.To(t, procedure.PhaseRecord)
	back := proceduretest.New(r)
	back.Do(t, "", proceduretest.LookedAtAgain(r, back.Now, time.Second, 1))
	back.To(t, procedure.PhaseVerifyRollback)
	back.To(t, procedure.PhaseFollowUp)
	for name, h := range map[string]*proceduretest.History{"without a word of it": never, "not over": under, "taken back": back} {
		s := h.State()
		for after := range 12 {
			if n, _, is := procedure.LookDue(s, h.Now.Add(time.Duration(after)*time.Second)); is {
				t.Errorf("%s: look %d is due", name, n)
			}
		}
		look := &releasev1.LaterLook{Number: 1, Due: timestamppb.New(s.Verified.Add(time.Second)), Targets: []string{"eu1"}}
		h.Advance(time.Hour)
		if err := h.Store(h.Next(nil, procedure.DecideLaterLook(look, &releasev1.Verification{Results: []*releasev1.CheckResult{{Check: "health", Verdict: laterFail}}}))); err == nil {
			t.Errorf("%s: a look counts", name)
		}
	}
}

// TestALaterLookHasABound in what one event holds, failures before the rest.
func TestALaterLookHasABound(t *testing.T) {
	v := &releasev1.Verification{Reason: strings.Repeat("ä", 1000)}
	for i := range 100 {
		verdict := []releasev1.CheckResult_Verdict{laterPass, laterOpen, laterFail}[i%3]
		v.Results = append(v.Results, &releasev1.CheckResult{Check: "health", Target: "eu1", Verdict: verdict})
	}
	l := procedure.DecideLaterLook(procedure.NewLook(1, time.Unix(1, 0), []string{"eu1"}), v).GetVerificationRevoked().GetLook()
	if len(l.GetResults()) != 32 || l.GetMore() != 34 || l.GetLooked() != 100 || l.GetResults()[31].GetVerdict() != laterFail || len(l.GetReason()) > 1024 || !strings.HasSuffix(l.GetReason(), "ä") {
		t.Errorf("%d results, %d more of %d, reason of %d bytes", len(l.GetResults()), l.GetMore(), l.GetLooked(), len(l.GetReason()))
	}
}

// TestALookLastsAsLongAsTheBake, no longer than half of the interval, or what the procedure says.
func TestALookLastsAsLongAsTheBake(t *testing.T) {
	h := watched(t)
	s := h.State()
	for _, test := range []struct{ bake, said, want time.Duration }{
		{10 * time.Minute, 0, 10 * time.Minute}, {2 * time.Hour, 0, 30 * time.Minute}, {2 * time.Hour, 45 * time.Minute, 45 * time.Minute},
	} {
		s.Request, s.Requested = proto.CloneOf(s.Request), proto.CloneOf(s.Requested)
		s.Request.Validation.Bake, s.Requested.Reverification.Look = durationpb.New(test.bake), nil
		if test.said > 0 {
			s.Requested.Reverification.Look = durationpb.New(test.said)
		}
		if got := procedure.LookLasts(s); got != test.want {
			t.Errorf("a bake of %s, and %s: %s, want %s", test.bake, test.said, got, test.want)
		}
	}
}

// TestALookThatNobodyTookIsMissed: when it was due, the next one was as well, and that would have been
// told by then; until two intervals after the last look that there could have been. Between a look
// that was told and that nothing is missed, nor of a release that is not looked at any more.
func TestALookThatNobodyTookIsMissed(t *testing.T) {
	h := proceduretest.New(proceduretest.Request())
	h.Do(t, "", proceduretest.LookedAtAgain(h.Asked, h.Now, time.Hour, 2))
	h.To(t, procedure.PhaseClosed)
	verified, look := h.State().Verified, procedure.LookLasts(h.State())
	missed := func(after time.Duration) bool {
		return procedure.LooksMissed(h.State(), time.Time{}, verified.Add(after))
	}
	over := func(after time.Duration) bool {
		end, known := procedure.LooksEnd(h.State())
		return known && !verified.Add(after).Before(end)
	}
	if missed(2*time.Hour+look-1) || !missed(2*time.Hour+look) || !missed(13*time.Hour-1) || missed(13*time.Hour) {
		t.Error("at first: something is missed too early, too late, or for too long")
	}
	if over(13*time.Hour-1) || !over(13*time.Hour) {
		t.Error("it is over too early, or too late")
	}
	h.Advance(verified.Add(9 * time.Hour).Sub(h.Now))
	h.Do(t, "", proceduretest.LaterLook(h.State(), h.Now, releasev1.CheckResult_VERDICT_PASS))
	if missed(11*time.Hour+look-1) || !missed(11*time.Hour+look) || missed(13*time.Hour) {
		t.Error("after the ninth: something is missed too early, too late, or for too long")
	}
	h.Advance(time.Hour)
	h.Do(t, "", proceduretest.LaterLook(h.State(), h.Now, releasev1.CheckResult_VERDICT_FAIL))
	for after := range 14 {
		if missed(time.Duration(after)*time.Hour) || !over(time.Duration(after)*time.Hour) {
			t.Errorf("verified no more: after %d hours it is missed, or not over", after)
		}
	}
	never := proceduretest.New(proceduretest.Request())
	never.To(t, procedure.PhaseClosed)
	s := never.State()
	if end, known := procedure.LooksEnd(s); procedure.LooksMissed(s, time.Time{}, s.Verified.Add(3*time.Hour)) || !known || !end.IsZero() {
		t.Error("what is never to be looked at is missed, or not over")
	}
}

// TestALookThatIsRightlyNotTakenIsNotMissed: what was due while another release had a target, or before
// the release was recorded, counts for nothing, and neither does the rest of that interval.
func TestALookThatIsRightlyNotTakenIsNotMissed(t *testing.T) {
	ask := func() *proceduretest.History {
		h := proceduretest.New(proceduretest.Request())
		h.Do(t, "", proceduretest.LookedAtAgain(h.Asked, h.Now, time.Hour, 2))
		h.To(t, procedure.PhaseRecord)
		return h
	}
	compare := func(what string, s procedure.State, since, from time.Duration) {
		t.Helper()
		at := func(after time.Duration) bool {
			return procedure.LooksMissed(s, s.Verified.Add(since), s.Verified.Add(after))
		}
		if from += procedure.LookLasts(s); at(from-1) || !at(from) {
			t.Errorf("%s: something is missed before %s, or not then", what, from)
		}
	}
	h := ask()
	if _, known := procedure.LooksEnd(h.State()); known {
		t.Error("it is known when it is over, before it is recorded")
	}
	h.To(t, procedure.PhaseClosed)
	compare("free when it was verified", h.State(), 0, 2*time.Hour)
	compare("free before its first look", h.State(), time.Hour, 2*time.Hour)
	compare("free just when a look is due", h.State(), 5*time.Hour, 6*time.Hour)
	compare("free when one was due already", h.State(), 5*time.Hour+1, 7*time.Hour)
	for after := range 20 {
		if s := h.State(); procedure.LooksMissed(s, s.Verified.Add(10*time.Hour+1), s.Verified.Add(time.Duration(after)*time.Hour)) {
			t.Errorf("free when the last look was due already: missed after %d hours", after)
		}
	}
	late := ask()
	late.Advance(5*time.Hour + 20*time.Minute)
	late.To(t, procedure.PhaseClosed)
	compare("recorded late", late.State(), 0, 7*time.Hour)
}
