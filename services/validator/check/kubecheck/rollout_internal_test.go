package kubecheck

import (
	"fmt"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/blackdice/shipwarden/services/validator/check"
	"github.com/blackdice/shipwarden/services/validator/kube"
)

// TestAStatefulSetWhosePodsPeopleReplaceIsRolledOutWhenTheyHave, and not as soon as it is applied.
func TestAStatefulSetWhosePodsPeopleReplaceIsRolledOutWhenTheyHave(t *testing.T) {
	for _, test := range []struct {
		strategy       string
		ready, updated int
		want           string
	}{
		{"OnDelete", 3, 0, "InProgress: updated: 0/3"},
		{"OnDelete", 3, 2, "InProgress: updated: 2/3"},
		{"OnDelete", 2, 3, "InProgress: Ready: 2/3"},
		{"OnDelete", 3, 3, "Current"},
		{"RollingUpdate", 3, 2, "InProgress: Waiting for updated revision to match current"},
	} {
		text := fmt.Sprintf(`{"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "db", "generation": 2},
			"spec": {"replicas": 3, "updateStrategy": {"type": %q}},
			"status": {"observedGeneration": 2, "replicas": 3, "readyReplicas": %d, "updatedReplicas": %d, "currentReplicas": 3, "currentRevision": "a", "updateRevision": "b"}}`,
			test.strategy, test.ready, test.updated)
		o := &unstructured.Unstructured{}
		if err := o.UnmarshalJSON([]byte(text)); err != nil {
			t.Fatal(err)
		}
		l := look{found: &check.Inspected{}}
		if err := l.status(kube.Workload{Kind: "StatefulSet", Name: "db", Object: o}); err != nil {
			t.Fatal(err)
		}
		if got := l.found.Facts[0]; got.Name != check.FactStatus || !strings.HasPrefix(got.Value, test.want) {
			t.Errorf("%+v: %+v", test, got)
		}
		if strategy, _, _ := unstructured.NestedString(o.Object, "spec", "updateStrategy", "type"); strategy != test.strategy {
			t.Errorf("what was read has become %s", strategy)
		}
	}
}
