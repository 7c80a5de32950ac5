package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const procedureFile = "../../examples/starter.yaml"

// judge runs the command on the manifests and returns its status and what it says.
func judge(t *testing.T, manifests string) (status int, says string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "manifests.yaml")
	if err := os.WriteFile(path, []byte(manifests), 0o600); err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	status = run([]string{procedureFile, path}, &stdout, &stderr)
	return status, stdout.String() + stderr.String()
}

func TestWhatIsInOrderIsFoundSo(t *testing.T) {
	if status, says := judge(t, good()); status != 0 {
		t.Errorf("status %d:\n%s", status, says)
	}
}

func TestEveryRuleCanFail(t *testing.T) {
	tests := []struct {
		name, mark, old, new, want string
	}{
		{"a service is missing", "kind: ConfigMap", "component: executor", "component: worker", "executor has no ConfigMap"},
		{"a Deployment is of another kind", "", "kind: Deployment", "kind: StatefulSet", "approval has no Deployment"},
		{"root", "", "runAsUser: 65532", "runAsUser: 0", "Deployment sw-approval may run as root"},
		{"root by omission", "", "{runAsNonRoot: true, runAsUser", "{runAsUser", "Deployment sw-approval may run as root"},
		{"no seccomp profile of the pod", "", ", seccompProfile: {type: RuntimeDefault}", "", "has no seccomp profile"},
		{"unreadable secrets", "", "fsGroup: 65532, ", "", "cannot read its secrets"},
		{"a writable root", "", "readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false", "root file system is writable"},
		{"escalation by omission", "", "            allowPrivilegeEscalation: false\n", "", "privileges can be escalated"},
		{"a privileged container", "", "readOnlyRootFilesystem: true", "readOnlyRootFilesystem: true\n            privileged: true", "it is privileged"},
		{"capabilities kept", "", "drop: [ALL]", "drop: [NET_RAW]", "capabilities are not all dropped"},
		{"a capability added", "", "drop: [ALL]", "drop: [ALL], add: [SYS_ADMIN]", "capabilities are added"},
		{"an unconfined container", "", "            seccompProfile: {type: RuntimeDefault}", "            seccompProfile: {type: Unconfined}", "seccomp profile is not the default"},
		{"an account that hands out tokens", "kind: ServiceAccount", "automountServiceAccountToken: false", "automountServiceAccountToken: true", "ServiceAccount sw-approval hands out tokens"},
		{"a pod with a token", "kind: Deployment", "automountServiceAccountToken: false", "automountServiceAccountToken: true", "Deployment sw-approval mounts a token"},
		{"a shared account", "", "serviceAccountName: sw-executor", "serviceAccountName: sw-approval", "Deployment sw-executor has the service account of Deployment sw-approval"},
		{"no memory limit", "", ", limits: {memory: 2Mi}", "", "lacks a request or the memory limit"},
		{"a liveness probe on readiness", "", "livenessProbe: {httpGet: {path: /healthz}}", "livenessProbe: {httpGet: {path: /readyz}}", "does not ask /healthz"},
		{"no readiness probe", "", "          readinessProbe: {httpGet: {path: /readyz}}\n", "", "does not ask /readyz"},
		{"a secret for everyone", "", "defaultMode: 0440", "defaultMode: 0444", "defaultMode is not 0440"},
		{"all keys of a secret", "", ", items: [{key: key, path: key}, {key: url, path: url}]", "", "mounts every key"},
		{"an ingress rule for everybody", "", "ingress: [{from: [{podSelector: {}}]", "ingress: [{from: []", "ingress rule 0 lets everybody"},
		{"an egress rule to everybody", "", "egress: [{to: [{podSelector: {}}]", "egress: [{to: []", "egress rule 0 lets everything out"},
		{"one direction open", "kind: NetworkPolicy", "[Ingress, Egress]", "[Ingress]", "leaves a direction open"},
		{"nothing denied by default", "metadata: {name: all", "policyTypes: [Ingress, Egress]", "policyTypes: [Ingress, Egress]\n  egress: [{to: [{podSelector: {}}]}]", "denies everything by default"},
		{"a database for the executor", "component: executor", "port: 4222", "port: 5432", "NetworkPolicy sw-executor lets port 5432 out"},
		{"a database secret for the executor", "serviceAccountName: sw-executor", "{name: secrets, secret:", "{name: database, secret:", "Deployment sw-executor mounts database"},
		{"a Service without pods", "kind: Service\n", "selector: {app.kubernetes.io/instance: sw, app.kubernetes.io/component: approval", "selector: {app.kubernetes.io/instance: sw, app.kubernetes.io/component: desk", "Service sw-approval selects no pods"},
		{"a Deployment with another's pods", "kind: Deployment", "selector: {matchLabels: {app.kubernetes.io/instance: sw, app.kubernetes.io/component: approval", "selector: {matchLabels: {app.kubernetes.io/instance: sw, app.kubernetes.io/component: executor", "Deployment sw-approval selects no pods"},
		{"a selector over releases", "kind: Service\n", "selector: {app.kubernetes.io/instance: sw, ", "selector: {", "or those of strangers"},
		{"a label is missing", "", "app.kubernetes.io/version: '1', ", "", "lacks the label version"},
		{"no namespace", "", "namespace: n, ", "", "has no namespace"},
		{"a key given twice", "", "kind: ConfigMap", "kind: ConfigMap\nkind: ConfigMap", "already defined"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			status, says := judge(t, replaceOnce(t, good(), tt.mark, tt.old, tt.new))
			if status != 1 || !strings.Contains(says, tt.want) {
				t.Errorf("status %d, want 1 and %q:\n%s", status, tt.want, says)
			}
		})
	}
}

func TestConfigurationsAreReadAsTheServicesReadThem(t *testing.T) {
	tests := []struct {
		name, mark, old, new, want string
	}{
		{"an unknown setting", "", "http_listen:", "htp_listen:", "approval: its configuration: invalid configuration: /etc/shipwarden/config/approval.yaml:5"},
		{"a required one is missing", "", "    database_url_file: /etc/shipwarden/secrets/url\n", "", "recorder: its configuration"},
		{"a file that is not mounted", "", "secrets/key}", "secrets/other}", "approval: /etc/shipwarden/secrets/other is named and not mounted"},
		{"a volume that is not there", "", "{name: documents, configMap", "{name: papers, configMap", "mounts documents, which is no volume"},
		{"the procedure is not mounted", "", "documents/procedure.yaml", "documents/other.yaml", "procedure_file"},
		{"no configuration is given", "", "args: [-config, /etc/shipwarden/config/approval.yaml]", "args: []", "approval: no -config is given"},
		{"another one is given", "", "config/approval.yaml]", "config/desk.yaml]", "-config /etc/shipwarden/config/desk.yaml is not mounted"},
		{"a key that nobody knows", "", "id: validator-1", "id: validator-9", "validator: its signing key validator-9 is not in the keyring"},
		{"the key of another service", "", "id: validator-1", "id: executor-1", "validator: its signing key executor-1 is not in the keyring"},
		{"a command that is not allowed", "", "argv: [/opt/tools/deploy]", "argv: [/opt/tools/other]", "targets[0].command.deploy"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			status, says := judge(t, replaceOnce(t, good(), tt.mark, tt.old, tt.new))
			if status != 1 || !strings.Contains(says, tt.want) {
				t.Errorf("status %d, want 1 and %q:\n%s", status, tt.want, says)
			}
		})
	}
}

func TestJobsSayWhatTheCommandUnderstands(t *testing.T) {
	tests := []struct {
		name, old, new, want string
	}{
		{"an unknown flag", "--nats-user=admin", "--user=admin", "unknown flag: --user"},
		{"an unknown command", "admin, provision,", "admin, prepare,", "shipwarden admin prepare is no command"},
		{"a file that is not mounted", "secrets/key]", "secrets/other]", "Job make: /etc/shipwarden/secrets/other is named and not mounted"},
		{"a volume that is not there", "{name: secrets, secret:", "{name: other, secret:", "mounts secrets, which is no volume"},
		{"a container that may do anything", "capabilities: {drop: [ALL]}, ", "", "Job make, container make: capabilities are not all dropped"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			status, says := judge(t, replaceOnce(t, good(), "kind: Job", tt.old, tt.new))
			if status != 1 || !strings.Contains(says, tt.want) {
				t.Errorf("status %d, want 1 and %q:\n%s", status, tt.want, says)
			}
		})
	}
}

func TestACommandLineWithoutFilesIsWrong(t *testing.T) {
	for _, args := range [][]string{nil, {procedureFile}, {"missing.yaml", "manifests.yaml"}} {
		var stdout, stderr bytes.Buffer
		if status := run(args, &stdout, &stderr); status != 2 || stderr.Len() == 0 {
			t.Errorf("%v: status %d, says %q", args, status, stderr.String())
		}
	}
}

func TestAFileThatCannotBeReadIsAProblem(t *testing.T) {
	var stdout, stderr bytes.Buffer
	if status := run([]string{procedureFile, "missing.yaml"}, &stdout, &stderr); status != 1 {
		t.Errorf("status %d: %s", status, stderr.String())
	}
	if status, says := judge(t, "kind: [\n"); status != 1 || !strings.Contains(says, "read manifest 1") {
		t.Errorf("status %d: %s", status, says)
	}
}
