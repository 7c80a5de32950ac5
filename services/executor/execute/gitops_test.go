//go:build kubernetes

package execute_test

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/blackdice/shipwarden/internal/evidence"
	"github.com/blackdice/shipwarden/internal/kubetest"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/driver/gitops/gitopstest"
	"github.com/blackdice/shipwarden/services/executor/driver/gitrepo/gitrepotest"
	"github.com/blackdice/shipwarden/services/executor/execute"
	"github.com/blackdice/shipwarden/services/executor/release"
	"github.com/blackdice/shipwarden/services/executor/rollback"
	"github.com/blackdice/shipwarden/services/executor/site/sitetest"
)

// A release is a commit that people have seen, which the cluster takes up; one that fails there is
// taken back by another commit, and the cluster takes up that.
func TestAReleaseByACommit(t *testing.T) {
	c := kubetest.Shared(t)
	namespace, repo := c.Namespace(t), gitrepotest.New(t)
	const kind = configv1.GitopsResource_KIND_ARGOCD_APPLICATION
	cluster := gitopstest.Follow(t, c, namespace, kind, repo)
	w := sitetest.New(t, func(string) *configv1.TargetDriver {
		return &configv1.TargetDriver{Target: "eu1", Driver: &configv1.TargetDriver_Gitops{Gitops: &configv1.GitopsDriver{
			Repository: repo.Config(), Path: gitopstest.Path, KubeconfigFile: c.Kubeconfig(t, kubetest.Executor, namespace), Namespace: namespace,
			Resource: &configv1.GitopsResource{Kind: kind, Name: "shop"}, FailedFor: durationpb.New(100 * time.Millisecond), Ask: true,
		}}}
	})
	e := w.Executor(t, "one", nil)
	shows := func(version int, text string) *sitetest.Release {
		if err := os.WriteFile(filepath.Join(w.Artifacts(), fmt.Sprintf("%d.yaml", version)), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return shown(t, w, e, sitetest.Version(version), proceduretest.Key(fmt.Sprintf("version-%d", version)), func(r *releasev1.Request) {
			r.Artifacts[0].Location, r.Artifacts[0].Digest = fmt.Sprintf("%d.yaml", version), fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(text)))
		})
	}
	good, bad := "kind: ConfigMap\ndata: {version: \"1\"}\n", "kind: ConfigMap\ndata: {version: \"2\"} # "+gitopstest.Broken+"\n"

	first := shows(1, good)
	p := first.State(t).Preview("eu1")
	detail, err := evidence.New(w.JetStream()).Get(t.Context(), p.GetDetail().GetDigest())
	if err != nil || p.GetClass() != releasev1.DriverClass_DRIVER_CLASS_FENCED || p.GetDiffDigest() == "" || !strings.Contains(string(detail), "create 1.yaml\n") {
		t.Fatalf("%v; %s, %v", p, detail, err)
	}
	if got := repo.Read(t, gitopstest.Path+"/1.yaml"); got != "" {
		t.Fatalf("looking has pushed %q", got)
	}
	e.Start(t, execute.New, rollback.New, release.New)
	s := first.Reaches(t, procedure.PhaseVerify)
	if got := s.Result("eu1"); got.GetDigest() != s.PrimaryArtifact().GetDigest() || !strings.Contains(got.GetMessage(), "is healthy at commit ") {
		t.Fatalf("it ended with %v", got)
	}
	if got := cluster.Live(t); got["1.yaml"] != good || len(got) != 1 {
		t.Errorf("the cluster has %v", got)
	}
	first.Do(t, "", proceduretest.Verified(s, releasev1.CheckResult_VERDICT_PASS, false))
	first.Reaches(t, procedure.PhaseRecord)

	e.Stop()
	second := shows(2, bad)
	if p := second.State(t).Preview("eu1"); !p.GetRollbackReady() || p.GetRollbackDigest() != s.PrimaryArtifact().GetDigest() {
		t.Fatalf("the way back: %v", p)
	}
	e.Start(t, execute.New, rollback.New, release.New)
	s = second.Reaches(t, procedure.PhaseVerifyRollback)
	if got := second.Find(t, "execution_failed").GetExecutionFailed().GetResults(); len(got) != 1 || !strings.Contains(got[0].GetMessage(), "what it has placed is Degraded") {
		t.Errorf("it failed with %v", got)
	}
	if got := s.Result("eu1"); got.GetDigest() != first.State(t).PrimaryArtifact().GetDigest() {
		t.Errorf("it went back with %v", got)
	}
	head := repo.Head(t)
	if got := repo.Read(t, gitopstest.Path+"/1.yaml"); got != good || cluster.Live(t)["1.yaml"] != good || len(cluster.Live(t)) != 1 {
		t.Errorf("Git has %q, the cluster %v", got, cluster.Live(t))
	}
	if said := repo.Git(t, "log", "-1", "--format=%s", head); !strings.HasPrefix(said, "Take back 2.0.0 on target eu1") || repo.Verify(t, head) != nil {
		t.Errorf("the newest commit says %q, %v", said, repo.Verify(t, head))
	}
}
