package cluster

import (
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// A controller does not take back what it said of a rollout that failed when the number of
// replicas alone is changed. Whoever changes it must not be told that he has failed.
func TestWhatADeploymentSaidBeforeItWasAppliedIsNotItsFailure(t *testing.T) {
	deployment := func(more string) *unstructured.Unstructured {
		o := &unstructured.Unstructured{}
		if err := o.UnmarshalJSON([]byte(`{"apiVersion": "apps/v1", "kind": "Deployment",
			"metadata": {"managedFields": [
				{"manager": "shipwarden", "operation": "Update", "time": "2026-12-01T09:00:00Z"},
				{"manager": "shipwarden", "operation": "Apply", "time": "2026-12-01T10:00:00Z"},
				{"manager": "kube-controller-manager", "operation": "Update", "subresource": "status", "time": "2026-12-01T11:00:00Z"}]},
			` + more + `}`)); err != nil {
			t.Fatal(err)
		}
		return o
	}
	failed := func(at string) string {
		return `"status": {"conditions": [{"type": "Available", "lastUpdateTime": "2026-12-01T08:00:00Z"}, {"type": "Progressing", "reason": "ProgressDeadlineExceeded", "lastUpdateTime": "` + at + `"}]}`
	}
	const short = `"spec": {"progressDeadlineSeconds": 3}, `
	for name, test := range map[string]struct {
		more   string
		waited time.Duration
		want   bool
	}{
		"said before":                          {short + failed("2026-12-01T09:59:00Z"), time.Second, true},
		"said in the same second":              {short + failed("2026-12-01T10:00:00Z"), time.Second, true},
		"said after":                           {short + failed("2026-12-01T10:00:01Z"), time.Second, false},
		"said before, and its time is up":      {short + failed("2026-12-01T09:59:00Z"), 3 * time.Second, false},
		"without a deadline":                   {failed("2026-12-01T09:59:00Z"), 9 * time.Minute, true},
		"without a deadline, and time is up":   {failed("2026-12-01T09:59:00Z"), 10 * time.Minute, false},
		"of a time that is none":               {failed("hunter2"), time.Second, true},
		"by a controller that does not say so": {short + `"status": {}`, time.Second, true},
	} {
		if got := outdated(deployment(test.more), test.waited); got != test.want {
			t.Errorf("%s: %t", name, got)
		}
	}
	other := deployment(short + failed("2026-12-01T09:59:00Z"))
	other.SetKind("StatefulSet")
	if outdated(other, 0) {
		t.Error("an object whose controller writes such a condition anew is not believed")
	}
	never := deployment(short + failed("2026-12-01T09:59:00Z"))
	never.SetManagedFields(nil)
	if outdated(never, 0) {
		t.Error("an object that was never applied is not believed")
	}
}
