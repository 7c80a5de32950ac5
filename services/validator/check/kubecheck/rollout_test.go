//go:build kubernetes

package kubecheck_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/blackdice/shipwarden/internal/kubetest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/validator/check"
)

func rollout(w *releasev1.KubernetesWorkloads, restarts uint32, reasons ...string) *releasev1.Check {
	return &releasev1.Check{Name: "rollout", Probe: &releasev1.Check_KubernetesRollout{KubernetesRollout: &releasev1.KubernetesRolloutProbe{
		Workloads: w, MaxRestarts: proto.Uint32(restarts), NoEvents: reasons, Timeout: durationpb.New(time.Minute),
	}}}
}

var labeled = &releasev1.KubernetesWorkloads{Labels: map[string]string{"part": "shop"}}

// TestARolloutIsLookedAt: what is rolled out passes, by name and by labels, and what is not yet does
// not.
func TestARolloutIsLookedAt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if got := w.look(rollout(shop, 0)); got.outcome != check.Failed || !strings.Contains(got.detail, "NotFound") {
		t.Errorf("not there: it %s (%s)", got.outcome, got.detail)
	}
	if got := w.look(rollout(labeled, 0)); got.outcome != check.Error {
		t.Errorf("nothing bears the labels: it %s (%s)", got.outcome, got.detail)
	}
	w.deploy()
	w.running()
	for _, c := range []*releasev1.Check{rollout(shop, 0, "BackOff", "Failed"), rollout(labeled, 0)} {
		// The controller says last that all is as it is to be.
		var got seen
		kubetest.Eventually(t, "it is rolled out", func() bool { got = w.look(c); return got.outcome == check.Passed })
		if got.found.Objects != 1 {
			t.Errorf("%d objects", got.found.Objects)
		}
	}
	w.patch("apps/v1:deployments/shop", object{"spec": object{"replicas": 3, "template": object{"spec": object{"nodeSelector": object{"no": "where"}}}}})
	kubetest.Eventually(t, "it is not rolled out", func() bool {
		got := w.look(rollout(shop, 0))
		return got.outcome == check.Failed && strings.Contains(got.detail, "InProgress")
	})
}

// TestWarningsAndRestartsOfWhatWasReleased: those of this release count, and those of what was before
// it, or of another workload, do not.
func TestWarningsAndRestartsOfWhatWasReleased(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	warn := func(reason, kind, name string, at time.Time) {
		w.make("events", object{
			"metadata": object{"generateName": "e-"}, "type": "Warning", "reason": reason, "message": "hunter2",
			"involvedObject": object{"kind": kind, "name": name, "namespace": w.namespace},
			"firstTimestamp": at.UTC().Format(time.RFC3339), "lastTimestamp": at.UTC().Format(time.RFC3339),
		})
	}
	w.deploy()
	w.running()
	pod := w.pods()[0]
	c := rollout(shop, 0, "BackOff", "Failed")
	kubetest.Eventually(t, "it is rolled out", func() bool { return w.look(c).outcome == check.Passed })
	warn("Unhealthy", "Pod", pod, w.began.Add(time.Minute))
	warn("BackOff", "Pod", "shop-admin-0", w.began.Add(time.Minute))
	warn("BackOff", "Deployment", "billing", w.began.Add(time.Minute))
	if got := w.look(c); got.outcome != check.Passed {
		t.Errorf("warnings of others: it %s (%s)", got.outcome, got.detail)
	}
	// One of a pod that is gone by now.
	set := pod[:strings.LastIndex(pod, "-")]
	warn("BackOff", "Pod", set+"-zzzzz", w.began.Add(time.Minute))
	if got := w.look(c); got.outcome != check.Failed || !strings.Contains(got.detail, "Pod/"+set+"-zzzzz: warning BackOff") {
		t.Errorf("a warning: it %s (%s)", got.outcome, got.detail)
	}
	w.began = w.began.Add(2 * time.Minute)
	if got := w.look(c); got.outcome != check.Passed {
		t.Errorf("a warning of before the release: it %s (%s)", got.outcome, got.detail)
	}
	path := w.path("pods/" + pod)
	status := imageID(w.admin.Must(w, http.MethodGet, path, nil), "registry.example.test/shop@"+approved)
	statuses, _ := kubetest.Field(status, "status", "containerStatuses").([]any)
	statuses[0].(map[string]any)["restartCount"] = 2 //nolint:forcetypeassert // As the server wrote it.
	w.admin.Must(w, http.MethodPatch, path+"/status", status)
	if got := w.look(c); got.outcome != check.Failed || !strings.Contains(got.detail, "started again 2 times") {
		t.Errorf("started again: it %s (%s)", got.outcome, got.detail)
	}
	if got := w.look(rollout(shop, 2)); got.outcome != check.Passed {
		t.Errorf("started again as often as is allowed: it %s (%s)", got.outcome, got.detail)
	}
}

// TestABadVersionIsFound: one whose containers end again and again.
func TestABadVersionIsFound(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.deploy(func(pod object) {
		pod["containers"].([]object)[0]["image"] = "registry.example.test/shop:bad-crash-1" //nolint:forcetypeassert // The tests' own.
	})
	kubetest.Eventually(t, "a container was started again", func() bool {
		return w.look(rollout(shop, 0)).outcome == check.Failed && w.look(rollout(shop, 1000, "BackOff")).outcome == check.Failed
	})
}
