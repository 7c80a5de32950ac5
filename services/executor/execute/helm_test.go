//go:build kubernetes

package execute_test

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/blackdice/shipwarden/internal/evidence"
	"github.com/blackdice/shipwarden/internal/kubetest"
	"github.com/blackdice/shipwarden/procedure"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/driver/helm/helmtest"
	"github.com/blackdice/shipwarden/services/executor/execute"
	"github.com/blackdice/shipwarden/services/executor/site/sitetest"
)

// A chart that nobody here wrote goes all the way: what approvers read of it is what happens, and the
// record has what became of it.
func TestAThirdPartyChartGoesThroughARelease(t *testing.T) {
	c := kubetest.Shared(t)
	admin, namespace := c.Client(kubetest.Admin), c.Namespace(t)
	w := sitetest.New(t, func(string) *configv1.TargetDriver {
		return &configv1.TargetDriver{Target: "eu1", Driver: &configv1.TargetDriver_Helm{Helm: &configv1.HelmDriver{
			KubeconfigFile: c.Kubeconfig(t, kubetest.Executor, namespace), Namespace: namespace, Release: "podinfo",
		}}}
	})
	chart, err := helmtest.Archive(helmtest.Podinfo(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(w.Artifacts(), "podinfo.tgz"), chart, 0o600); err != nil {
		t.Fatal(err)
	}
	e := w.Executor(t, "one", nil)
	r := shown(t, w, e, func(r *releasev1.Request) {
		a := r.GetArtifacts()[0]
		a.Kind, a.Location, a.Digest = releasev1.ArtifactKind_ARTIFACT_KIND_HELM_CHART, "podinfo.tgz", fmt.Sprintf("sha256:%x", sha256.Sum256(chart))
	})
	p := r.State(t).Preview("eu1")
	detail, err := evidence.New(w.JetStream()).Get(t.Context(), p.GetDetail().GetDigest())
	if err != nil || p.GetClass() != releasev1.DriverClass_DRIVER_CLASS_FENCED || p.GetDiffDigest() == "" || !strings.Contains(string(detail), "create Deployment podinfo\n") {
		t.Fatalf("%v; %s, %v", p, detail, err)
	}
	deployment := "/apis/apps/v1/namespaces/" + namespace + "/deployments/podinfo"
	if got := admin.Status(t, http.MethodGet, deployment, nil); got != http.StatusNotFound {
		t.Fatalf("looking has changed something: %d", got)
	}
	e.Start(t, execute.New)
	s := r.Reaches(t, procedure.PhaseVerify)
	if got := s.Result("eu1"); got.GetDigest() != s.PrimaryArtifact().GetDigest() || !strings.Contains(got.GetMessage(), "revision 1") {
		t.Errorf("it ended with %v", got)
	}
	if got := kubetest.Field(admin.Must(t, http.MethodGet, deployment, nil), "status", "readyReplicas"); got != 1.0 {
		t.Errorf("%v replicas are ready", got)
	}
}
