package view_test

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/recorder/view"
)

// TestAReleaseSaysThatItIsVerifiedNoMore, since when, and by what.
func TestAReleaseSaysThatItIsVerifiedNoMore(t *testing.T) {
	q := proceduretest.Request()
	h := proceduretest.New(q)
	h.Do(t, "", proceduretest.LookedAtAgain(q, h.Now, time.Hour, 3))
	h.To(t, procedure.PhaseClosed)
	stands := func() *view.Timeline {
		l := view.New(h.Release)
		for _, e := range h.Entries {
			if err := l.Add(e); err != nil {
				t.Fatal(err)
			}
		}
		return l
	}
	if r := stands().Release(0); r.GetLaterLooks() != nil || strings.Contains(r.GetSummary(), "verified") {
		t.Errorf("nobody looked: %v, %s", r.GetLaterLooks(), r.GetSummary())
	}
	for _, verdict := range []releasev1.CheckResult_Verdict{releasev1.CheckResult_VERDICT_INCONCLUSIVE, releasev1.CheckResult_VERDICT_FAIL} {
		h.Advance(time.Hour)
		h.Do(t, "", proceduretest.LaterLook(h.State(), h.Now, verdict))
		l := stands().Release(0).GetLaterLooks()
		if failed := verdict == releasev1.CheckResult_VERDICT_FAIL; (l.GetFailed() != nil) != failed || (l.GetRevoked() != nil) != failed || (l.GetUnseen() == 0) != failed || l.GetNewest() == nil {
			t.Errorf("after %s: %v", verdict, l)
		}
	}
	r := stands().Release(0)
	if l := r.GetLaterLooks(); l.GetLooks() != 2 || l.GetFailed().GetSamples().GetDigest() == "" || !l.GetRevoked().AsTime().Equal(h.State().Later.RevokedAt) ||
		!strings.Contains(r.GetSummary(), "It is verified no more: health on eu1") {
		t.Errorf("%v, %s", l, r.GetSummary())
	}
}

// TestARecordThatIsOpenAgainStaysWritten: that a release is verified no more takes nothing of its
// last step back.
func TestARecordThatIsOpenAgainStaysWritten(t *testing.T) {
	q := proceduretest.Request()
	h := proceduretest.New(q)
	h.Do(t, "", proceduretest.LookedAtAgain(q, h.Now, time.Hour, 3))
	h.To(t, procedure.PhaseClosed)
	before := view.Of(h.Release, h.Entries).Steps()[8]
	h.Advance(time.Hour)
	h.Do(t, "", proceduretest.LaterLook(h.State(), h.Now, releasev1.CheckResult_VERDICT_FAIL))
	if after := view.Of(h.Release, h.Entries).Steps()[8]; !proto.Equal(before, after) || after.GetEnded() == nil || after.GetDetail() == "" {
		t.Errorf("%v, and now %v", before, after)
	}
}
