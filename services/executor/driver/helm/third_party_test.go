//go:build kubernetes

package helm_test

import (
	"archive/tar"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/blackdice/shipwarden/internal/kubetest"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/driver/helm"
	"github.com/blackdice/shipwarden/services/executor/driver/helm/helmtest"
)

// A chart that nobody here wrote is installed, upgraded, fails, and goes back to what was ready; the
// executor that is killed in the middle of its upgrade is followed by one that finishes.
func TestAThirdPartyChartIsInstalledUpgradedFailsAndGoesBack(t *testing.T) {
	t.Parallel()
	w := open(t)
	c := config(w.folder)
	c.Release = "podinfo"
	c.Parameters = []*configv1.HelmParameter{{Parameter: "tag", Value: "image.tag"}, {Parameter: "replicas", Value: "replicaCount", Integer: true}}
	all := helmtest.Podinfo(t)
	version := func(n int, tag string) driver.Plan {
		// Another archive of the same files is another version.
		p := charted(n, archived(all, &tar.Header{Name: "podinfo/", Typeflag: tar.TypeDir, Mode: 0o755, ModTime: time.Unix(int64(n), 0)}))
		p.Parameters = map[string]string{"tag": tag, "replicas": "2"}
		return p
	}
	image := func() string {
		image, _ := kubetest.Field(w.object(t, "deployments/podinfo"), "spec", "template", "spec", "containers", 0, "image").(string)
		return image[strings.LastIndex(image, ":")+1:]
	}
	d := w.driver(t, c, helm.Options{})
	hurried := proto.CloneOf(c)
	hurried.Timeout = durationpb.New(20 * time.Second) // for what is never ready
	one, two, bad := version(1, "6.9.1"), version(2, "6.9.2"), version(3, "bad-pull1")
	if asked, err := d.Diff(t.Context(), one); err != nil || !strings.Contains(asked.Text, "create Deployment podinfo") {
		t.Fatalf("approvers are told %+v, %v", asked, err)
	}
	r, err := place(t, d, 1, one, driver.Plan{})
	must(t, r, err)
	if got := kubetest.Field(w.object(t, "deployments/podinfo"), "status", "readyReplicas"); got != 2.0 {
		t.Errorf("%v replicas are ready", got)
	}
	r, err = place(t, d, 2, two, one)
	must(t, r, err)
	if got := image(); got != "6.9.2" {
		t.Errorf("upgraded to %s", got)
	}
	if _, err := place(t, w.driver(t, hurried, helm.Options{}), 3, bad, two); err == nil {
		t.Fatal("what is never ready was taken")
	}
	r, err = back(t, d, 3, bad, two)
	must(t, r, err)
	if got := image(); got != "6.9.2" {
		t.Errorf("it went back to %s", got)
	}
	if got := w.history(t); got["2"] != "superseded" || got["3"] == "deployed" {
		t.Errorf("history %v", got)
	}
}
