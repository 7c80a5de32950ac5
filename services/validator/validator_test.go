package validator_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/blackdice/shipwarden/services/validator"
)

const common = `common:
  nats: {urls: ["nats://127.0.0.1:4222"]}
  signing_key: {id: validator-test, file: key.pem}
  keyring_file: keyring.yaml
  http_listen: 127.0.0.1:0
`

// access is a kubeconfig of a server that nobody reaches.
const access = `apiVersion: v1
kind: Config
current-context: validator
contexts: [{name: validator, context: {cluster: eu, user: validator}}]
clusters: [{name: eu, cluster: {server: "https://192.0.2.1:6443"}}]
users: [{name: validator, user: {token: abc}}]
`

func TestTheConfigurationIsCheckedWithoutReachingAnybody(t *testing.T) {
	for _, test := range []struct {
		name, more string
		faults     []string
	}{
		{"nothing but what is required", "", nil},
		{"a target", "targets: [{target: eu1, base_url: \"http://127.0.0.1:8080\", digest_path: /digest}]\n", nil},
		{"an unknown key", "drivers: []\n", []string{"drivers"}},
		{"a target without a name", "targets: [{base_url: \"http://127.0.0.1\"}]\n", []string{"targets[0]"}},
		{"a target with a password", "targets: [{target: eu1, base_url: \"http://me:secret@127.0.0.1\"}]\n", []string{"targets[0]", "base_url"}},
		{"a source of metrics", "metric_sources: [{name: metrics, url: \"https://prometheus:9090/below\", headers: [{name: X-Scope-OrgID, value: shop}]}]\n", nil},
		{
			"sources of metrics that are none", "metric_sources:\n  - {name: a, url: 'http://me:secret@prometheus'}\n  - {name: b, url: 'http://prometheus:9090', token_file: /none}\n" +
				"  - {name: c, url: 'http://prometheus:9090'}\n  - {name: c, url: 'http://prometheus:9090'}\n",
			[]string{"metric_sources[0].url", "metric_sources[1].token_file: it is not sent over plain HTTP", "metric_sources[3].name: c is there already"},
		},
		{"a source of logs", "log_sources: [{name: logs, url: \"https://loki:3100\", headers: [{name: X-Scope-OrgID, value: shop}]}]\n", nil},
		{"a source of logs that is none", "log_sources:\n  - {name: a, url: 'http://169.254.169.254'}\n  - {name: b, url: 'http://loki:3100', token_file: /none}\n", []string{"log_sources[0].url", "log_sources[1].token_file: it is not sent over plain HTTP"}},
		{"a program", "commands: [{name: a, run: {argv: [/opt/look, \"{target}\"]}, fail_status: 2}]\n", nil},
		{"a program without a status for a failure", "commands: [{name: a, run: {argv: [/opt/look]}}]\n", []string{"commands[0].fail_status"}},
		{
			"programs that are none", "commands: [{name: a, run: {argv: [look]}, fail_status: 2}, {name: b, run: {argv: [/opt/look, \"{param.x}\"]}, fail_status: 2}]\n",
			[]string{"commands[0].run: argv[0]: must be a clean absolute path", "commands[1].arguments: what {param.x} may be is not said"},
		},
		{"a value of a program that is all and none", "commands: [{name: a, run: {argv: [/opt/look, \"{param.x}\"]}, fail_status: 2, arguments: [{name: x, values: [a], matches: a}]}]\n", []string{"commands[0].arguments[0]", "not both"}},
		{"a source of metrics without a name", "metric_sources: [{url: \"https://prometheus\"}]\n", []string{"metric_sources[0].name"}},
		{"a header of a source that holds nothing", "metric_sources: [{name: a, url: \"https://prometheus\", headers: [{name: X-A}]}]\n", []string{"metric_sources[0].headers[0].from"}},
		{"a cluster", "kubernetes_clusters: [{name: eu, kubeconfig_file: KUBECONFIG}]\ntargets: [{target: eu1, kubernetes: {cluster: eu, namespace: shop}}]\n", nil},
		{
			"clusters that are none",
			"kubernetes_clusters: [{name: eu, kubeconfig_file: none}, {name: us, kubeconfig_file: /none}, {name: us, kubeconfig_file: KUBECONFIG}]\n" +
				"targets: [{target: eu1, kubernetes: {cluster: asia, namespace: shop}}]\n",
			[]string{
				"kubernetes_clusters[0].kubeconfig_file: must be an absolute path", "kubernetes_clusters[1].kubeconfig_file: open /none",
				"kubernetes_clusters[2].name: us is there already", `targets[0].kubernetes.cluster: "asia" is not among kubernetes_clusters`,
			},
		},
		{"a namespace that is none", "targets: [{target: eu1, kubernetes: {cluster: eu, namespace: Shop}}]\n", []string{"targets[0].kubernetes.namespace"}},
		{"a registry without a host", "registries: [{insecure: true}]\n", []string{"registries[0].host"}},
		{"everything at once", `targets:
  - {target: eu1, tcp_address: "nonsense"}
  - {target: eu2, base_url: "ftp://eu2"}
  - {target: eu3}
  - {target: eu3}
registries: [{host: "127.0.0.1:5000"}, {host: "127.0.0.1:5000"}]
`, []string{"targets[0]", "tcp_address", "targets[1]", "base_url", "targets[3].target", "registries[1].host"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			folder := t.TempDir()
			path, kubeconfig := filepath.Join(folder, "validator.yaml"), filepath.Join(folder, "kubeconfig")
			if err := os.WriteFile(kubeconfig, []byte(access), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(common+strings.ReplaceAll(test.more, "KUBECONFIG", kubeconfig)), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := validator.Load(path)
			if (err == nil) != (test.faults == nil) {
				t.Fatalf("got %v", err)
			}
			for _, fault := range test.faults {
				if !strings.Contains(err.Error(), fault) {
					t.Errorf("%v does not name %s", err, fault)
				}
			}
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("%v tells a secret", err)
			}
		})
	}
}
