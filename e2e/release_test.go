package e2e

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
	recorderv1 "github.com/blackdice/shipwarden/proto/shipwarden/recorder/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// The life of a shop, release after release, the way the demo tells it. Each part
// stands on the one before, as it does in production.
func TestLifeOfAShop(t *testing.T) {
	t.Parallel()
	for name, launch := range launchers(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			y := open(t, plan{launch: launch})
			one := y.build("1.0.0", 0)
			y.tell("a planned release goes through all eight steps", func(y *yard) { y.planned(one.Digest, y.submit(one, "build-1", nil)) })
			y.tell("a bad version is rolled back by itself and verified", func(y *yard) { y.rolledBack(one.Digest) })
			y.tell("an emergency goes around gates and owes a review", (*yard).emergency)
			y.tell("what was rolled back is not deployed again", (*yard).quarantined)
			y.tell("the record is rebuilt to the same bytes", (*yard).rebuild)
		})
	}
}

func (y *yard) planned(digest, id string) {
	y.approve(id, "carol", "dave")
	r := y.finish(id, releasev1.Outcome_OUTCOME_SUCCEEDED)
	for _, s := range r.GetSteps() {
		want := recorderv1.Step_STATUS_DONE
		if s.GetNumber() == "7" {
			want = recorderv1.Step_STATUS_SKIPPED
		}
		if s.GetStatus() != want {
			y.Errorf("step %s %s is %s", s.GetNumber(), s.GetName(), s.GetStatus())
		}
	}
	for _, target := range y.world.Targets {
		y.runs(target, digest)
	}
	record := y.record(id)
	for _, part := range []string{"carol", "dave", "front-page", digest, "CHG-build-1"} {
		if !strings.Contains(record, part) {
			y.Errorf("the record does not hold %q", part)
		}
	}
	y.reach(id, "closed")
}

// rolledBack releases a version that turns unhealthy after its start.
func (y *yard) rolledBack(before string) {
	id := y.submit(y.build("2.0.0", time.Second), "build-2", nil)
	y.approve(id, "carol", "dave")
	r := y.finish(id, releasev1.Outcome_OUTCOME_ROLLED_BACK)
	for _, target := range y.world.Targets {
		y.runs(target, before)
	}
	if len(r.GetOpenEscalations()) == 0 {
		y.Error("nobody was called")
	}
	// The second wave was never touched.
	if n := effects(y.T, y.world.Folder(y.world.Targets[1])); n != 1 {
		y.Errorf("target %s had %d effects, not the one of the release before", y.world.Targets[1], n)
	}
	if _, err := y.as("erin").Acknowledge(y.Context(), &approvalv1.AcknowledgeRequest{Release: id, Comment: "on it"}); err != nil {
		y.Fatal(err)
	}
	// That ends nothing: she closes the incident, and it is on record with her reason.
	y.closes(id, "erin")
	y.eventually("why the incident was closed, in the record", func() bool { return strings.Contains(y.record(id), "It is mended.") })
	y.reach(id, "closed")
}

// emergency releases a fix without tests, authorized by the one person at hand.
func (y *yard) emergency() {
	fix := y.build("2.0.1", 0)
	id := y.submit(fix, "fix-1", func(r *releasev1.Request) {
		r.Trigger = releasev1.Trigger_TRIGGER_EMERGENCY
		r.Emergency = &releasev1.Emergency{Reason: "Payments fail for every tenth customer.", Incident: "INC-77"}
		r.Evidence = [][]byte{r.GetEvidence()[0], r.GetEvidence()[2]} // no tests
	})
	y.approve(id, "erin")
	r := y.finish(id, releasev1.Outcome_OUTCOME_SUCCEEDED)
	if r.GetReviewDue() == nil {
		y.Error("no review is owed")
	}
	record := y.record(id)
	for _, part := range []string{"gate tests", "INC-77"} {
		if !strings.Contains(record, part) {
			y.Errorf("the record does not hold %q", part)
		}
	}
	review := &approvalv1.CompleteReviewRequest{
		Release: id, Result: releasev1.ReviewCompleted_RESULT_JUSTIFIED, ResidualRisk: "None known.",
	}
	if _, err := y.as("erin").CompleteReview(y.Context(), review); status.Code(err) != codes.PermissionDenied {
		y.Errorf("who authorized it reviewed it: %v", err)
	}
	if _, err := y.as("frank").CompleteReview(y.Context(), review); err != nil {
		y.Fatal(err)
	}
	if _, err := y.as("dave").Acknowledge(y.Context(), &approvalv1.AcknowledgeRequest{Release: id, Comment: "on it"}); err != nil {
		y.Fatal(err)
	}
	y.reach(id, "closed")
}

// quarantined asks again for the version that was rolled back.
func (y *yard) quarantined() {
	id := y.submit(y.build("2.0.0", time.Second), "build-2-again", nil)
	r := y.finish(id, releasev1.Outcome_OUTCOME_REJECTED)
	for _, rule := range []string{"version.rolled_back", "artifact.quarantined"} {
		if !strings.Contains(r.GetSummary(), rule) {
			y.Errorf("it does not say %s: %s", rule, describe(r))
		}
	}
}

// runs says which artifact answers on a target.
func (y *yard) runs(target, digest string) {
	y.Helper()
	if got := fetch(y.T, y.world.URL(target)+"/digest"); !strings.Contains(got, digest) {
		y.Errorf("target %s runs %s, not %s", target, got, digest)
	}
}

func (y *yard) record(id string) string {
	y.Helper()
	recorder, err := y.Recorder()
	if err != nil {
		y.Fatal(err)
	}
	r, err := recorder.GetRecord(y.Context(), &recorderv1.GetRecordRequest{Release: id, Format: recorderv1.GetRecordRequest_FORMAT_MARKDOWN})
	if err != nil {
		y.Fatal(err)
	}
	return string(r.GetDocument())
}
