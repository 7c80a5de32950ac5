{{/* What a service may reach, and who may reach it. Everything else is refused. An
empty list of peers would mean everybody, so it makes no rule. Takes {root, service}. */}}
{{- define "shipwarden.networkPolicy" -}}
{{- $v := index .root.Values .service -}}
{{- $n := .root.Values.networkPolicy -}}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  {{- include "shipwarden.metadata" (dict "root" .root "name" (printf "%s-%s" (include "shipwarden.fullname" .root) .service) "component" .service) | nindent 2 }}
spec:
  podSelector:
    matchLabels:
      {{- include "shipwarden.selectorLabels" (dict "root" .root "component" .service) | nindent 6 }}
  policyTypes: [Ingress, Egress]
  {{- $from := list }}
  {{- with $n.metrics.from }}{{ $from = append $from (dict "from" . "ports" (list (dict "port" "http" "protocol" "TCP"))) }}{{ end }}
  {{- if $v.grpc }}
  {{- with $n.grpc.from }}{{ $from = append $from (dict "from" . "ports" (list (dict "port" "grpc" "protocol" "TCP"))) }}{{ end }}
  {{- end }}
  ingress:
    {{- toYaml $from | nindent 4 }}
  {{- $to := include "shipwarden.busEgress" .root | fromYamlArray }}
  {{- if eq .service "recorder" }}
  {{- with $n.postgresql.to }}{{ $to = append $to (dict "to" . "ports" (include "shipwarden.tcpPorts" $n.postgresql.ports | fromYamlArray)) }}{{ end }}
  {{- end }}
  {{- $to = concat $to $v.networkPolicy.egress }}
  egress:
    {{- toYaml $to | nindent 4 }}
{{- end -}}

{{/* DNS and the bus. */}}
{{- define "shipwarden.busEgress" -}}
{{- $n := .Values.networkPolicy -}}
{{- $to := list -}}
{{- with $n.dns.to }}{{ $to = append $to (dict "to" . "ports" (list (dict "port" 53 "protocol" "UDP") (dict "port" 53 "protocol" "TCP"))) }}{{ end -}}
{{- with $n.nats.to }}{{ $to = append $to (dict "to" . "ports" (include "shipwarden.tcpPorts" $n.nats.ports | fromYamlArray)) }}{{ end -}}
{{- toYaml $to -}}
{{- end -}}

{{- define "shipwarden.tcpPorts" -}}
{{- range . }}
- {port: {{ int . }}, protocol: TCP}
{{- end }}
{{- end -}}
