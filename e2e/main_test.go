package e2e

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/blackdice/shipwarden/e2e/rig"
	"github.com/blackdice/shipwarden/e2e/shop"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	recorderv1 "github.com/blackdice/shipwarden/proto/shipwarden/recorder/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// yard is a running Shipwarden with a shop to release.
type yard struct {
	*rig.Rig
	*testing.T
	world *shop.World
}

var verbose = flag.Bool("service-log", false, "print what the services log")

// patience bounds the wait for anything that the machine does by itself.
const patience = 60 * time.Second

// launchers are the two ways to run the services; the suite runs both ways.
func launchers(t *testing.T) map[string]rig.Launcher {
	return map[string]rig.Launcher{"in one process": rig.InProcess, "as processes": rig.Processes(binaries(t), os.Stderr)}
}

var built string

// binaries builds the four services once.
func binaries(t *testing.T) string {
	t.Helper()
	if built != "" {
		return built
	}
	dir, err := os.MkdirTemp("", "shipwarden-bin-")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"approval", "validator", "executor", "recorder"} {
		cmd := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(dir, name), "./services/"+name+"/cmd/"+name)
		cmd.Dir = ".."
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("build %s: %v\n%s", name, err, out)
		}
	}
	built = dir
	return dir
}

// open starts a yard. Rules change the procedure document; nil leaves it as it is.
func open(t *testing.T, launch rig.Launcher, rules func(*shop.Rules)) *yard {
	t.Helper()
	dir := scratch(t)
	world, err := shop.New(filepath.Join(dir, "world"), "../examples/shop")
	if err != nil {
		t.Fatal(err)
	}
	if rules != nil {
		rules(&world.Rules)
	}
	if err := world.BuildTools(t.Context()); err != nil {
		t.Fatal(err)
	}
	level := configv1.Log_LEVEL_ERROR
	if *verbose {
		level = configv1.Log_LEVEL_DEBUG
	}
	cfg, err := world.Configure(rig.Config{Dir: filepath.Join(dir, "state"), Launch: launch, Unsafe: true, LogLevel: level, AckWait: 2 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	r, err := rig.Start(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		r.Stop()
		world.Stop(context.Background())
	})
	return &yard{Rig: r, T: t, world: world}
}

// scratch is a folder that the user who runs PostgreSQL can reach.
func scratch(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "shipwarden-e2e-")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil { //nolint:gosec // The database's user passes through.
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

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
