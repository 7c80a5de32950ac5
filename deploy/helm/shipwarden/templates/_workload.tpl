{{/* Everything that one service consists of. Takes {root, service}. */}}
{{- define "shipwarden.workload" -}}
{{- $v := index .root.Values .service -}}
{{- $name := printf "%s-%s" (include "shipwarden.fullname" .root) .service -}}
{{- $object := dict "root" .root "name" $name "component" .service -}}
{{- $selector := dict "root" .root "component" .service -}}
{{- $config := include "shipwarden.config" . -}}
apiVersion: v1
kind: ConfigMap
metadata:
  {{- include "shipwarden.metadata" $object | nindent 2 }}
data:
  {{ .service }}.yaml: |
    {{- $config | nindent 4 }}
---
{{- if $v.serviceAccount.create }}
apiVersion: v1
kind: ServiceAccount
metadata:
  {{- include "shipwarden.metadata" (merge (dict "name" (include "shipwarden.serviceAccountName" .) "annotations" $v.serviceAccount.annotations) $object) | nindent 2 }}
automountServiceAccountToken: false
---
{{- end }}
apiVersion: apps/v1
kind: Deployment
metadata:
  {{- include "shipwarden.metadata" $object | nindent 2 }}
spec:
  replicas: {{ $v.replicas }}
  revisionHistoryLimit: 5
  selector:
    matchLabels:
      {{- include "shipwarden.selectorLabels" $selector | nindent 6 }}
  strategy:
    {{- toYaml (default (dict "type" "RollingUpdate" "rollingUpdate" (dict "maxSurge" 1 "maxUnavailable" 0)) $v.updateStrategy) | nindent 4 }}
  template:
    metadata:
      labels:
        {{- include "shipwarden.labels" $selector | nindent 8 }}
        {{- with $v.podLabels }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      annotations:
        # The services read these files once, when they start.
        checksum/config: {{ $config | sha256sum }}
        checksum/keyring: {{ toYaml .root.Values.keyring | sha256sum }}
        {{- if eq .service "approval" }}
        checksum/procedure: {{ toYaml .root.Values.procedure | sha256sum }}
        checksum/sigstore-root: {{ toYaml $v.sigstoreRoot | sha256sum }}
        {{- end }}
        {{- if eq .service "executor" }}
        checksum/trust: {{ toYaml (list $v.sigstoreRoots $v.signers) | sha256sum }}
        {{- end }}
        {{- with $v.podAnnotations }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
    spec:
      serviceAccountName: {{ include "shipwarden.serviceAccountName" . }}
      automountServiceAccountToken: false
      enableServiceLinks: false
      terminationGracePeriodSeconds: {{ $v.terminationGracePeriodSeconds }}
      {{- with .root.Values.image.pullSecrets }}
      imagePullSecrets:
        {{- range . }}
        - name: {{ . }}
        {{- end }}
      {{- end }}
      {{- with $v.priorityClassName }}
      priorityClassName: {{ . }}
      {{- end }}
      securityContext:
        {{- include "shipwarden.podSecurity" .root | nindent 8 }}
      containers:
        - name: {{ .service }}
          image: {{ include "shipwarden.image" (dict "root" .root "image" $v.image) | quote }}
          imagePullPolicy: {{ .root.Values.image.pullPolicy }}
          args: [-config, /etc/shipwarden/config/{{ .service }}.yaml]
          ports:
            - {name: http, containerPort: 8080, protocol: TCP}
            {{- if $v.grpc }}
            - {name: grpc, containerPort: 9443, protocol: TCP}
            {{- end }}
          securityContext:
            {{- include "shipwarden.containerSecurity" . | nindent 12 }}
          # A service that waits for the bus or the database does not answer yet.
          startupProbe:
            httpGet: {path: /healthz, port: http}
            periodSeconds: 5
            failureThreshold: 60
          livenessProbe:
            httpGet: {path: /healthz, port: http}
            periodSeconds: 10
            timeoutSeconds: 3
            failureThreshold: 3
          readinessProbe:
            httpGet: {path: /readyz, port: http}
            periodSeconds: 5
            timeoutSeconds: 3
            failureThreshold: 2
          resources:
            {{- toYaml $v.resources | nindent 12 }}
          volumeMounts:
            {{- include "shipwarden.volumeMounts" . | nindent 12 }}
      volumes:
        {{- include "shipwarden.volumes" . | nindent 8 }}
      {{- with $v.nodeSelector }}
      nodeSelector:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $v.tolerations }}
      tolerations:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $v.affinity }}
      affinity:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- if .root.Values.topologySpread.enabled }}
      topologySpreadConstraints:
        {{- range list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
        - maxSkew: 1
          topologyKey: {{ . }}
          whenUnsatisfiable: {{ $.root.Values.topologySpread.whenUnsatisfiable }}
          labelSelector:
            matchLabels:
              {{- include "shipwarden.selectorLabels" $selector | nindent 14 }}
        {{- end }}
      {{- end }}
---
apiVersion: v1
kind: Service
metadata:
  {{- include "shipwarden.metadata" (merge (dict "annotations" .root.Values.service.annotations) $object) | nindent 2 }}
spec:
  type: {{ .root.Values.service.type }}
  selector:
    {{- include "shipwarden.selectorLabels" $selector | nindent 4 }}
  ports:
    - {name: http, port: 8080, targetPort: http, protocol: TCP, appProtocol: http}
    {{- if $v.grpc }}
    - {name: grpc, port: 9443, targetPort: grpc, protocol: TCP, appProtocol: grpc}
    {{- end }}
{{- if $v.podDisruptionBudget.enabled }}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  {{- include "shipwarden.metadata" $object | nindent 2 }}
spec:
  maxUnavailable: {{ $v.podDisruptionBudget.maxUnavailable }}
  # A pod that is not ready holds nothing up by being moved.
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      {{- include "shipwarden.selectorLabels" $selector | nindent 6 }}
{{- end }}
{{- if .root.Values.networkPolicy.enabled }}
---
{{ include "shipwarden.networkPolicy" . }}
{{- end }}
{{- end -}}
