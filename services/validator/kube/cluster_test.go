package kube_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	"github.com/blackdice/shipwarden/services/validator/kube"
)

const good = `apiVersion: v1
kind: Config
current-context: validator
contexts: [{name: validator, context: {cluster: eu, user: validator}}]
clusters: [{name: eu, cluster: {server: "https://192.0.2.1:6443"}}]
users: [{name: validator, user: {token: hunter2}}]
`

// TestAKubeconfigIsRefusedThatCannotBeTrusted: the server has to show who it is, nothing is run to
// get a credential, and no secret is told.
func TestAKubeconfigIsRefusedThatCannotBeTrusted(t *testing.T) {
	for _, test := range []struct{ name, text, want string }{
		{"good", good, ""},
		{"no kubeconfig", "hunter2: [", "kubernetes_clusters[0].kubeconfig_file: is not a kubeconfig"},
		{"no context", strings.Replace(good, "current-context: validator", "current-context: hunter2", 1), "has no current context"},
		{"plain text", strings.Replace(good, "https://", "http://", 1), "does not have the server show who it is"},
		{"a server that need not show who it is", strings.Replace(good, `6443"`, `6443", insecure-skip-tls-verify: true`, 1), "does not have the server show who it is"},
		{"a password in the address", strings.Replace(good, "https://", "https://validator:hunter2@", 1), "has somebody's name or password in the address of the server"},
		{"a program", strings.Replace(good, "token: hunter2", "exec: {apiVersion: client.authentication.k8s.io/v1, command: hunter2}", 1), "has a program run"},
		{"a plugin", strings.Replace(good, "token: hunter2", "auth-provider: {name: hunter2}", 1), "has a program run, or a plugin"},
		{"a file that is not there", strings.Replace(good, "token: hunter2", "client-certificate: hunter2, client-key: hunter2", 1), "names files that are not there"},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "kubeconfig")
			if err := os.WriteFile(path, []byte(test.text), 0o600); err != nil {
				t.Fatal(err)
			}
			all, err := kube.Open([]*configv1.KubernetesCluster{{Name: "eu", KubeconfigFile: path}})
			switch {
			case test.want == "" && err != nil, test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("got %v, want %q", err, test.want)
			case err != nil && strings.Contains(err.Error(), "hunter2"):
				t.Errorf("%v tells a secret", err)
			case err == nil && all["eu"].Server() != "https://192.0.2.1:6443":
				t.Errorf("the server is %q", all["eu"].Server())
			}
		})
	}
}

// TestAKubeconfigThatWasReplacedCounts from the next look on.
func TestAKubeconfigThatWasReplacedCounts(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kubeconfig")
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(good)
	all, err := kube.Open([]*configv1.KubernetesCluster{{Name: "eu", KubeconfigFile: path}})
	if err != nil {
		t.Fatal(err)
	}
	write(strings.Replace(good, "192.0.2.1", "192.0.2.2", 1))
	if got := all["eu"].Server(); got != "https://192.0.2.2:6443" {
		t.Errorf("the server is %q", got)
	}
	write("nonsense: [")
	if got := all["eu"].Server(); got != "" {
		t.Errorf("the server is %q", got)
	}
	if _, err := all["eu"].Look("shop"); err == nil {
		t.Error("it is looked at without a kubeconfig")
	}
}
