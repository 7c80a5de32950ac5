//go:build kubernetes

package gitops_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/driver/gitops"
	"github.com/blackdice/shipwarden/services/executor/driver/gitops/delivery"
	"github.com/blackdice/shipwarden/services/executor/driver/gitops/gitopstest"
	"github.com/blackdice/shipwarden/services/executor/driver/gitrepo/gitrepotest"
)

const (
	argo = configv1.GitopsResource_KIND_ARGOCD_APPLICATION
	flux = configv1.GitopsResource_KIND_FLUX_KUSTOMIZATION
	file = gitopstest.Path + "/shop.yaml"
)

func fence(sequence uint64) driver.Fence { return driver.Fence{Epoch: "e1", Sequence: sequence} }

func forth(version uint32) driver.Key { return driver.ApplyKey("shop-7q2m3xw5d8ta4bc", version, 1) }

func back(version uint32) driver.Key { return driver.RollbackKey("shop-7q2m3xw5d8ta4bc", version, 1) }

// places makes the driver place a version, as the wave of that number.
func (w world) places(t *testing.T, version uint32) {
	t.Helper()
	if _, err := w.driver(t).Apply(t.Context(), forth(version), fence(uint64(10*version)), plan("", int(version))); err != nil {
		t.Fatal(err)
	}
}

// What has failed is taken back by a commit, and never in the cluster alone: whatever the controller
// places again, it is what was there before.
func TestTheWayBackIsACommitThatTheClusterFollows(t *testing.T) {
	for name, kind := range map[string]configv1.GitopsResource_Kind{"Argo CD": argo, "Flux": flux} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := open(t, kind)
			w.places(t, 1)
			bad := planOf(2, manifest(2)+"# "+gitopstest.Broken+"\n")
			bad.Previous, bad.PreviousVersion = plan("", 1).Artifact.Digest, "1.0.0"
			d := w.driver(t)
			if p, err := d.Preview(t.Context(), bad); err != nil || !p.RollbackReady || !strings.Contains(p.Detail, "followed by: ") {
				t.Fatalf("preview: %+v, %v", p, err)
			}
			asked, err := d.Diff(t.Context(), bad)
			if err != nil || !strings.Contains(asked.Text, "change shop.yaml\n") || !strings.Contains(asked.Text, `version: "1" -> "2"`) {
				t.Fatalf("approvers are told %+v, %v", asked, err)
			}
			bad.Approved = asked.Digest()
			result, err := d.Apply(t.Context(), forth(2), fence(20), bad)
			if err == nil || !strings.Contains(err.Error(), "has failed") || !strings.Contains(result.Message, "shop") {
				t.Fatalf("what never becomes healthy was taken: %+v, %v", result, err)
			}
			if got := w.Repository.Read(t, file); !strings.Contains(got, gitopstest.Broken) {
				t.Fatalf("Git has %q", got)
			}
			if status, err := d.Probe(t.Context(), forth(2)); err != nil || status != driver.StatusStarted {
				t.Errorf("probe: %s, %v", status, err)
			}
			result, err = d.Rollback(t.Context(), back(2), fence(20), bad)
			if err != nil || result.Digest != bad.Previous {
				t.Fatalf("%+v, %v", result, err)
			}
			if got := w.Repository.Read(t, file); got != manifest(1) || w.carries(t) != bad.Previous || w.effects(t) != 3 {
				t.Errorf("Git has %q, the cluster %v, after %d commits", got, w.Live(t), w.effects(t))
			}
			head := w.Repository.Head(t)
			if err := w.Repository.Verify(t, head); err != nil {
				t.Errorf("who signed the way back: %v", err)
			}
			if said := w.Repository.Git(t, "log", "-1", "--format=%B", head); !strings.Contains(said, "Take back 2.0.0 on target "+target) || !strings.Contains(said, "Shipwarden-Key: "+string(back(2))) {
				t.Errorf("the commit says %q", said)
			}
			if digest, err := d.Running(t.Context()); err != nil || digest != bad.Previous {
				t.Errorf("running %q, %v", digest, err)
			}
		})
	}
}

// What would never reach the cluster is known before anything is pushed.
func TestAResourceThatFollowsNothingIsRefusedBeforeAnythingIsPushed(t *testing.T) {
	t.Parallel()
	w := open(t, flux)
	w.places(t, 1)
	w.Change(t, map[string]any{"suspend": true})
	before := w.state(t)
	p := plan("", 2)
	p.Previous = plan("", 1).Artifact.Digest
	if _, err := w.driver(t).Preview(t.Context(), p); !errors.Is(err, delivery.ErrNotFollowing) || !strings.Contains(err.Error(), "spec.suspend is true") {
		t.Errorf("preview: %v", err)
	}
	if _, err := w.driver(t).Apply(t.Context(), forth(2), fence(20), p); !errors.Is(err, delivery.ErrNotFollowing) {
		t.Errorf("apply: %v", err)
	}
	if after := w.state(t); after != before {
		t.Errorf("something was pushed: %s, and was %s", after, before)
	}
	w.config.Resource = &configv1.GitopsResource{Kind: flux, Name: "other"}
	if _, err := w.driver(t).Preview(t.Context(), p); !errors.Is(err, driver.ErrInvalid) || !strings.Contains(err.Error(), "other: is not there") {
		t.Errorf("a resource that is not there: %v", err)
	}
}

// A commit that nobody takes up in time has failed, and says what was waited for; it is there, and
// whoever repeats the call makes no other.
func TestACommitThatIsNotTakenUpInTimeFailsAndIsFoundAgain(t *testing.T) {
	t.Parallel()
	w := open(t, argo)
	w.places(t, 1)
	w.Pause(true)
	w.config.Timeout = durationpb.New(5 * time.Second)
	_, err := w.driver(t).Apply(t.Context(), forth(2), fence(20), plan("", 2))
	if err == nil || !strings.Contains(err.Error(), "not healthy in time") || !strings.Contains(err.Error(), "does not have the change") {
		t.Fatalf("got %v", err)
	}
	if digest, err := w.driver(t).Running(t.Context()); !errors.Is(err, driver.ErrUnknown) {
		t.Errorf("running %q, %v", digest, err)
	}
	if lines, err := w.driver(t).Inspect(t.Context()); !errors.Is(err, driver.ErrUnknown) {
		t.Errorf("inspect %q, %v", lines, err)
	}
	// Others push to other folders meanwhile, and the controller takes up theirs, which has ours.
	w.Repository.Commit(t, "another application", map[string]string{"apps/other/other.yaml": "a: 1\n"})
	w.config.Timeout = nil
	w.Pause(false)
	result, err := w.driver(t).Apply(t.Context(), forth(2), fence(20), plan("", 2))
	if err != nil || !result.Repeated || w.effects(t) != 2 || w.carries(t) != plan("", 2).Artifact.Digest {
		t.Errorf("%+v, %v, after %d commits", result, err, w.effects(t))
	}
}

// What somebody else has pushed into the folder is not overwritten, unless those who approved saw it.
func TestWhatSomebodyElsePushedIsNotOverwritten(t *testing.T) {
	t.Parallel()
	w := open(t, argo)
	w.places(t, 1)
	theirs := w.Repository.Commit(t, "by hand", map[string]string{file: manifest(1) + "# by hand\n", gitopstest.Path + "/more.yaml": "a: 1\n"})
	d := w.driver(t)
	p := plan("", 2)
	p.Previous = plan("", 1).Artifact.Digest
	var manual *driver.ManualChange
	_, err := d.Apply(t.Context(), forth(2), fence(20), p)
	if !errors.As(err, &manual) || manual.Field != "more.yaml" || !strings.Contains(manual.Manager, "Ann <ann@shop.example>") || !strings.Contains(manual.Manager, theirs[:12]) {
		t.Fatalf("got %v: %+v", err, manual)
	}
	_, err = d.Rollback(t.Context(), back(1), fence(20), driver.Plan{Target: target, Artifact: plan("", 1).Artifact, Previous: plan("", 3).Artifact.Digest})
	if err == nil {
		t.Error("the way back overwrote it")
	}
	lines, err := d.Inspect(t.Context())
	if err != nil || len(lines) != 2 || !strings.HasPrefix(lines[0], "more.yaml: is not as it was placed, since commit "+theirs[:12]+" by Ann") || !strings.HasPrefix(lines[1], "shop.yaml: ") {
		t.Errorf("inspect: %q, %v", lines, err)
	}
	if w.Repository.Head(t) != theirs {
		t.Fatal("something was pushed")
	}

	// Now people see it. What they approve is what happens, and theirs can come back.
	if p.Previous = w.running(t); p.Previous == plan("", 1).Artifact.Digest {
		t.Fatalf("running %q", p.Previous)
	}
	asked, err := d.Diff(t.Context(), p)
	if err != nil || !strings.Contains(asked.Text, "delete more.yaml\n") {
		t.Fatalf("%+v, %v", asked, err)
	}
	p.Approved = asked.Digest()
	if _, err := d.Apply(t.Context(), forth(2), fence(20), p); err != nil {
		t.Fatal(err)
	}
	if lines, err := d.Inspect(t.Context()); err != nil || len(lines) > 0 {
		t.Errorf("inspect: %q, %v", lines, err)
	}
	if _, err := d.Rollback(t.Context(), back(2), fence(20), p); err != nil {
		t.Fatal(err)
	}
	if got := w.Live(t); got["shop.yaml"] != manifest(1)+"# by hand\n" || got["more.yaml"] != "a: 1\n" {
		t.Errorf("went back to %v", got)
	}
}

func TestWhatSomebodyPushesWhileItIsWaitedForStopsTheRelease(t *testing.T) {
	t.Parallel()
	w := open(t, argo)
	w.places(t, 1)
	d, err := gitops.New(w.config, gitops.Options{Target: target, At: func(point string) {
		if point == gitops.PointPushed {
			w.Repository.Commit(t, "by hand", map[string]string{file: manifest(3)})
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	var manual *driver.ManualChange
	if _, err := d.Apply(t.Context(), forth(2), fence(20), plan("", 2)); !errors.As(err, &manual) || manual.Field != "shop.yaml" {
		t.Errorf("got %v", err)
	}
}

func TestAnotherChangeThanWasApprovedIsNotPushed(t *testing.T) {
	t.Parallel()
	w := open(t, argo)
	w.places(t, 1)
	p := plan("", 3)
	asked, err := w.driver(t).Diff(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	w.places(t, 2)
	before := w.Repository.Head(t)
	p.Approved = asked.Digest()
	if _, err := w.driver(t).Apply(t.Context(), forth(3), fence(30), p); !errors.Is(err, driver.ErrConflict) || !strings.Contains(err.Error(), "is not what was approved") {
		t.Errorf("got %v", err)
	}
	if w.Repository.Head(t) != before {
		t.Error("something was pushed")
	}
}

// Reverting our commit by hand takes the files back, and not the fence.
func TestARevertByHandTakesNoRecordAway(t *testing.T) {
	t.Parallel()
	w := open(t, argo)
	w.places(t, 1)
	w.places(t, 2)
	w.Repository.Commit(t, "Revert \"Release 2.0.0\"", map[string]string{file: manifest(1)})
	if _, err := w.driver(t).Apply(t.Context(), forth(3), fence(15), plan("", 3)); !errors.Is(err, driver.ErrStaleFence) {
		t.Errorf("an older fence: %v", err)
	}
	// That is no release that anybody made, whatever is in the files.
	if got := w.running(t); got == plan("", 2).Artifact.Digest {
		t.Errorf("running %q", got)
	}
	// The branch is made anew, without any record: nobody knows who was there last.
	w.Repository.Git(t, "update-ref", "refs/heads/"+gitrepotest.Branch, w.Repository.CommitOn(t, "anew", "", "anew", map[string]string{file: manifest(2)}))
	p := plan("", 3)
	p.Previous, p.PreviousVersion = plan("", 2).Artifact.Digest, "2.0.0"
	if _, err := w.driver(t).Apply(t.Context(), forth(3), fence(30), p); !errors.Is(err, driver.ErrConflict) || !strings.Contains(err.Error(), "make a commit with the trailer "+gitops.Trailer) {
		t.Errorf("a branch without a record: %v", err)
	}
	w.Repository.Commit(t, "Nobody is at work\n\n"+gitops.Trailer+": {\"target\":\""+target+"\"}", map[string]string{file: manifest(2)})
	asked, err := w.driver(t).Diff(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	p.Approved = asked.Digest()
	if _, err := w.driver(t).Apply(t.Context(), forth(3), fence(30), p); err != nil {
		t.Errorf("after a person's word: %v", err)
	}
}

// An answer to a push that is lost is no second commit, and a push that was lost is made again.
func TestLostAnswersOfTheRepositoryChangeNothingOfTheOutcome(t *testing.T) {
	t.Parallel()
	for _, lost := range []string{"the answer", "the request"} {
		t.Run(lost, func(t *testing.T) {
			t.Parallel()
			w := open(t, argo)
			w.places(t, 1)
			once := true
			push := func(r *http.Request) bool {
				is := once && r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "git-receive-pack")
				once = once && !is
				return is
			}
			if lost == "the answer" {
				after := func(r *http.Request) bool { return !push(r) }
				w.Repository.After.Store(&after)
			} else {
				before := func(_ http.ResponseWriter, r *http.Request) bool {
					if push(r) {
						panic(http.ErrAbortHandler)
					}
					return true
				}
				w.Repository.Before.Store(&before)
			}
			result, err := w.driver(t).Apply(t.Context(), forth(2), fence(20), plan("", 2))
			if err != nil || once || w.effects(t) != 2 || w.carries(t) != plan("", 2).Artifact.Digest {
				t.Errorf("%+v, %v; lost %t; %d commits", result, err, !once, w.effects(t))
			}
		})
	}
}

func TestTheResourceIsAskedToLookWhereThatIsConfigured(t *testing.T) {
	for name, kind := range map[string]configv1.GitopsResource_Kind{"Argo CD": argo, "Flux": flux} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := open(t, kind)
			w.places(t, 1)
			if got := w.Asked(t); got != "" {
				t.Errorf("asked without a word: %q", got)
			}
			w.config.Ask = true
			w.places(t, 2)
			if got := w.Asked(t); got == "" {
				t.Error("not asked")
			}
		})
	}
}

// Two targets have folders of one branch, and nobody is in the other's way.
func TestTargetsOfOneBranchAreNotInEachOthersWay(t *testing.T) {
	t.Parallel()
	w := open(t, argo)
	w.places(t, 1)
	w.config.Installation = "other"
	if _, err := w.driver(t).Apply(t.Context(), forth(2), fence(20), plan("", 2)); !errors.Is(err, driver.ErrConflict) || !strings.Contains(err.Error(), `is that of installation ""`) {
		t.Errorf("another installation: %v", err)
	}
	w.config.Installation = ""
	one := w.driver(t)
	// A record of another target is none of this one's.
	w.Repository.Commit(t, "Release\n\n"+gitops.Trailer+": {\"target\":\"other\",\"epoch\":\"e9\",\"sequence\":99,\"serial\":99}", map[string]string{"apps/other/a.yaml": "a: 1\n"})
	if result, err := one.Apply(t.Context(), forth(1), fence(10), plan("", 1)); err != nil || !result.Repeated {
		t.Errorf("%+v, %v", result, err)
	}
	// One that cannot be read is not taken for none.
	w.Repository.Commit(t, "Release\n\n"+gitops.Trailer+": {", map[string]string{"apps/other/a.yaml": "a: 2\n"})
	if _, err := one.Apply(t.Context(), forth(2), fence(20), plan("", 2)); !errors.Is(err, driver.ErrConflict) || !strings.Contains(err.Error(), "cannot be read") {
		t.Errorf("a record that cannot be read: %v", err)
	}
}
