{{/* The files of a service's pod.

Every secret is one volume with exactly the keys that are needed, readable by the
group alone: the services refuse a secret that everyone on the machine may read. */}}

{{- define "shipwarden.secretsFolder" -}}/etc/shipwarden/secrets{{- end -}}

{{/* Secrets of a service as a YAML list of {name, secret, keys}. Takes {root, service}. */}}
{{- define "shipwarden.secrets" -}}
{{- $v := index .root.Values .service -}}
{{- $out := list -}}
{{- with $v.signingKey }}{{ $out = append $out (dict "name" "signing-key" "secret" .existingSecret "keys" (list .key)) }}{{ end -}}
{{- with $v.nats -}}
{{- if ne .auth "none" }}{{ $out = append $out (dict "name" "nats" "secret" .existingSecret "keys" (list .key)) }}{{ end -}}
{{- if .clientTLS }}{{ $out = append $out (dict "name" "nats-tls" "secret" .clientTLS "keys" (list "tls.crt" "tls.key")) }}{{ end -}}
{{- end -}}
{{- with .root.Values.nats.tls -}}
{{- if and .enabled .ca.existingSecret }}{{ $out = append $out (dict "name" "nats-ca" "secret" .ca.existingSecret "keys" (list .ca.key)) }}{{ end -}}
{{- end -}}
{{- with $v.grpc -}}
{{- if .tls.existingSecret -}}
{{- $keys := list "tls.crt" "tls.key" -}}
{{- if .tls.requireClientCertificate }}{{ $keys = append $keys "ca.crt" }}{{ end -}}
{{- $out = append $out (dict "name" "grpc-tls" "secret" .tls.existingSecret "keys" $keys) -}}
{{- end -}}
{{- end -}}
{{- with $v.tokens -}}
{{- if .existingSecret }}{{ $out = append $out (dict "name" "tokens" "secret" .existingSecret "keys" (list .key)) }}{{ end -}}
{{- end -}}
{{- if and (has .service (list "approval" "recorder")) .root.Values.oidc.issuer .root.Values.oidc.ca.existingSecret -}}
{{- $out = append $out (dict "name" "oidc-ca" "secret" .root.Values.oidc.ca.existingSecret "keys" (list .root.Values.oidc.ca.key)) -}}
{{- end -}}
{{- range $i, $c := $v.channels -}}
{{- $keys := concat (list $c.key) ($c.secretKeys | default list) -}}
{{- with $c.caKey }}{{ $keys = append $keys . }}{{ end -}}
{{- $out = append $out (dict "name" (printf "channel-%d" $i) "secret" $c.existingSecret "keys" $keys) -}}
{{- end -}}
{{- if has .service (list "approval" "executor") -}}
{{- range $i, $c := .root.Values.changeConnectors -}}
{{- if $c.existingSecret }}{{ $out = append $out (dict "name" (printf "connector-%d" $i) "secret" $c.existingSecret "keys" (list $c.key)) }}{{ end -}}
{{- end -}}
{{- end -}}
{{- if has .service (list "approval" "executor") -}}
{{- range $i, $s := .root.Values.alertSources -}}
{{- if $s.existingSecret -}}
{{- $keys := list -}}
{{- with $s.key }}{{ $keys = append $keys . }}{{ end -}}
{{- with $s.caKey }}{{ $keys = append $keys . }}{{ end -}}
{{- $out = append $out (dict "name" (printf "alerts-%d" $i) "secret" $s.existingSecret "keys" $keys) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range $i, $s := $v.metricSources -}}
{{- if $s.existingSecret -}}
{{- $keys := list -}}
{{- with $s.key }}{{ $keys = append $keys . }}{{ end -}}
{{- with $s.caKey }}{{ $keys = append $keys . }}{{ end -}}
{{- range $s.headers }}{{ with .key }}{{ $keys = append $keys . }}{{ end }}{{ end -}}
{{- $out = append $out (dict "name" (printf "metrics-%d" $i) "secret" $s.existingSecret "keys" (uniq $keys)) -}}
{{- end -}}
{{- end -}}
{{- range $i, $s := $v.logSources -}}
{{- if $s.existingSecret -}}
{{- $keys := list -}}
{{- with $s.key }}{{ $keys = append $keys . }}{{ end -}}
{{- with $s.caKey }}{{ $keys = append $keys . }}{{ end -}}
{{- range $s.headers }}{{ with .key }}{{ $keys = append $keys . }}{{ end }}{{ end -}}
{{- $out = append $out (dict "name" (printf "logs-%d" $i) "secret" $s.existingSecret "keys" (uniq $keys)) -}}
{{- end -}}
{{- end -}}
{{- range $i, $c := $v.kubernetesClusters -}}
{{- $out = append $out (dict "name" (printf "cluster-%d" $i) "secret" $c.existingSecret "keys" (list $c.key)) -}}
{{- end -}}
{{- range $i, $r := $v.registries -}}
{{- if $r.existingSecret }}{{ $out = append $out (dict "name" (printf "registry-%d" $i) "secret" $r.existingSecret "keys" (list $r.key)) }}{{ end -}}
{{- end -}}
{{- with $v.database -}}
{{- $out = append $out (dict "name" "database" "secret" .existingSecret "keys" (list .key)) -}}
{{- with .migrate -}}
{{- if .existingSecret }}{{ $out = append $out (dict "name" "database-migrate" "secret" .existingSecret "keys" (list .key)) }}{{ end -}}
{{- end -}}
{{- end -}}
{{- with $v.digest -}}
{{- if .existingSecret -}}
{{- $keys := list .key -}}
{{- with .passwordKey }}{{ $keys = append $keys . }}{{ end -}}
{{- with .caKey }}{{ $keys = append $keys . }}{{ end -}}
{{- $out = append $out (dict "name" "digest" "secret" .existingSecret "keys" $keys) -}}
{{- end -}}
{{- end -}}
{{- toYaml $out -}}
{{- end -}}

{{- define "shipwarden.secretVolume" -}}
- name: {{ .name }}
  secret:
    secretName: {{ .secret }}
    defaultMode: 0440
    items:
      {{- range .keys }}
      - {key: {{ . | quote }}, path: {{ . | quote }}}
      {{- end }}
{{- end -}}

{{- define "shipwarden.volumes" -}}
{{- $v := index .root.Values .service -}}
{{- $fullname := include "shipwarden.fullname" .root -}}
- name: config
  configMap:
    name: {{ $fullname }}-{{ .service }}
- name: keyring
  configMap:
    name: {{ default (printf "%s-keyring" $fullname) .root.Values.keyring.existingConfigMap }}
    items: [{key: keyring.yaml, path: keyring.yaml}]
{{- if eq .service "approval" }}
- name: procedure
  configMap:
    name: {{ default (printf "%s-procedure" $fullname) .root.Values.procedure.existingConfigMap }}
    items: [{key: procedure.yaml, path: procedure.yaml}]
{{- end }}
{{- with $v.sigstoreRoot }}
{{- if or .existingConfigMap .document }}
- name: sigstore-root
  configMap:
    name: {{ default (printf "%s-sigstore-root" $fullname) .existingConfigMap }}
    items: [{key: trusted_root.json, path: trusted_root.json}]
{{- end }}
{{- end }}
{{- with $v.sigstoreRoots }}
{{- if or .existingConfigMap .documents }}
- name: sigstore-roots
  configMap:
    name: {{ default (printf "%s-sigstore-roots" $fullname) .existingConfigMap }}
    items:
      {{- range ternary .keys (keys .documents | sortAlpha) (ne .existingConfigMap "") }}
      - {key: {{ . | quote }}, path: {{ . | quote }}}
      {{- end }}
{{- end }}
{{- end }}
{{- with $v.signers }}
{{- if or .existingConfigMap .document }}
- name: signers
  configMap:
    name: {{ default (printf "%s-signers" $fullname) .existingConfigMap }}
    items: [{key: {{ .key | quote }}, path: {{ .key | quote }}}]
{{- end }}
{{- end }}
{{- range include "shipwarden.secrets" . | fromYamlArray }}
{{ include "shipwarden.secretVolume" . }}
{{- end }}
{{- with $v.artifactsClaim }}
- name: artifacts
  persistentVolumeClaim:
    claimName: {{ . }}
    readOnly: true
{{- end }}
{{- with $v.stateClaim }}
- name: state
  persistentVolumeClaim:
    claimName: {{ . }}
{{- end }}
{{- if and (eq .service "executor") (not $v.stateClaim) }}
- name: seen
  emptyDir: {}
{{- end }}
- name: tmp
  emptyDir: {}
{{- with $v.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "shipwarden.volumeMounts" -}}
{{- $v := index .root.Values .service -}}
- {name: config, mountPath: /etc/shipwarden/config, readOnly: true}
- {name: keyring, mountPath: /etc/shipwarden/keyring, readOnly: true}
{{- if eq .service "approval" }}
- {name: procedure, mountPath: /etc/shipwarden/procedure, readOnly: true}
{{- end }}
{{- with $v.sigstoreRoot }}
{{- if or .existingConfigMap .document }}
- {name: sigstore-root, mountPath: /etc/shipwarden/sigstore, readOnly: true}
{{- end }}
{{- end }}
{{- with $v.sigstoreRoots }}
{{- if or .existingConfigMap .documents }}
- {name: sigstore-roots, mountPath: /etc/shipwarden/sigstore-roots, readOnly: true}
{{- end }}
{{- end }}
{{- with $v.signers }}
{{- if or .existingConfigMap .document }}
- {name: signers, mountPath: /etc/shipwarden/signers, readOnly: true}
{{- end }}
{{- end }}
{{- range include "shipwarden.secrets" . | fromYamlArray }}
- {name: {{ .name }}, mountPath: {{ include "shipwarden.secretsFolder" $ }}/{{ .name }}, readOnly: true}
{{- end }}
{{- if $v.artifactsClaim }}
- {name: artifacts, mountPath: /var/lib/shipwarden/artifacts, readOnly: true}
{{- end }}
{{- if $v.stateClaim }}
- {name: state, mountPath: /var/lib/shipwarden/state}
{{- end }}
{{- if and (eq .service "executor") (not $v.stateClaim) }}
- {name: seen, mountPath: /var/lib/shipwarden/seen}
{{- end }}
- {name: tmp, mountPath: /tmp}
{{- with $v.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}
