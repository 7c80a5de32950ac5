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

	"github.com/blackdice/shipwarden/internal/kubetest"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/driver/gitops/gitopstest"
	"github.com/blackdice/shipwarden/services/executor/driver/gitrepo/gitrepotest"
	"github.com/blackdice/shipwarden/services/executor/driver/helm/helmtest"
	"github.com/blackdice/shipwarden/services/executor/site/sitetest"
)

// exchanged demands that a start was refused because what would become of the target is something
// else than people have approved, or what it is is something else than they have seen.
func exchanged(t *testing.T, e *sitetest.Executor, r *sitetest.Release) {
	t.Helper()
	if s := startOf(t, e, r); s.Outcome != releasev1.Outcome_OUTCOME_REJECTED || s.Started() ||
		!strings.Contains(s.EndReason, "says otherwise than was approved") && !strings.Contains(s.EndReason, "is not as it was previewed") {
		t.Errorf("in phase %s, %s: %s", s.Phase, s.Outcome, s.EndReason)
	}
}

// A commit by somebody else in the folder of the target, after people have seen what would change, is
// not replaced: they have approved to replace something else.
func TestACommitBySomebodyElseAfterTheApprovalStopsTheStart(t *testing.T) {
	t.Parallel()
	c := kubetest.Shared(t)
	namespace, repo := c.Namespace(t), gitrepotest.New(t)
	const kind = configv1.GitopsResource_KIND_ARGOCD_APPLICATION
	gitopstest.Follow(t, c, namespace, kind, repo)
	w := sitetest.New(t, func(string) *configv1.TargetDriver {
		return &configv1.TargetDriver{Target: "eu1", Driver: &configv1.TargetDriver_Gitops{Gitops: &configv1.GitopsDriver{
			Repository: repo.Config(), Path: gitopstest.Path, KubeconfigFile: c.Kubeconfig(t, kubetest.Executor, namespace), Namespace: namespace,
			Resource: &configv1.GitopsResource{Kind: kind, Name: "shop"},
		}}}
	})
	const text = "kind: ConfigMap\ndata: {version: \"1\"}\n"
	if err := os.WriteFile(filepath.Join(w.Artifacts(), "shop.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	e := w.Executor(t, "one", nil)
	r := shown(t, w, e, func(r *releasev1.Request) {
		r.Artifacts[0].Location, r.Artifacts[0].Digest = "shop.yaml", fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(text)))
	})
	theirs := repo.Commit(t, "By hand", map[string]string{gitopstest.Path + "/shop.yaml": "kind: ConfigMap\ndata: {version: \"0\"}\n"})
	exchanged(t, e, r)
	if head := repo.Head(t); head != theirs {
		t.Errorf("%s was pushed over %s", head, theirs)
	}
}

// A secret among the values of a chart that is another one than when people approved is a change that
// nobody has approved, though nobody is shown what it is.
func TestASecretThatIsExchangedAfterTheApprovalStopsTheStart(t *testing.T) {
	t.Parallel()
	c := kubetest.Shared(t)
	namespace, secret := c.Namespace(t), filepath.Join(t.TempDir(), "password")
	write := func(text string) {
		if err := os.WriteFile(secret, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("correct-horse-battery")
	w := sitetest.New(t, func(string) *configv1.TargetDriver {
		return &configv1.TargetDriver{Target: "eu1", Driver: &configv1.TargetDriver_Helm{Helm: &configv1.HelmDriver{
			KubeconfigFile: c.Kubeconfig(t, kubetest.Executor, namespace), Namespace: namespace, Release: "shop",
			Secrets: []*configv1.HelmSecret{{Value: "auth.password", File: secret}},
		}}}
	})
	chart, err := helmtest.Archive(map[string]string{
		"shop/Chart.yaml":            "apiVersion: v2\nname: shop\nversion: 1.0.0\n",
		"shop/values.yaml":           "auth: {password: \"\"}\n",
		"shop/templates/secret.yaml": "apiVersion: v1\nkind: Secret\nmetadata: {name: shop}\nstringData: {p: {{ .Values.auth.password | quote }}}\n",
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(w.Artifacts(), "shop.tgz"), chart, 0o600); err != nil {
		t.Fatal(err)
	}
	e := w.Executor(t, "one", nil)
	r := shown(t, w, e, func(r *releasev1.Request) {
		a := r.GetArtifacts()[0]
		a.Kind, a.Location, a.Digest = releasev1.ArtifactKind_ARTIFACT_KIND_HELM_CHART, "shop.tgz", fmt.Sprintf("sha256:%x", sha256.Sum256(chart))
	})
	write("hunter2-hunter2-hunter2")
	exchanged(t, e, r)
	if got := c.Client(kubetest.Admin).Status(t, http.MethodGet, "/api/v1/namespaces/"+namespace+"/secrets/shop", nil); got != http.StatusNotFound {
		t.Errorf("it was placed: %d", got)
	}
}
