package main

import (
	"fmt"
	"strings"
	"testing"
)

// good renders what the chart would make of four services, as small as it can be.
func good() string {
	var b strings.Builder
	for _, name := range services {
		writeService(&b, name)
	}
	b.WriteString(`---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: all, namespace: n, labels: {` + labels("") + `}}
spec:
  podSelector: {matchLabels: {app.kubernetes.io/instance: sw}}
  policyTypes: [Ingress, Egress]
---
apiVersion: batch/v1
kind: Job
metadata: {name: make, namespace: n, labels: {` + labels("provision") + `}}
spec:
  template:
    metadata: {labels: {` + labels("provision") + `}}
    spec:
      serviceAccountName: maker
      automountServiceAccountToken: false
      securityContext: {runAsNonRoot: true, runAsUser: 65532, fsGroup: 65532, seccompProfile: {type: RuntimeDefault}}
      containers:
        - name: make
          args: [admin, provision, --nats-user=admin, --nats-password-file=/etc/shipwarden/secrets/key]
          securityContext:
            {runAsNonRoot: true, readOnlyRootFilesystem: true, allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}, seccompProfile: {type: RuntimeDefault}}
          resources: {requests: {cpu: 1m, memory: 1Mi}, limits: {memory: 2Mi}}
          volumeMounts:
            - {name: secrets, mountPath: /etc/shipwarden/secrets}
      volumes:
        - {name: secrets, secret: {secretName: s, defaultMode: 0440, items: [{key: key, path: key}]}}
`)
	return b.String()
}

func labels(component string) string {
	out := "app.kubernetes.io/name: shipwarden, app.kubernetes.io/instance: sw, app.kubernetes.io/part-of: shipwarden, " +
		"app.kubernetes.io/version: '1', app.kubernetes.io/managed-by: Helm"
	if component != "" {
		out += ", app.kubernetes.io/component: " + component
	}
	return out
}

func writeService(b *strings.Builder, name string) {
	meta := fmt.Sprintf("metadata: {name: sw-%s, namespace: n, labels: {%s}}", name, labels(name))
	selector := "{app.kubernetes.io/instance: sw, app.kubernetes.io/component: " + name + "}"
	fmt.Fprintf(b, `---
apiVersion: v1
kind: ConfigMap
%s
data:
  %s.yaml: |
%s---
apiVersion: v1
kind: ServiceAccount
%s
automountServiceAccountToken: false
---
apiVersion: apps/v1
kind: Deployment
%s
spec:
  selector: {matchLabels: %s}
  template:
    metadata: {labels: {%s}}
    spec:
      serviceAccountName: sw-%s
      automountServiceAccountToken: false
      securityContext: {runAsNonRoot: true, runAsUser: 65532, fsGroup: 65532, seccompProfile: {type: RuntimeDefault}}
      containers:
        - name: %s
          args: [-config, /etc/shipwarden/config/%s.yaml]
          securityContext:
            runAsNonRoot: true
            readOnlyRootFilesystem: true
            allowPrivilegeEscalation: false
            capabilities: {drop: [ALL]}
            seccompProfile: {type: RuntimeDefault}
          startupProbe: {httpGet: {path: /healthz}}
          livenessProbe: {httpGet: {path: /healthz}}
          readinessProbe: {httpGet: {path: /readyz}}
          resources: {requests: {cpu: 1m, memory: 1Mi}, limits: {memory: 2Mi}}
          volumeMounts:
            - {name: config, mountPath: /etc/shipwarden/config}
            - {name: documents, mountPath: /etc/shipwarden/documents}
            - {name: secrets, mountPath: /etc/shipwarden/secrets}
      volumes:
        - {name: config, configMap: {name: sw-%s}}
        - {name: documents, configMap: {name: theirs}}
        - {name: secrets, secret: {secretName: s, defaultMode: 0440, items: [{key: key, path: key}, {key: url, path: url}]}}
---
apiVersion: v1
kind: Service
%s
spec: {selector: %s}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
%s
spec:
  podSelector: {matchLabels: %s}
  policyTypes: [Ingress, Egress]
  ingress: [{from: [{podSelector: {}}], ports: [{port: http}]}]
  egress: [{to: [{podSelector: {}}], ports: [{port: 4222}]}]
`, meta, name, settings(name), meta, meta, selector, labels(name), name, name, name, name, meta, selector, meta, selector)
}

// settings is the configuration of a service, indented as the manifest has it.
func settings(name string) string {
	out := `    common:
      nats: {urls: ["nats://bus:4222"]}
      signing_key: {id: ` + name + `-1, file: /etc/shipwarden/secrets/key}
      keyring_file: /etc/shipwarden/documents/keyring.yaml
      http_listen: ":8080"
`
	switch name {
	case "approval":
		out += "    grpc: {listen: \":9443\"}\n    procedure_file: /etc/shipwarden/documents/procedure.yaml\n"
	case "executor":
		out += `    targets:
      - target: shop
        command: {deploy: {argv: [/opt/tools/deploy]}, marker_folder: /var/markers, allow: [/opt/tools/deploy]}
`
	case "recorder":
		out += "    grpc: {listen: \":9443\"}\n    database_url_file: /etc/shipwarden/secrets/url\n"
	}
	return out
}

// replaceOnce changes the text after the first mark, which must be there: a test
// whose change has no effect would prove nothing.
func replaceOnce(t *testing.T, text, mark, old, new string) string {
	t.Helper()
	before, after, found := strings.Cut(text, mark)
	if !found || !strings.Contains(after, old) {
		t.Fatalf("the fixture has no %q after %q", old, mark)
	}
	return before + mark + strings.Replace(after, old, new, 1)
}
