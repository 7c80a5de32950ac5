package e2e

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/blackdice/shipwarden/e2e/shop"
	"github.com/blackdice/shipwarden/procedure"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
	recorderv1 "github.com/blackdice/shipwarden/proto/shipwarden/recorder/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// lookEvery is how often a release is looked at again that was verified.
const lookEvery = 10 * time.Second

// TestAVerifiedReleaseFailsLater: a target falls ill hours after the release was verified, as the
// story has it seconds. A look finds that, the release is verified no more, people are called, and
// an incident is open, which holds the next release until a person has closed it.
func TestAVerifiedReleaseFailsLater(t *testing.T) {
	t.Parallel()
	v := &veil{}
	y := open(t, plan{rules: func(r *shop.Rules) {
		r.LookEvery, r.LookFor, r.Incidents = lookEvery, procedure.MaxLaterLooks*lookEvery, true
	}, config: v.over})
	t.Cleanup(v.Close)
	id := y.release(y.build("1.0.0", 0), "first", nil)
	y.reach(id, "closed")
	recorder, err := y.Recorder()
	if err != nil {
		t.Fatal(err)
	}
	var r *recorderv1.Release
	stands := func() *recorderv1.Release {
		got, err := recorder.GetRelease(y.Context(), &recorderv1.GetReleaseRequest{Release: id})
		if err != nil {
			t.Fatal(err)
		}
		r = got.GetRelease()
		return r
	}
	y.eventually("somebody has looked at what is well", func() bool { return stands().GetLaterLooks().GetLooks() > 0 })
	if !r.GetClosed() || r.GetLaterLooks().GetFailed() != nil {
		t.Errorf("%v", r)
	}
	v.sick.Store(true)
	y.eventually("somebody has looked at what is not", func() bool {
		return slices.Contains(stands().GetOpenEscalations(), releasev1.Cause_CAUSE_VERIFICATION_REVOKED)
	})
	if r.GetClosed() || r.GetLaterLooks().GetFailed() == nil || !slices.Contains(r.GetActions(), "close-incident") {
		t.Errorf("%v", r)
	}
	v.sick.Store(false)

	next := y.submit(y.build("1.1.0", 0), "second", nil)
	held := func(why string) {
		t.Helper()
		y.until(next, "that it waits because "+why, func(r *recorderv1.Release) bool {
			all := r.GetHolds()
			return len(all) == 1 && all[0].GetRule() == "incident.open" && all[0].GetSubject() == id && strings.HasSuffix(all[0].GetMessage(), why)
		})
	}
	held("nobody has taken it on")
	if _, err := y.as("erin").Acknowledge(y.Context(), &approvalv1.AcknowledgeRequest{Release: id, Comment: "on it"}); err != nil {
		t.Fatal(err)
	}
	held("erin has taken it on, and nobody has closed it")
	y.closes(id, "erin")
	y.reach(next, "approve")
	y.reach(id, "closed")
	record := y.record(id)
	for _, part := range []string{"verification revoked", "erin decided: closed: It is mended."} {
		if !strings.Contains(record, part) {
			t.Errorf("the record does not hold %q", part)
		}
	}
	if n := effects(t, y.world.Folder(y.world.Targets[0])); n != 1 {
		t.Errorf("%d effects: something went back by itself", n)
	}
}
