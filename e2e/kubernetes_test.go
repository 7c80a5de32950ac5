//go:build kubernetes

package e2e

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/blackdice/shipwarden/e2e/rig"
	"github.com/blackdice/shipwarden/e2e/rig/inprocess"
	"github.com/blackdice/shipwarden/e2e/shop"
	"github.com/blackdice/shipwarden/internal/kubetest"
	"github.com/blackdice/shipwarden/procedure"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	recorderv1 "github.com/blackdice/shipwarden/proto/shipwarden/recorder/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/driver/helm/helmtest"
)

// harbor is a yard whose two targets are namespaces of one cluster, which executor and validator
// reach as somebody of their own: one is a release of Helm, the other is manifests.
type harbor struct {
	*yard

	admin        *kubetest.Client
	charts       string // the namespace of the first target
	manifests    string // and of the second
	executor     *mortal
	artifacts    string
	chartVersion string
	podinfo      map[string]string
	digests      *sync.Map // of what was released, by the tag of its image
}

// rolloutTime is how long a workload may take to be ready, on a slow machine as well.
const rolloutTime = 30 * time.Second

// mortal runs the executor as a process that can be killed, and the other services in this one.
type mortal struct {
	program string

	mu      sync.Mutex
	process *os.Process
}

func (m *mortal) launch(ctx context.Context, service, config string) error {
	if service != procedure.ServiceExecutor {
		return inprocess.Launch(ctx, service, config)
	}
	cmd := exec.CommandContext(ctx, m.program, "-config", config)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME")}
	if *verbose {
		cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	m.mu.Lock()
	m.process = cmd.Process
	m.mu.Unlock()
	return cmd.Wait()
}

// executorProgram builds the one service that dies.
func executorProgram(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "shipwarden-executor")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", program, "github.com/blackdice/shipwarden/services/executor/cmd/shipwarden-executor")
	cmd.Dir = ".."
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build the executor: %v\n%s", err, out)
	}
	return program
}

// kill ends the executor as a lost machine does.
func (m *mortal) kill() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.process.Kill()
}

func moor(t *testing.T) *harbor {
	t.Helper()
	c := kubetest.Shared(t)
	h := &harbor{
		admin: c.Client(kubetest.Admin), charts: c.Namespace(t), manifests: c.Namespace(t), executor: &mortal{program: executorProgram(t)}, podinfo: helmtest.Podinfo(t),
		digests: &sync.Map{},
	}
	for line := range strings.Lines(h.podinfo["podinfo/Chart.yaml"]) {
		if version, ok := strings.CutPrefix(line, "version: "); ok {
			h.chartVersion = strings.TrimSpace(version)
		}
	}
	h.yard = open(t, plan{launch: h.executor.launch, config: func(w *shop.World, cfg *rig.Config) error {
		h.artifacts = cfg.ArtifactFolder
		for i, kind := range []string{"driver: helm, kinds: [ARTIFACT_KIND_HELM_CHART]", "driver: kubernetes, kinds: [ARTIFACT_KIND_FILE]"} {
			if err := reaches(cfg, w.Targets[i], kind); err != nil {
				return err
			}
		}
		// Nothing answers in a cluster whose nodes are played: what is checked is what it says of
		// its workloads.
		cfg.Procedure = bytes.Replace(cfg.Procedure, []byte("    checks:\n      - {name: healthy, http: {path: /healthz, timeout: 2s}}\n"), nil, 1)
		cfg.Targets = []*configv1.TargetDriver{
			{Target: w.Targets[0], Driver: &configv1.TargetDriver_Helm{Helm: &configv1.HelmDriver{
				KubeconfigFile: c.Kubeconfig(t, kubetest.Executor, h.charts), Namespace: h.charts, Release: "podinfo", Timeout: durationpb.New(rolloutTime),
				Parameters: []*configv1.HelmParameter{{Parameter: "tag", Value: "image.tag"}},
			}}},
			{Target: w.Targets[1], Driver: &configv1.TargetDriver_Kubernetes{Kubernetes: &configv1.KubernetesDriver{
				KubeconfigFile: c.Kubeconfig(t, kubetest.Executor, h.manifests), Namespace: h.manifests, Timeout: durationpb.New(rolloutTime),
			}}},
		}
		cfg.Clusters = []*configv1.KubernetesCluster{{Name: "eu", KubeconfigFile: c.Kubeconfig(t, kubetest.Validator, h.charts)}}
		cfg.Places = nil
		for i, namespace := range []string{h.charts, h.manifests} {
			cfg.Places = append(cfg.Places, &configv1.TargetAddress{
				Target: w.Targets[i], BaseUrl: h.tells(t, namespace, []string{"podinfo", "shop"}[i]), DigestPath: "/digest",
				Kubernetes: &configv1.KubernetesPlace{Cluster: "eu", Namespace: namespace},
			})
		}
		cfg.Reconcile = time.Second
		return nil
	}})
	return h
}

// reaches has the document say by which driver a target is reached, and leave it the time that
// others take there.
func reaches(cfg *rig.Config, target, driver string) error {
	line := "services: [shop], driver: host, kinds: [ARTIFACT_KIND_FILE]"
	at := bytes.Index(cfg.Procedure, []byte("id: "+target+", environment: production, "+line))
	if at < 0 {
		return fmt.Errorf("the document has no target %s", target)
	}
	cfg.Procedure = append(cfg.Procedure[:at:at], bytes.Replace(cfg.Procedure[at:], []byte(line), []byte("services: [shop], "+driver), 1)...)
	for _, deadline := range []string{"step: 2m", "execute: 2m", "verify: 1m"} {
		name, _, _ := strings.Cut(deadline, ":")
		cfg.Procedure = bytes.Replace(cfg.Procedure, []byte("  "+deadline+"\n"), []byte("  "+name+": 10m\n"), 1)
	}
	return nil
}

// tells serves what an application runs, by the image that its pods are made of: what the
// application would say itself, if its nodes were not played.
func (h *harbor) tells(t *testing.T, namespace, name string) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, d, _ := h.admin.Do(r.Context(), http.MethodGet, h.path(namespace, "deployments/"+name), nil)
		image, _ := kubetest.Field(d, "spec", "template", "spec", "containers", 0, "image").(string)
		digest, _ := h.digests.Load(image[strings.LastIndex(image, ":")+1:])
		_, _ = fmt.Fprint(w, digest)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// on makes the harbor report to another test.
func (h *harbor) on(y *yard) *harbor {
	other := *h
	other.yard = y
	return &other
}

// tell runs a part of the story.
func (h *harbor) tell(name string, part func(*harbor)) {
	h.Helper()
	h.yard.tell(name, func(y *yard) { part(h.on(y)) })
}

// chart is an archive of podinfo of its own, which is released with an image of the tag: another
// one of the same files is another artifact.
func (h *harbor) chart(n int, tag string) shop.Artifact {
	h.Helper()
	packed, err := helmtest.Archive(h.podinfo, &tar.Header{Name: "podinfo/", Typeflag: tar.TypeDir, Mode: 0o755, ModTime: time.Unix(int64(n), 0)})
	if err != nil {
		h.Fatal(err)
	}
	return h.artifact(n, tag, "podinfo-"+h.chartVersion+".tgz", packed)
}

func (h *harbor) artifact(n int, tag, name string, content []byte) shop.Artifact {
	h.Helper()
	location := filepath.Join(fmt.Sprintf("build-%d", n), name)
	path := filepath.Join(h.artifacts, location)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		h.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		h.Fatal(err)
	}
	a := shop.Artifact{Version: fmt.Sprintf("1.%d.0", n), Location: location, Digest: fmt.Sprintf("sha256:%x", sha256.Sum256(content))}
	h.digests.Store(tag, a.Digest)
	return a
}

// workload is a Deployment of the name.
func workload(name string) *releasev1.KubernetesWorkloads {
	return &releasev1.KubernetesWorkloads{Named: []*releasev1.KubernetesWorkload{{Kind: releasev1.KubernetesWorkload_KIND_DEPLOYMENT, Name: name}}}
}

func rollout(name string) *releasev1.Check {
	return &releasev1.Check{Name: "rolled-out", Probe: &releasev1.Check_KubernetesRollout{KubernetesRollout: &releasev1.KubernetesRolloutProbe{
		Workloads: workload(name), NoEvents: []string{"BackOff", "Failed"}, Timeout: durationpb.New(10 * time.Second),
	}}}
}

// tagged asks for a chart with an image.
func (h *harbor) tagged(tag string) func(*releasev1.Request) {
	return func(r *releasev1.Request) {
		r.GetArtifacts()[0].Kind = releasev1.ArtifactKind_ARTIFACT_KIND_HELM_CHART
		r.Plan.Waves = []*releasev1.Wave{{Targets: h.world.Targets[:1]}}
		r.Plan.Parameters = map[string]string{"tag": tag}
		r.Validation.Checks = []*releasev1.Check{rollout("podinfo")}
	}
}

func (h *harbor) path(namespace, what string) string {
	if strings.HasPrefix(what, "deployments") {
		return "/apis/apps/v1/namespaces/" + namespace + "/" + what
	}
	return "/api/v1/namespaces/" + namespace + "/" + what
}

// runsTag demands that an application runs an image of the tag, and is ready.
func (h *harbor) runsTag(namespace, name, tag string) {
	h.Helper()
	d := h.admin.Must(h, http.MethodGet, h.path(namespace, "deployments/"+name), nil)
	image, _ := kubetest.Field(d, "spec", "template", "spec", "containers", 0, "image").(string)
	if !strings.HasSuffix(image, ":"+tag) || kubetest.Field(d, "status", "readyReplicas") != kubetest.Field(d, "spec", "replicas") {
		h.Errorf("%s is %s, with %v of %v ready; want %s", name, image, kubetest.Field(d, "status", "readyReplicas"), kubetest.Field(d, "spec", "replicas"), tag)
	}
}

// recorded demands that the record of a release holds these texts.
func (y *yard) recorded(id string, parts ...string) {
	y.Helper()
	record := y.record(id)
	for _, part := range parts {
		if !strings.Contains(record, part) {
			y.Errorf("the record of %s does not hold %q:\n%s", id, part, record)
		}
	}
}

// TestReleasesToACluster: a chart that nobody here wrote is installed, upgraded by an executor
// that is killed in the middle and its successor, made to fail and taken back; what kubectl
// changes afterwards is found. Beside it, manifests whose criteria are what the cluster says of
// their rollout and security: what does not keep to them goes back.
func TestReleasesToACluster(t *testing.T) {
	h := moor(t)
	h.tell("a chart is installed", (*harbor).installed)
	h.tell("an executor dies in the middle of an upgrade, and the next one finishes", (*harbor).upgraded)
	h.tell("a chart that is never ready goes back", (*harbor).failed)
	h.tell("manifests are placed whose rollout and security are as they should be", (*harbor).secured)
	h.tell("manifests that are never ready go back", (*harbor).stalled)
	h.tell("manifests that break a control of security go back", (*harbor).insecure)
	h.tell("what kubectl changed is found", (*harbor).drifted)
}

func (h *harbor) installed() {
	one := h.chart(1, "6.9.1")
	id := h.release(one, "chart-1", h.tagged("6.9.1"))
	h.runsTag(h.charts, "podinfo", "6.9.1")
	h.recorded(id, one.Digest, "2 to create, 0 to change", "release podinfo is at revision 1, 2 objects are ready", "| rolled-out | pass |", "carol", "dave")
}

// pending reports whether Helm is in the middle of an upgrade, by what it keeps itself.
func (h *harbor) pending() bool {
	items, _ := h.admin.Must(h, http.MethodGet, h.path(h.charts, "secrets?labelSelector=owner%3Dhelm,status%3Dpending-upgrade"), nil)["items"].([]any)
	return len(items) > 0
}

func (h *harbor) upgraded() {
	two := h.chart(2, "6.9.2")
	id := h.submit(two, "chart-2", h.tagged("6.9.2"))
	h.approve(id, "carol", "dave")
	kubetest.Eventually(h, "an upgrade is under way", h.pending)
	if err := h.executor.kill(); err != nil {
		h.Fatal(err)
	}
	_ = h.StopService(procedure.ServiceExecutor)
	if !h.pending() {
		h.Fatal("the upgrade was over before its executor was")
	}
	h.StartService(h.Context(), procedure.ServiceExecutor)
	h.finish(id, releasev1.Outcome_OUTCOME_SUCCEEDED)
	h.runsTag(h.charts, "podinfo", "6.9.2")
	h.recorded(id, two.Digest, "0 to create, 1 to change", "release podinfo is at revision", "| rolled-out | pass |")
	if h.pending() {
		h.Error("Helm takes the upgrade for unfinished")
	}
}

func (h *harbor) failed() {
	id := h.submit(h.chart(3, "bad-pull1"), "chart-3", h.tagged("bad-pull1"))
	h.approve(id, "carol", "dave")
	r := h.finish(id, releasev1.Outcome_OUTCOME_ROLLED_BACK)
	h.runsTag(h.charts, "podinfo", "6.9.2")
	h.recorded(id, "Deployment/"+h.charts+"/podinfo not ready", "### Way back: passed")
	if len(r.GetOpenEscalations()) == 0 {
		h.Error("nobody was called")
	}
}

// guarded are the manifests of an application that keeps to what is demanded, but for what is
// changed.
func guarded(n int, change ...string) []byte {
	text := `apiVersion: apps/v1
kind: Deployment
metadata: {name: shop}
spec:
  replicas: 2
  selector: {matchLabels: {app: shop}}
  template:
    metadata: {labels: {app: shop}}
    spec:
      automountServiceAccountToken: false
      containers:
        - name: shop
          image: registry.example.test/shop:1.` + fmt.Sprint(n) + `.0
          env: [{name: PORT, value: "8080"}]
          securityContext:
            allowPrivilegeEscalation: false
            runAsNonRoot: true
            capabilities: {drop: [ALL]}
            seccompProfile: {type: RuntimeDefault}
`
	return []byte(strings.NewReplacer(change...).Replace(text))
}

func (h *harbor) demanded(r *releasev1.Request) {
	r.Plan.Waves = []*releasev1.Wave{{Targets: h.world.Targets[1:2]}}
	r.Validation.Checks = []*releasev1.Check{rollout("shop"), {
		Name: "security", Probe: &releasev1.Check_KubernetesSecurity{KubernetesSecurity: &releasev1.KubernetesSecurityProbe{
			Workloads: workload("shop"), Timeout: durationpb.New(10 * time.Second),
			PodSecurity: &releasev1.KubernetesPodControl{
				Level: releasev1.KubernetesPodControl_LEVEL_RESTRICTED, Enforced: releasev1.KubernetesPodControl_LEVEL_PRIVILEGED,
			},
			Exposure: &releasev1.KubernetesExposureControl{}, PlainSecrets: &releasev1.KubernetesSecretControl{},
		}},
	}}
}

func (h *harbor) secured() {
	four := h.artifact(4, "1.4.0", "shop.yaml", guarded(4))
	id := h.release(four, "manifests-4", h.demanded)
	h.runsTag(h.manifests, "shop", "1.4.0")
	h.recorded(id, four.Digest, "| rolled-out | pass |", "| security.pod_security | pass |", "| security.exposure | pass |", "| security.plain_secrets | pass |")
}

// stalled follows an upgrade that is well with one whose image nobody can fetch.
func (h *harbor) stalled() {
	id := h.release(h.artifact(5, "1.5.0", "shop.yaml", guarded(5)), "manifests-5", h.demanded)
	h.runsTag(h.manifests, "shop", "1.5.0")
	h.recorded(id, "0 to create, 1 to change")
	id = h.submit(h.artifact(6, "bad-pull6", "shop.yaml", guarded(6, "shop:1.6.0", "shop:bad-pull6")), "manifests-6", h.demanded)
	h.approve(id, "carol", "dave")
	h.finish(id, releasev1.Outcome_OUTCOME_ROLLED_BACK)
	h.runsTag(h.manifests, "shop", "1.5.0")
	h.recorded(id, "not ready in time: Deployment shop: ", "### Way back: passed")
}

func (h *harbor) insecure() {
	seven := h.artifact(7, "1.7.0", "shop.yaml", guarded(7, "allowPrivilegeEscalation: false", "allowPrivilegeEscalation: true", "name: PORT, value: \"8080\"", "name: DB_PASSWORD, value: correct-horse-battery"))
	id := h.submit(seven, "manifests-7", h.demanded)
	h.approve(id, "carol", "dave")
	h.finish(id, releasev1.Outcome_OUTCOME_ROLLED_BACK)
	h.runsTag(h.manifests, "shop", "1.5.0")
	h.recorded(id, "| security.pod_security | fail |", "| security.plain_secrets | fail |", "### Way back: passed")
	if strings.Contains(h.record(id), "correct-horse-battery") {
		h.Error("the record holds the secret")
	}
}

// drifted changes by hand what a release of the chart left behind.
func (h *harbor) drifted() {
	id := h.release(h.chart(8, "6.9.3"), "chart-8", h.tagged("6.9.3"))
	deployment := h.path(h.charts, "deployments/podinfo")
	h.admin.Must(h, http.MethodPatch, deployment+"?fieldManager=kubectl-edit", map[string]any{"spec": map[string]any{"minReadySeconds": 7}})
	recorder, err := h.Recorder()
	if err != nil {
		h.Fatal(err)
	}
	h.eventually("what was changed by hand", func() bool {
		r, err := recorder.GetRelease(h.Context(), &recorderv1.GetReleaseRequest{Release: id})
		return err == nil && slices.Contains(r.GetRelease().GetOpenEscalations(), releasev1.Cause_CAUSE_UNRECORDED_CHANGE)
	})
	h.recorded(id, "kubectl-edit", "minReadySeconds")
}
