{{/* The configuration file of a service, exactly as shipwarden.config.v1 has it: the
services refuse what they do not know. Takes {root, service}. */}}
{{- define "shipwarden.config" -}}
{{- $v := index .root.Values .service -}}
{{- $secrets := include "shipwarden.secretsFolder" . -}}
{{- $out := dict "common" (include "shipwarden.config.common" . | fromYaml) -}}
{{- with $v.grpc -}}
{{- $grpc := dict "listen" ":9443" -}}
{{- if .tls.existingSecret -}}
{{- $tls := dict "certificate_file" (printf "%s/grpc-tls/tls.crt" $secrets) "key_file" (printf "%s/grpc-tls/tls.key" $secrets) -}}
{{- if .tls.requireClientCertificate }}{{ $_ := set $tls "ca_file" (printf "%s/grpc-tls/ca.crt" $secrets) }}{{ end -}}
{{- $_ := set $grpc "tls" $tls -}}
{{- end -}}
{{- $_ := set $out "grpc" $grpc -}}
{{- end -}}
{{- with $v.tokens -}}
{{- if .existingSecret }}{{ $_ := set $out "tokens_file" (printf "%s/tokens/%s" $secrets .key) }}{{ end -}}
{{- end -}}
{{- with .root.Values.oidc -}}
{{- if and .issuer (has $.service (list "approval" "recorder")) -}}
{{- $oidc := dict "issuer" .issuer "audience" .audience -}}
{{- with .algorithms }}{{ $_ := set $oidc "algorithms" . }}{{ end -}}
{{- with .nameClaim }}{{ $_ := set $oidc "name_claim" . }}{{ end -}}
{{- with .groupsClaim }}{{ $_ := set $oidc "groups_claim" . }}{{ end -}}
{{- with .keyHosts }}{{ $_ := set $oidc "key_hosts" . }}{{ end -}}
{{- if .ca.existingSecret }}{{ $_ := set $oidc "ca_file" (printf "%s/oidc-ca/%s" $secrets .ca.key) }}{{ end -}}
{{- $_ := set $out "oidc" $oidc -}}
{{- if eq $.service "recorder" }}{{ $_ := set $out "reader_groups" .readerGroups }}{{ end -}}
{{- end -}}
{{- end -}}
{{- if eq .service "approval" }}{{ $_ := set $out "procedure_file" "/etc/shipwarden/procedure/procedure.yaml" }}{{ if .root.Values.procedure.activateFirst }}{{ $_ := set $out "activate_first" true }}{{ end }}{{ end -}}
{{- with $v.sigstoreRoot -}}
{{- if or .existingConfigMap .document }}{{ $_ := set $out "sigstore_root_file" "/etc/shipwarden/sigstore/trusted_root.json" }}{{ end -}}
{{- end -}}
{{- with $v.sigstoreRoots -}}
{{- $names := ternary .keys (keys .documents | sortAlpha) (ne .existingConfigMap "") -}}
{{- $files := list -}}
{{- range $names }}{{ $files = append $files (printf "/etc/shipwarden/sigstore-roots/%s" .) }}{{ end -}}
{{- with $files }}{{ $_ := set $out "sigstore_root_files" . }}{{ end -}}
{{- end -}}
{{- with $v.signers -}}
{{- if or .existingConfigMap .document }}{{ $_ := set $out "signers_file" (printf "/etc/shipwarden/signers/%s" .key) }}{{ end -}}
{{- end -}}
{{- with $v.channels -}}
{{- $channels := list -}}
{{- range $i, $c := . -}}
{{- $channel := dict "channel" $c.channel "kind" (printf "KIND_%s" (upper $c.kind)) "url_file" (printf "%s/channel-%d/%s" $secrets $i $c.key) -}}
{{- with $c.timeout }}{{ $_ := set $channel "timeout" . }}{{ end -}}
{{- with $c.caKey }}{{ $_ := set $channel "ca_file" (printf "%s/channel-%d/%s" $secrets $i .) }}{{ end -}}
{{- with $c.mail }}{{ $_ := set $channel "mail" . }}{{ end -}}
{{- $files := list -}}
{{- range $c.secretKeys }}{{ $files = append $files (printf "%s/channel-%d/%s" $secrets $i .) }}{{ end -}}
{{- with $files }}{{ $_ := set $channel "secret_files" . }}{{ end -}}
{{- $channels = append $channels $channel -}}
{{- end -}}
{{- $_ := set $out "channels" $channels -}}
{{- end -}}
{{- if and .root.Values.changeConnectors (has .service (list "approval" "executor")) -}}
{{- $connectors := list -}}
{{- range $i, $c := .root.Values.changeConnectors -}}
{{- $connector := omit $c "existingSecret" "key" -}}
{{- if $c.existingSecret }}{{ $_ := set $connector "header_file" (printf "%s/connector-%d/%s" $secrets $i $c.key) }}{{ end -}}
{{- $connectors = append $connectors $connector -}}
{{- end -}}
{{- $_ := set $out "change_connectors" $connectors -}}
{{- end -}}
{{- if and .root.Values.alertSources (has .service (list "approval" "executor")) -}}
{{- $sources := list -}}
{{- range $i, $s := .root.Values.alertSources -}}
{{- $source := dict "name" $s.name "kind" (printf "KIND_%s" (upper $s.kind)) "url" $s.url -}}
{{- with $s.timeout }}{{ $_ := set $source "timeout" . }}{{ end -}}
{{- with $s.key }}{{ $_ := set $source "token_file" (printf "%s/alerts-%d/%s" $secrets $i .) }}{{ end -}}
{{- with $s.caKey }}{{ $_ := set $source "tls" (dict "ca_file" (printf "%s/alerts-%d/%s" $secrets $i .)) }}{{ end -}}
{{- $sources = append $sources $source -}}
{{- end -}}
{{- $_ := set $out "alert_sources" $sources -}}
{{- end -}}
{{- with $v.metricSources -}}
{{- $sources := list -}}
{{- range $i, $s := . -}}
{{- $source := dict "name" $s.name "url" $s.url -}}
{{- with $s.key }}{{ $_ := set $source "token_file" (printf "%s/metrics-%d/%s" $secrets $i .) }}{{ end -}}
{{- with $s.caKey }}{{ $_ := set $source "tls" (dict "ca_file" (printf "%s/metrics-%d/%s" $secrets $i .)) }}{{ end -}}
{{- $headers := list -}}
{{- range $s.headers -}}
{{- $header := dict "name" .name -}}
{{- with .value }}{{ $_ := set $header "value" . }}{{ end -}}
{{- with .key }}{{ $_ := set $header "value_file" (printf "%s/metrics-%d/%s" $secrets $i .) }}{{ end -}}
{{- $headers = append $headers $header -}}
{{- end -}}
{{- with $headers }}{{ $_ := set $source "headers" . }}{{ end -}}
{{- $sources = append $sources $source -}}
{{- end -}}
{{- $_ := set $out "metric_sources" $sources -}}
{{- end -}}
{{- with $v.logSources -}}
{{- $sources := list -}}
{{- range $i, $s := . -}}
{{- $source := dict "name" $s.name "url" $s.url -}}
{{- with $s.key }}{{ $_ := set $source "token_file" (printf "%s/logs-%d/%s" $secrets $i .) }}{{ end -}}
{{- with $s.caKey }}{{ $_ := set $source "tls" (dict "ca_file" (printf "%s/logs-%d/%s" $secrets $i .)) }}{{ end -}}
{{- $headers := list -}}
{{- range $s.headers -}}
{{- $header := dict "name" .name -}}
{{- with .value }}{{ $_ := set $header "value" . }}{{ end -}}
{{- with .key }}{{ $_ := set $header "value_file" (printf "%s/logs-%d/%s" $secrets $i .) }}{{ end -}}
{{- $headers = append $headers $header -}}
{{- end -}}
{{- with $headers }}{{ $_ := set $source "headers" . }}{{ end -}}
{{- $sources = append $sources $source -}}
{{- end -}}
{{- $_ := set $out "log_sources" $sources -}}
{{- end -}}
{{- with $v.commands }}{{ $_ := set $out "commands" . }}{{ end -}}
{{- with $v.kubernetesClusters -}}
{{- $clusters := list -}}
{{- range $i, $c := . -}}
{{- $clusters = append $clusters (dict "name" $c.name "kubeconfig_file" (printf "%s/cluster-%d/%s" $secrets $i $c.key)) -}}
{{- end -}}
{{- $_ := set $out "kubernetes_clusters" $clusters -}}
{{- end -}}
{{- with $v.reconcileEvery }}{{ $_ := set $out "reconcile_every" . }}{{ end -}}
{{- if eq .service "executor" }}{{ $_ := set $out "state_folder" (ternary "/var/lib/shipwarden/state/.witness" "/var/lib/shipwarden/seen" (ne $v.stateClaim "")) }}{{ end -}}
{{- if $v.artifactsClaim }}{{ $_ := set $out "artifact_folder" "/var/lib/shipwarden/artifacts" }}{{ end -}}
{{- with $v.targets }}{{ $_ := set $out "targets" . }}{{ end -}}
{{- with $v.registries -}}
{{- $registries := list -}}
{{- range $i, $r := . -}}
{{- $registry := dict "host" $r.host -}}
{{- if $r.insecure }}{{ $_ := set $registry "insecure" true }}{{ end -}}
{{- with $r.user }}{{ $_ := set $registry "user" . }}{{ end -}}
{{- if $r.existingSecret }}{{ $_ := set $registry "password_file" (printf "%s/registry-%d/%s" $secrets $i $r.key) }}{{ end -}}
{{- $registries = append $registries $registry -}}
{{- end -}}
{{- $_ := set $out "registries" $registries -}}
{{- end -}}
{{- with $v.database -}}
{{- $_ := set $out "database_url_file" (printf "%s/database/%s" $secrets .key) -}}
{{- if .migrate.existingSecret }}{{ $_ := set $out "migrate_url_file" (printf "%s/database-migrate/%s" $secrets .migrate.key) }}{{ end -}}
{{- end -}}
{{- with $v.digest -}}
{{- if .existingSecret -}}
{{- $digest := dict "url_file" (printf "%s/digest/%s" $secrets .key) "from" .from "at" .at "time_zone" .timeZone -}}
{{- if .passwordKey }}{{ $_ := set $digest "password_file" (printf "%s/digest/%s" $secrets .passwordKey) }}{{ end -}}
{{- if .caKey }}{{ $_ := set $digest "ca_file" (printf "%s/digest/%s" $secrets .caKey) }}{{ end -}}
{{- with .timeout }}{{ $_ := set $digest "timeout" . }}{{ end -}}
{{- $_ := set $out "digest" $digest -}}
{{- end -}}
{{- end -}}
{{- toYaml $out -}}
{{- end -}}

{{- define "shipwarden.config.common" -}}
{{- $v := index .root.Values .service -}}
{{- $secrets := include "shipwarden.secretsFolder" . -}}
{{- $out := dict
      "nats" (include "shipwarden.config.nats" . | fromYaml)
      "signing_key" (dict "id" $v.signingKey.id "file" (printf "%s/signing-key/%s" $secrets $v.signingKey.key))
      "keyring_file" "/etc/shipwarden/keyring/keyring.yaml"
      "http_listen" ":8080"
      "log" (dict "level" (printf "LEVEL_%s" (upper $v.logLevel)))
-}}
{{- if $v.workers }}{{ $_ := set $out "workers" (int $v.workers) }}{{ end -}}
{{- toYaml $out -}}
{{- end -}}

{{- define "shipwarden.config.nats" -}}
{{- $nats := (index .root.Values .service).nats -}}
{{- $secrets := include "shipwarden.secretsFolder" . -}}
{{- $file := printf "%s/nats/%s" $secrets $nats.key -}}
{{- $out := dict "urls" .root.Values.nats.urls "replicas" (int .root.Values.nats.replicas) -}}
{{- if eq $nats.auth "password" }}{{ $_ := set $out "user" $nats.user }}{{ $_ := set $out "password_file" $file }}{{ end -}}
{{- if eq $nats.auth "nkey" }}{{ $_ := set $out "nkey_seed_file" $file }}{{ end -}}
{{- if eq $nats.auth "credentials" }}{{ $_ := set $out "credentials_file" $file }}{{ end -}}
{{- with .root.Values.nats.tls -}}
{{- if .enabled -}}
{{- $tls := dict -}}
{{- if .ca.existingSecret }}{{ $_ := set $tls "ca_file" (printf "%s/nats-ca/%s" $secrets .ca.key) }}{{ end -}}
{{- if $nats.clientTLS -}}
{{- $_ := set $tls "certificate_file" (printf "%s/nats-tls/tls.crt" $secrets) -}}
{{- $_ := set $tls "key_file" (printf "%s/nats-tls/tls.key" $secrets) -}}
{{- end -}}
{{- $_ := set $out "tls" $tls -}}
{{- end -}}
{{- end -}}
{{- toYaml $out -}}
{{- end -}}
