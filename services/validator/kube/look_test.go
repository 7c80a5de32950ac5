package kube_test

import (
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	"github.com/blackdice/shipwarden/services/validator/kube"
)

// at is a look at the namespace shop of a server that answers so.
func at(t *testing.T, answer http.HandlerFunc) kube.Look {
	t.Helper()
	server := httptest.NewTLSServer(answer)
	t.Cleanup(server.Close)
	authority := base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	path := filepath.Join(t.TempDir(), "kubeconfig")
	text := strings.Replace(good, `server: "https://192.0.2.1:6443"`, fmt.Sprintf("server: %q, certificate-authority-data: %s", server.URL, authority), 1)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	all, err := kube.Open([]*configv1.KubernetesCluster{{Name: "eu", KubeconfigFile: path}})
	if err != nil {
		t.Fatal(err)
	}
	look, err := all["eu"].Look("shop")
	if err != nil {
		t.Fatal(err)
	}
	return look
}

// TestAllPodsAreThoseOfTheNamespaceWhoeverMadeThem, but for those that run no more; who is given a year
// to end runs.
func TestAllPodsAreThoseOfTheNamespaceWhoeverMadeThem(t *testing.T) {
	now := time.Now()
	look := at(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/api/v1/namespaces/shop/pods" || r.URL.Query().Get("labelSelector") != "" {
			t.Errorf("asked for %s", r.URL)
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"apiVersion": "v1", "kind": "PodList", "metadata": {}, "items": [
			{"metadata": {"name": "shop-1", "uid": "1", "labels": {"app": "shop"}}, "status": {"phase": "Running"}},
			{"metadata": {"name": "miner", "uid": "2"}, "status": {"phase": "Running"}},
			{"metadata": {"name": "migrated", "uid": "3"}, "status": {"phase": "Succeeded"}},
			{"metadata": {"name": "stays", "uid": "4", "deletionTimestamp": %[1]q}, "status": {"phase": "Running"}},
			{"metadata": {"name": "goes", "uid": "5", "deletionTimestamp": %[2]q, "deletionGracePeriodSeconds": 3600}, "status": {"phase": "Running"}},
			{"metadata": {"name": "in-a-year", "uid": "6", "deletionTimestamp": %[3]q, "deletionGracePeriodSeconds": 31536000}, "status": {"phase": "Running"}},
			{"metadata": {"name": "after-a-year", "uid": "7", "deletionTimestamp": %[2]q, "deletionGracePeriodSeconds": 9223372036854775807}, "status": {"phase": "Running"}}]}`,
			now.Add(-time.Minute).UTC().Format(time.RFC3339), now.Add(time.Minute).UTC().Format(time.RFC3339), now.AddDate(1, 0, 0).UTC().Format(time.RFC3339))
	})
	pods, ending, err := look.AllPods(t.Context(), now)
	var names []string
	for _, pod := range pods {
		names = append(names, pod.Name)
	}
	if want := []string{"shop-1", "miner", "stays", "in-a-year", "after-a-year"}; err != nil || ending != 2 || !slices.Equal(names, want) {
		t.Errorf("%v and %d that are ending, %v; want %v", names, ending, err, want)
	}
}

// TestAGroupOfWhichTheServerKnowsTooLittleIsNoneThatIsNotThere: a server says of kinds that it could
// not ask for lately that they are stale, and no more. That is not that there are none.
func TestAGroupOfWhichTheServerKnowsTooLittleIsNoneThatIsNotThere(t *testing.T) {
	const group = "gateway.networking.k8s.io"
	for _, test := range []struct {
		name, items, want string
		wrong             bool
	}{
		{"not there", "", "", false},
		{"there", `{"metadata": {"name": "` + group + `"}, "versions": [{"version": "v1", "freshness": "Current"}]}`, "httproutes", false},
		{"stale", `{"metadata": {"name": "` + group + `"}, "versions": [{"version": "v1", "freshness": "Stale"}]}`, "", true},
		{"stale in part", `{"metadata": {"name": "` + group + `"}, "versions": [{"version": "v1", "freshness": "Current"}, {"version": "v1beta1", "freshness": "Stale"}]}`, "", true},
		{"another one is stale", `{"metadata": {"name": "metrics.k8s.io"}, "versions": [{"version": "v1", "freshness": "Stale"}]}`, "", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			look := at(t, func(w http.ResponseWriter, r *http.Request) {
				items := ""
				switch r.URL.Path {
				case "/apis/" + group + "/v1":
					w.Header().Set("Content-Type", "application/json")
					fmt.Fprintf(w, `{"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "%s/v1", "resources": [{"name": "httproutes", "namespaced": true, "kind": "HTTPRoute", "verbs": ["list"]}]}`, group)
					return
				case "/apis":
					items = test.items
				}
				w.Header().Set("Content-Type", "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList")
				fmt.Fprintf(w, `{"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "items": [%s]}`, items)
			})
			all, err := look.Served(t.Context(), group)
			got := ""
			for _, r := range all {
				got += r.Resource
			}
			if got != test.want || (err != nil) != test.wrong {
				t.Errorf("it serves %q, %v", got, err)
			}
		})
	}
}

// TestAServerLeadsNowhereElse: the validator's token goes to the server of the kubeconfig alone.
func TestAServerLeadsNowhereElse(t *testing.T) {
	var asked atomic.Bool
	elsewhere := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Store(true)
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"kind": "PodList", "apiVersion": "v1", "items": []}`)
	}))
	t.Cleanup(elsewhere.Close)
	look := at(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere.URL, http.StatusFound) })
	pods, err := kube.List[corev1.Pod](t.Context(), look, corev1.SchemeGroupVersion.WithResource("pods"), look.Namespace, nil)
	if err == nil || asked.Load() {
		t.Errorf("%d pods, %v, and the other one was asked: %v", len(pods), err, asked.Load())
	}
}

// TestAnAnswerWithoutAnEndIsNotTakenIn: whoever may make objects in a namespace is not to take the
// validator's memory.
func TestAnAnswerWithoutAnEndIsNotTakenIn(t *testing.T) {
	look := at(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"kind": "PodList", "apiVersion": "v1", "items": [`)
		for range 65 {
			if _, err := fmt.Fprint(w, strings.Repeat(" ", 1<<20)); err != nil || r.Context().Err() != nil {
				return
			}
		}
		fmt.Fprint(w, `]}`)
	})
	if pods, err := kube.List[corev1.Pod](t.Context(), look, corev1.SchemeGroupVersion.WithResource("pods"), look.Namespace, nil); err == nil {
		t.Errorf("%d pods", len(pods))
	}
}
