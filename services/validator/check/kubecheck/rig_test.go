//go:build kubernetes

package kubecheck_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/blackdice/shipwarden/internal/criterion"
	"github.com/blackdice/shipwarden/internal/kubetest"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/validator/check"
	"github.com/blackdice/shipwarden/services/validator/check/kubecheck"
	"github.com/blackdice/shipwarden/services/validator/kube"
	"github.com/blackdice/shipwarden/services/validator/target"
)

type object = map[string]any

func TestMain(m *testing.M) { kubetest.Main(m) }

var (
	approved = "sha256:" + strings.Repeat("a", 64)
	alien    = "sha256:" + strings.Repeat("b", 64)
)

// world is a namespace with an application that is as it should be, and the prober of a validator
// that may read there.
type world struct {
	*testing.T

	namespace string
	admin     *kubetest.Client
	prober    kubecheck.Prober
	target    *target.Target
	began     time.Time
}

func newWorld(t *testing.T) *world {
	t.Helper()
	c := kubetest.Shared(t)
	namespace := c.Namespace(t)
	w := &world{T: t, namespace: namespace, admin: c.Client(kubetest.Admin), began: time.Now()}
	w.reach(c.Kubeconfig(t, kubetest.Validator, namespace))
	return w
}

// reach makes the validator use a kubeconfig.
func (w *world) reach(kubeconfig string) {
	w.Helper()
	clusters, err := kube.Open([]*configv1.KubernetesCluster{{Name: "eu", KubeconfigFile: kubeconfig}})
	if err != nil {
		w.Fatal(err)
	}
	w.prober = kubecheck.Prober{Clusters: clusters}
	w.target, err = target.New(&configv1.TargetAddress{Target: "eu1", Kubernetes: &configv1.KubernetesPlace{Cluster: "eu", Namespace: w.namespace}}, nil)
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) path(rest string) string {
	group, rest, named := strings.Cut(rest, ":")
	if !named {
		return "/api/v1/namespaces/" + w.namespace + "/" + group
	}
	return "/apis/" + group + "/namespaces/" + w.namespace + "/" + rest
}

func (w *world) make(path string, content object) {
	w.Helper()
	w.admin.Must(w, http.MethodPost, w.path(path), content)
}

func (w *world) patch(path string, content object) {
	w.Helper()
	w.admin.Must(w, http.MethodPatch, w.path(path), content)
}

// pod is the specification of a pod that keeps to the level restricted and runs what is approved.
func pod() object {
	container := func(name string) object {
		return object{
			"name": name, "image": "registry.example.test/shop@" + approved,
			"securityContext": object{
				"allowPrivilegeEscalation": false, "runAsNonRoot": true, "capabilities": object{"drop": []string{"ALL"}},
				"seccompProfile": object{"type": "RuntimeDefault"},
			},
		}
	}
	web := container("web")
	web["env"] = []object{{"name": "PORT", "value": "8080"}}
	web["envFrom"] = []object{{"configMapRef": object{"name": "settings"}}}
	return object{"serviceAccountName": "shop", "initContainers": []object{container("up")}, "containers": []object{web}}
}

// deploy makes everything, with the pods changed, and waits until they are there as often.
func (w *world) deploy(changes ...func(pod object)) {
	w.Helper()
	w.make("serviceaccounts", object{"metadata": object{"name": "shop"}})
	w.make("configmaps", object{"metadata": object{"name": "settings"}, "data": object{"LEVEL": "debug", "TOKEN_URL": "https://login.example"}})
	w.make("networking.k8s.io/v1:networkpolicies", object{
		"metadata": object{"name": "shop"},
		"spec": object{
			"podSelector": object{"matchLabels": object{"app": "shop"}}, "policyTypes": []string{"Ingress", "Egress"},
			"ingress": []object{{"ports": []object{{"port": 8080}}}}, "egress": []object{{"to": []object{{"podSelector": object{}}}}},
		},
	})
	w.make("services", object{"metadata": object{"name": "shop"}, "spec": object{"selector": object{"app": "shop"}, "ports": []object{{"port": 80}}}})
	w.admin.Must(w, http.MethodPatch, "/api/v1/namespaces/"+w.namespace, object{"metadata": object{"labels": object{"pod-security.kubernetes.io/warn": "restricted"}}})
	spec := pod()
	for _, change := range changes {
		change(spec)
	}
	w.make("apps/v1:deployments", object{
		"metadata": object{"name": "shop", "labels": object{"part": "shop"}},
		"spec": object{
			"replicas": 2, "progressDeadlineSeconds": 600, "selector": object{"matchLabels": object{"app": "shop"}},
			"template": object{"metadata": object{"labels": object{"app": "shop"}}, "spec": spec},
		},
	})
	kubetest.Eventually(w, "two pods are there", func() bool { return len(w.pods()) == 2 })
}

// running waits until all pods run.
func (w *world) running() {
	w.Helper()
	kubetest.Eventually(w, "the deployment is available", func() bool {
		n, _ := kubetest.Field(w.admin.Must(w, http.MethodGet, w.path("apps/v1:deployments/shop"), nil), "status", "availableReplicas").(float64)
		return n == 2
	})
}

// enforce makes the namespace enforce a level.
func (w *world) enforce(level string) {
	w.Helper()
	w.admin.Must(w, http.MethodPatch, "/api/v1/namespaces/"+w.namespace, object{"metadata": object{"labels": object{"pod-security.kubernetes.io/enforce": level}}})
}

// pods are the names of those of the application.
func (w *world) pods() (names []string) {
	w.Helper()
	items, _ := kubetest.Field(w.admin.Must(w, http.MethodGet, w.path("pods?labelSelector=app%3Dshop"), nil), "items").([]any)
	for _, item := range items {
		name, _ := kubetest.Field(item, "metadata", "name").(string)
		names = append(names, name)
	}
	return names
}

var shop = &releasev1.KubernetesWorkloads{Named: []*releasev1.KubernetesWorkload{{Kind: releasev1.KubernetesWorkload_KIND_DEPLOYMENT, Name: "shop"}}}

// secure is a check of all controls as the application keeps to them.
func secure() *releasev1.KubernetesSecurityProbe {
	return &releasev1.KubernetesSecurityProbe{
		Workloads: shop, Timeout: durationpb.New(time.Minute),
		ImageDigests:   &releasev1.KubernetesImageControl{},
		PodSecurity:    &releasev1.KubernetesPodControl{Level: releasev1.KubernetesPodControl_LEVEL_RESTRICTED},
		NetworkPolicy:  &releasev1.KubernetesNetworkControl{Ingress: true, Egress: true},
		Exposure:       &releasev1.KubernetesExposureControl{},
		ServiceAccount: &releasev1.KubernetesAccountControl{},
		PlainSecrets:   &releasev1.KubernetesSecretControl{},
	}
}

// seen is how one look came out.
type seen struct {
	outcome check.Outcome
	detail  string
	found   *check.Inspected
}

// look makes one check, and judges what it found as a bake does.
func (w *world) look(c *releasev1.Check) seen {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), 2*time.Minute)
	defer cancel()
	o := w.prober.Probe(ctx, w.target, c)
	if o.Inspected == nil {
		return seen{o.Outcome, o.Detail, nil}
	}
	o = check.JudgeInspected(c, check.Known{Images: []string{approved}, Since: w.began}, o.Inspected)
	return seen{o.Outcome, o.Detail, o.Inspected}
}

// controls looks at every control, by its name.
func (w *world) controls(p *releasev1.KubernetesSecurityProbe) map[string]seen {
	w.Helper()
	out := map[string]seen{}
	c := &releasev1.Check{Name: "security", Probe: &releasev1.Check_KubernetesSecurity{KubernetesSecurity: p}}
	for _, one := range criterion.Each([]*releasev1.Check{c}) {
		out[criterion.Controls(one)[0]] = w.look(one)
	}
	return out
}

// expect says which controls fail, or come to nothing, all others passing.
func (w *world) expect(all map[string]seen, outcome check.Outcome, names ...string) {
	w.Helper()
	for name, got := range all {
		want := check.Passed
		for _, n := range names {
			if n == name {
				want = outcome
			}
		}
		if got.outcome != want {
			w.Errorf("%s: it %s (%s), want %s; found %+v", name, got.outcome, got.detail, want, got.found)
		}
	}
}
