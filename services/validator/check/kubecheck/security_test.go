//go:build kubernetes

package kubecheck_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/blackdice/shipwarden/internal/kubetest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/validator/check"
)

// imageID is a status that says what the container web runs.
func imageID(of object, id string) object {
	statuses, _ := kubetest.Field(of, "status", "containerStatuses").([]any)
	for _, one := range statuses {
		if status, ok := one.(map[string]any); ok && status["name"] == "web" {
			status["imageID"] = id
		}
	}
	return object{"status": object{"containerStatuses": statuses}}
}

// TestWhatNobodyNamesIsNotExempt: a check that names no workloads looks at every pod of the namespace,
// be it of a workload that came along or of none.
func TestWhatNobodyNamesIsNotExempt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.deploy()
	w.running()
	w.enforce("privileged")
	everywhere := &releasev1.KubernetesSecurityProbe{
		Timeout: secure().GetTimeout(), ImageDigests: secure().GetImageDigests(), NetworkPolicy: secure().GetNetworkPolicy(), PlainSecrets: secure().GetPlainSecrets(),
	}
	w.expect(w.controls(everywhere), check.Failed)
	spec := pod()
	web := spec["containers"].([]object)[0] //nolint:forcetypeassert // The tests' own.
	web["image"], web["env"] = "registry.example.test/miner@"+alien, []object{{"name": "DB_PASSWORD", "value": "hunter2hunter2"}}
	w.make("pods", object{"metadata": object{"name": "miner", "labels": object{"app": "miner"}}, "spec": spec})
	kubetest.Eventually(w, "it runs", func() bool {
		return kubetest.Field(w.admin.Must(w, http.MethodGet, w.path("pods/miner"), nil), "status", "phase") == "Running"
	})
	w.expect(w.controls(everywhere), check.Failed, "image_digests", "network_policy", "plain_secrets")
	everywhere.Workloads = shop
	w.expect(w.controls(everywhere), check.Failed)
}

// TestEachControlFailsByItself: one thing at a time is made bad in a cluster where all is well, and
// the control that it is about fails, and no other.
func TestEachControlFailsByItself(t *testing.T) {
	t.Parallel()
	const rbac = "rbac.authorization.k8s.io/v1:"
	bind := func(w *world, kind, role string) {
		w.make(rbac+"rolebindings", object{
			"metadata": object{"name": "shop"}, "roleRef": object{"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role},
			"subjects": []object{{"kind": "ServiceAccount", "name": "shop", "namespace": w.namespace}},
		})
	}
	web := func(pod object) object { return pod["containers"].([]object)[0] } //nolint:forcetypeassert // The tests' own.
	for _, test := range []struct {
		name string
		// pods changes them before they are made; then is done when they run.
		pods   func(pod object)
		then   func(w *world)
		fails  string
		detail string
	}{
		{"as it should be", nil, func(*world) {}, "", ""},
		{
			"a node runs another image than the one that was asked for", nil,
			func(w *world) {
				path := w.path("pods/" + w.pods()[0])
				w.admin.Must(w, http.MethodPatch, path+"/status", imageID(w.admin.Must(w, http.MethodGet, path, nil), "registry.example.test/shop@"+alien))
			}, "image_digests", "not approved: " + alien + ", image of container web",
		},
		{"another init container", func(pod object) {
			pod["initContainers"].([]object)[0]["image"] = "registry.example.test/up@" + alien //nolint:forcetypeassert // The tests' own.
		}, nil, "image_digests", "image of init container up"},
		{"a pod beside the workload that bears its labels", nil, func(w *world) {
			spec := pod()
			web(spec)["image"] = "registry.example.test/other@" + alien
			w.make("pods", object{"metadata": object{"name": "beside", "labels": object{"app": "shop"}}, "spec": spec})
			kubetest.Eventually(w, "it runs", func() bool {
				return kubetest.Field(w.admin.Must(w, http.MethodGet, w.path("pods/beside"), nil), "status", "phase") == "Running"
			})
		}, "image_digests", "Pod/beside"},
		{"a privileged container", func(pod object) {
			web(pod)["securityContext"] = object{"privileged": true}
		}, nil, "pod_security", "privileged"},
		{"the namespaces of the node", func(pod object) { pod["hostPID"] = true }, nil, "pod_security", "host namespaces"},
		{"a path of the node", func(pod object) {
			pod["volumes"] = []object{{"name": "root", "hostPath": object{"path": "/"}}}
		}, nil, "pod_security", "hostPath"},
		{"a container as root", func(pod object) {
			context := web(pod)["securityContext"].(object) //nolint:forcetypeassert // The tests' own.
			context["runAsNonRoot"] = false
		}, nil, "pod_security", "runAsNonRoot"},
		{"capabilities that were not dropped", func(pod object) {
			context := web(pod)["securityContext"].(object) //nolint:forcetypeassert // The tests' own.
			delete(context, "capabilities")
		}, nil, "pod_security", "capabilities"},
		{"no profile of system calls", func(pod object) {
			context := web(pod)["securityContext"].(object) //nolint:forcetypeassert // The tests' own.
			delete(context, "seccompProfile")
		}, nil, "pod_security", "seccompProfile"},
		{"more rights than the process had", func(pod object) {
			context := web(pod)["securityContext"].(object) //nolint:forcetypeassert // The tests' own.
			context["allowPrivilegeEscalation"] = true
		}, nil, "pod_security", "allowPrivilegeEscalation"},
		{"a namespace that enforces less", nil, func(w *world) { w.enforce("baseline") }, "pod_security", "enforces baseline, at least restricted"},
		{"no policy", nil, func(w *world) {
			w.admin.Must(w, http.MethodDelete, w.path("networking.k8s.io/v1:networkpolicies/shop"), nil)
		}, "network_policy", "has no policy"},
		{"a policy of one direction", nil, func(w *world) {
			w.patch("networking.k8s.io/v1:networkpolicies/shop", object{"spec": object{"policyTypes": []string{"Ingress"}, "egress": nil}})
		}, "network_policy", "egress has no policy"},
		{"a policy that lets everything in", nil, func(w *world) {
			w.make("networking.k8s.io/v1:networkpolicies", object{"metadata": object{"name": "all"}, "spec": object{
				"podSelector": object{}, "policyTypes": []string{"Ingress"}, "ingress": []object{{}},
			}})
		}, "network_policy", "ingress is open by all"},
		{"a policy that lets in whoever is in the cluster", nil, func(w *world) {
			w.make("networking.k8s.io/v1:networkpolicies", object{"metadata": object{"name": "all"}, "spec": object{
				"podSelector": object{}, "policyTypes": []string{"Ingress"}, "ingress": []object{{"from": []object{{"namespaceSelector": object{}}}}},
			}})
		}, "network_policy", "ingress is open to pods of any namespace by all"},
		{"a load balancer", nil, func(w *world) {
			w.make("services", object{"metadata": object{"name": "door"}, "spec": object{"type": "LoadBalancer", "ports": []object{{"port": 80}}}})
		}, "exposure", "Service/door: type LoadBalancer"},
		{"a port of every node", nil, func(w *world) {
			w.patch("services/shop", object{"spec": object{"type": "NodePort"}})
		}, "exposure", "Service/shop: type NodePort"},
		{"an address from outside", nil, func(w *world) {
			w.patch("services/shop", object{"spec": object{"externalIPs": []string{"192.0.2.1"}}})
		}, "exposure", "external address 192.0.2.1"},
		{"an Ingress", nil, func(w *world) {
			w.make("networking.k8s.io/v1:ingresses", object{"metadata": object{"name": "door"}, "spec": object{
				"rules": []object{{"host": "shop.example"}},
			}})
		}, "exposure", "Ingress/door: host shop.example"},
		{"a role that lets read secrets", nil, func(w *world) {
			w.make(rbac+"roles", object{"metadata": object{"name": "shop"}, "rules": []object{{"apiGroups": []string{""}, "resources": []string{"secrets"}, "verbs": []string{"get", "list"}}}})
			bind(w, "Role", "shop")
		}, "service_account", "get,list secrets in HERE"},
		{"the role that may do everything", nil, func(w *world) { bind(w, "ClusterRole", "cluster-admin") }, "service_account", "a right without bounds"},
		{"rights in another namespace", nil, func(w *world) {
			w.admin.Must(w, http.MethodPost, "/apis/rbac.authorization.k8s.io/v1/namespaces/kube-public/rolebindings", object{
				"metadata": object{"name": w.namespace}, "roleRef": object{"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
				"subjects": []object{{"kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": "system:serviceaccounts:" + w.namespace}},
			})
		}, "service_account", "in kube-public"},
		{"a password in a variable", func(pod object) {
			web(pod)["env"] = []object{{"name": "DB_PASSWORD", "value": "hunter2hunter2"}}
		}, nil, "plain_secrets", "DB_PASSWORD is a variable of container web"},
		{"a password in a URL in an argument", func(pod object) {
			web(pod)["args"] = []string{"--db=postgres://shop:hunter2hunter2@db/shop"}
		}, nil, "plain_secrets", "a password in a URL"},
		{"a private key in a ConfigMap", nil, func(w *world) {
			w.patch("configmaps/settings", object{"data": object{"cert": "-----BEGIN EC PRIVATE KEY-----\nhunter2hunter2\n"}})
		}, "plain_secrets", "ConfigMap/settings: cert looks like a private key"},
		{"a file with a password in a ConfigMap", nil, func(w *world) {
			w.patch("configmaps/settings", object{"data": object{"app.yaml": "db:\n  user: shop\n  password: hunter2hunter2\n"}})
		}, "plain_secrets", "ConfigMap/settings: app.yaml"},
		{"a variable that has its secret from a ConfigMap", func(pod object) {
			web(pod)["env"] = []object{{"name": "DB_PASSWORD", "valueFrom": object{"configMapKeyRef": object{"name": "settings", "key": "LEVEL"}}}}
		}, nil, "plain_secrets", "ConfigMap/settings: DB_PASSWORD is the variable that has LEVEL"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			changes := []func(object){}
			if test.pods != nil {
				changes = append(changes, test.pods)
			}
			w.deploy(changes...)
			w.running()
			w.enforce("restricted")
			if test.then != nil {
				test.then(w)
			}
			all := w.controls(secure())
			w.expect(all, check.Failed, test.fails)
			for name, got := range all {
				said := got.detail
				for _, f := range got.found.Facts {
					said += fmt.Sprintf("\n%s: %s %s", f.Object, f.Name, f.Value)
				}
				if name == test.fails && !strings.Contains(said, test.detail) {
					t.Errorf("it says %q, want %q", said, test.detail)
				}
				if strings.Contains(said, "hunter2") {
					t.Errorf("a secret is in what %s keeps: %s", name, said)
				}
			}
		})
	}
}

// TestAnEphemeralContainerIsLookedAt: it is put into a pod that runs, and stays until the pod ends.
func TestAnEphemeralContainerIsLookedAt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.deploy()
	w.running()
	path := w.path("pods/" + w.pods()[0])
	w.patch("pods/"+w.pods()[0]+"/ephemeralcontainers", object{"spec": object{"ephemeralContainers": []object{
		{"name": "debug", "image": "registry.example.test/busybox@" + alien},
	}}})
	only := secure()
	only.PodSecurity, only.NetworkPolicy, only.Exposure, only.ServiceAccount, only.PlainSecrets = nil, nil, nil, nil, nil
	// Its node says nothing of it yet: what it runs is not known.
	w.expect(w.controls(only), check.Error, "image_digests")
	w.admin.Must(w, http.MethodPatch, path+"/status", object{"status": object{"ephemeralContainerStatuses": []object{
		{"name": "debug", "image": "busybox", "imageID": "registry.example.test/busybox@" + alien, "ready": true, "restartCount": 0, "state": object{"running": object{}}},
	}}})
	w.expect(w.controls(only), check.Failed, "image_digests")
}

// TestWhatCannotBeLookedAtIsNoPass: no pods, no digest, no right, no server.
func TestWhatCannotBeLookedAtIsNoPass(t *testing.T) {
	t.Parallel()
	aboutPods := []string{"image_digests", "pod_security", "network_policy", "service_account", "plain_secrets"}
	everything := append([]string{"exposure"}, aboutPods...)
	t.Run("no pods", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.deploy()
		w.patch("apps/v1:deployments/shop", object{"spec": object{"replicas": 0}})
		kubetest.Eventually(w, "no pod is there", func() bool { return len(w.pods()) == 0 })
		w.enforce("restricted")
		w.expect(w.controls(secure()), check.Error, aboutPods...)
	})
	t.Run("a workload that is not there", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.deploy()
		w.running()
		w.enforce("restricted")
		p := secure()
		p.Workloads = proto.CloneOf(shop)
		p.Workloads.Named = append(p.Workloads.Named, &releasev1.KubernetesWorkload{Kind: releasev1.KubernetesWorkload_KIND_DAEMON_SET, Name: "agent"})
		w.expect(w.controls(p), check.Error, aboutPods...)
	})
	t.Run("no digest", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.deploy(func(pod object) {
			pod["containers"].([]object)[0]["image"] = "registry.example.test/shop:1.0.0" //nolint:forcetypeassert // The tests' own.
		})
		w.running()
		w.enforce("restricted")
		w.expect(w.controls(secure()), check.Error, "image_digests")
	})
	t.Run("no rights", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.deploy()
		w.running()
		w.enforce("restricted")
		w.admin.Must(w, http.MethodDelete, w.path("rbac.authorization.k8s.io/v1:rolebindings/kubetest-validator"), nil)
		kubetest.Eventually(w, "the validator may not read", func() bool { return w.controls(secure())["exposure"].outcome == check.Error })
		all := w.controls(secure())
		w.expect(all, check.Error, everything...)
		if !strings.Contains(all["exposure"].detail, "forbidden") {
			t.Errorf("it says %q", all["exposure"].detail)
		}
	})
	t.Run("no server", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		path := filepath.Join(t.TempDir(), "kubeconfig")
		if err := os.WriteFile(path, []byte("{apiVersion: v1, kind: Config, current-context: a, contexts: [{name: a, context: {cluster: a, user: a}}], "+
			"clusters: [{name: a, cluster: {server: 'https://127.0.0.1:1'}}], users: [{name: a, user: {token: hunter2}}]}"), 0o600); err != nil {
			t.Fatal(err)
		}
		w.reach(path)
		all := w.controls(secure())
		w.expect(all, check.Error, everything...)
		for name, got := range all {
			if strings.Contains(got.detail, "hunter2") {
				t.Errorf("%s tells a secret: %s", name, got.detail)
			}
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		w.expect(w.controls(secure()), check.Error, everything...)
	})
}

// TestARouteOfTheGatewayAPIIsAnExposure, of whichever kinds the server has, and only with hosts that
// are allowed. Where the kinds are not there, there are no routes (TestEachControlFailsByItself).
func TestARouteOfTheGatewayAPIIsAnExposure(t *testing.T) {
	c := kubetest.Start(t)
	admin := c.Client(kubetest.Admin)
	admin.Must(t, http.MethodPost, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", object{
		"metadata": object{
			"name":        "httproutes.gateway.networking.k8s.io",
			"annotations": object{"api-approved.kubernetes.io": "https://github.com/kubernetes-sigs/gateway-api/pull/2997"},
		},
		"spec": object{
			"group": "gateway.networking.k8s.io", "scope": "Namespaced",
			"names": object{"kind": "HTTPRoute", "listKind": "HTTPRouteList", "plural": "httproutes", "singular": "httproute"},
			"versions": []object{{
				"name": "v1", "served": true, "storage": true,
				"schema": object{"openAPIV3Schema": object{"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
			}},
		},
	})
	namespace := c.Namespace(t)
	w := &world{T: t, namespace: namespace, admin: admin, began: time.Now()}
	w.reach(c.Kubeconfig(t, kubetest.Validator, namespace))
	const routes = "gateway.networking.k8s.io/v1:httproutes"
	kubetest.Eventually(t, "routes can be made", func() bool { return admin.Status(t, http.MethodGet, w.path(routes), nil) == http.StatusOK })
	exposure := func(hosts ...string) seen {
		return w.look(&releasev1.Check{Name: "security.exposure", Probe: &releasev1.Check_KubernetesSecurity{KubernetesSecurity: &releasev1.KubernetesSecurityProbe{
			Timeout: secure().GetTimeout(), Workloads: shop, Exposure: &releasev1.KubernetesExposureControl{Allowed: []*releasev1.KubernetesExposure{{Kind: "HTTPRoute", Name: "shop", Hosts: hosts}}},
		}}})
	}
	kubetest.Eventually(t, "all is well without one", func() bool { return exposure("shop.example").outcome == check.Passed })
	w.make(routes, object{"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": object{"name": "shop"}, "spec": object{"hostnames": []string{"shop.example"}}})
	if got := exposure("shop.example"); got.outcome != check.Passed {
		t.Errorf("a host that is allowed: it %s (%s)", got.outcome, got.detail)
	}
	if got := exposure("www.example"); got.outcome != check.Failed || !strings.Contains(got.detail, "HTTPRoute/shop: host shop.example") {
		t.Errorf("another host: it %s (%s)", got.outcome, got.detail)
	}
}

// TestTheRightsOfADigest: what the evidence says of an account can be recorded, and any other right
// is found by it.
func TestTheRightsOfADigest(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.deploy()
	w.running()
	const rbac = "rbac.authorization.k8s.io/v1:"
	w.make(rbac+"roles", object{"metadata": object{"name": "shop"}, "rules": []object{
		{"apiGroups": []string{""}, "resources": []string{"configmaps"}, "verbs": []string{"list", "get"}, "resourceNames": []string{"settings"}},
	}})
	w.make(rbac+"rolebindings", object{
		"metadata": object{"name": "shop"}, "roleRef": object{"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "shop"},
		"subjects": []object{{"kind": "ServiceAccount", "name": "shop"}},
	})
	account := func(control *releasev1.KubernetesAccountControl) seen {
		return w.look(&releasev1.Check{Name: "security.service_account", Probe: &releasev1.Check_KubernetesSecurity{KubernetesSecurity: &releasev1.KubernetesSecurityProbe{
			Timeout: secure().GetTimeout(), Workloads: shop, ServiceAccount: control,
		}}})
	}
	allowed := &releasev1.KubernetesAccountControl{Allowed: []*releasev1.KubernetesRight{{Resource: "configmaps", Verbs: []string{"get", "list", "watch"}}}}
	first := account(allowed)
	if first.outcome != check.Passed {
		t.Fatalf("among the allowed: it %s (%s)", first.outcome, first.detail)
	}
	digest := ""
	for _, f := range first.found.Facts {
		if f.Name == check.FactRights {
			digest = f.Value
		}
	}
	recorded := &releasev1.KubernetesAccountControl{RightsDigest: digest}
	if got := account(recorded); got.outcome != check.Passed {
		t.Errorf("the same rights: it %s (%s)", got.outcome, got.detail)
	}
	w.patch(rbac+"roles/shop", object{"rules": []object{
		{"apiGroups": []string{""}, "resources": []string{"configmaps"}, "verbs": []string{"list", "get"}, "resourceNames": []string{"settings", "flags"}},
	}})
	if got := account(recorded); got.outcome != check.Failed {
		t.Errorf("one object more: it %s (%s)", got.outcome, got.detail)
	}
	if got := account(allowed); got.outcome != check.Passed {
		t.Errorf("one object more that is allowed: it %s (%s)", got.outcome, got.detail)
	}
}
