package e2e

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/blackdice/shipwarden/e2e/shop"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
	recorderv1 "github.com/blackdice/shipwarden/proto/shipwarden/recorder/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// build builds a version of the shop.
func (y *yard) build(version string, unhealthyAfter time.Duration) shop.Artifact {
	y.Helper()
	a, err := y.world.Build(y.Context(), version, unhealthyAfter)
	if err != nil {
		y.Fatal(err)
	}
	return a
}

// submit sends a request, changed by change, and returns the release that it made.
func (y *yard) submit(a shop.Artifact, key string, change func(*releasev1.Request)) string {
	y.Helper()
	request, err := y.world.Request(a, key)
	if err != nil {
		y.Fatal(err)
	}
	if change != nil {
		change(request)
	}
	answer, err := y.Submit(y.Context(), request)
	if err != nil {
		y.Fatal(err)
	}
	if answer.GetOutcome() != releasev1.Answer_OUTCOME_ACCEPTED {
		y.Fatalf("the request was not accepted: %v", answer)
	}
	return answer.GetRelease()
}

// baking has whoever has to act meanwhile find the release in its verification, on a slow machine
// as well.
func baking(long time.Duration) func(*releasev1.Request) {
	return func(r *releasev1.Request) { r.Validation.Bake = durationpb.New(long) }
}

// reach waits until a release is in a phase.
func (y *yard) reach(release, phase string) *recorderv1.Release {
	y.Helper()
	return y.until(release, "phase "+phase, func(r *recorderv1.Release) bool { return r.GetPhase() == phase })
}

// finish waits until a release has an outcome on record.
func (y *yard) finish(release string, want releasev1.Outcome) *recorderv1.Release {
	y.Helper()
	r := y.until(release, "an outcome", func(r *recorderv1.Release) bool {
		return r.GetOutcome() != 0 && (r.GetPhase() == "follow_up" || r.GetPhase() == "closed")
	})
	if r.GetOutcome() != want {
		y.Fatalf("%s ended as %s, not %s: %s", release, r.GetOutcome(), want, r.GetSummary())
	}
	return r
}

func (y *yard) until(release, what string, so func(*recorderv1.Release) bool) *recorderv1.Release {
	y.Helper()
	ctx, cancel := context.WithTimeout(y.Context(), patience)
	defer cancel()
	r, err := y.Until(ctx, release, so)
	if err != nil {
		y.Fatalf("wait for %s: %v\n%s", what, err, describe(r))
	}
	return r
}

func describe(r *recorderv1.Release) string {
	out := fmt.Sprintf("%s: phase %s, outcome %s, %s\n", r.GetRelease(), r.GetPhase(), r.GetOutcome(), r.GetSummary())
	for _, s := range r.GetSteps() {
		out += fmt.Sprintf("  %s %s %s %s\n", s.GetNumber(), s.GetName(), s.GetStatus(), s.GetDetail())
	}
	return out
}

// as is the approval service as a person calls it.
func (y *yard) as(person string) approvalv1.ApprovalServiceClient {
	y.Helper()
	c, err := y.As(person)
	if err != nil {
		y.Fatal(err)
	}
	return c
}

// approve gives the approvals of these people for what they are shown.
func (y *yard) approve(release string, people ...string) {
	y.Helper()
	y.reach(release, "approve")
	for _, p := range people {
		pending, err := y.as(p).GetPending(y.Context(), &approvalv1.GetPendingRequest{Release: release})
		if err != nil {
			y.Fatalf("%s looks at %s: %v", p, release, err)
		}
		_, err = y.as(p).Approve(y.Context(), &approvalv1.ApproveRequest{
			Release: release, ChangeDigest: pending.GetPending().GetChangeDigest(), ShownDigest: pending.GetPending().GetShownDigest(),
		})
		if err != nil {
			y.Fatalf("%s approves %s: %v", p, release, err)
		}
	}
}

// release carries a version through, and returns the release.
func (y *yard) release(a shop.Artifact, key string, change func(*releasev1.Request)) string {
	y.Helper()
	id := y.submit(a, key, change)
	y.approve(id, "carol", "dave")
	y.finish(id, releasev1.Outcome_OUTCOME_SUCCEEDED)
	return id
}

// held waits until a release waits for a reason of that rule.
func (y *yard) held(release, rule string) *releasev1.HoldReason {
	y.Helper()
	var why *releasev1.HoldReason
	y.until(release, "a hold by "+rule, func(r *recorderv1.Release) bool {
		for _, h := range r.GetHolds() {
			if h.GetRule() == rule && r.GetPhase() == "held" {
				why = h
			}
		}
		return why != nil
	})
	return why
}

// refused demands that a call was answered with that code and a text.
func (y *yard) refused(err error, code codes.Code, text string) {
	y.Helper()
	if status.Code(err) != code || !strings.Contains(status.Convert(err).Message(), text) {
		y.Errorf("got %v, not %s with %q", err, code, text)
	}
}

// says demands that a release's summary holds a text.
func (y *yard) says(r *recorderv1.Release, text string) {
	y.Helper()
	if !strings.Contains(r.GetSummary(), text) {
		y.Errorf("%q is not in %q", text, r.GetSummary())
	}
}

// history counts the events of a release, by their names on the bus.
func (y *yard) history(release string) map[string]int {
	y.Helper()
	recorder, err := y.Recorder()
	if err != nil {
		y.Fatal(err)
	}
	r, err := recorder.GetRelease(y.Context(), &recorderv1.GetReleaseRequest{Release: release, Events: true})
	if err != nil {
		y.Fatal(err)
	}
	n := map[string]int{}
	for _, e := range r.GetEvents() {
		if e.GetRejected() == "" {
			n[e.GetSubject()[strings.LastIndex(e.GetSubject(), ".")+1:]]++
		}
	}
	return n
}

// changed demands what was ever done to every target, by the targets' own ledgers.
func (y *yard) changed(want ...int) {
	y.Helper()
	var got []int
	for _, t := range y.world.Targets {
		got = append(got, effects(y.T, y.world.Folder(t)))
	}
	if !slices.Equal(got, want) {
		y.Errorf("the targets %v saw %v effects, not %v", y.world.Targets, got, want)
	}
}

// rebuild records the whole stream again and demands the same record, byte for byte.
// What dev leaves of the recorder's configuration is all that it needs.
func (y *yard) rebuild() {
	y.Helper()
	folder := binaries(y.T)
	ctx, cancel := context.WithTimeout(y.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(folder, "shipwarden-recorder"), "rebuild", "-config", filepath.Join(y.cfg.Dir, "config", "recorder.yaml"))
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "both records are the same") {
		y.Errorf("rebuild: %v\n%s", err, out)
	}
}
