{{/* A driver's folder that is not on a volume would be refused at the first release,
because the root file system is read-only, or be forgotten with the pod. */}}
{{- define "shipwarden.checkState" -}}
{{- $kept := list -}}
{{- if .Values.executor.stateClaim }}{{ $kept = append $kept "/var/lib/shipwarden/state" }}{{ end -}}
{{- range .Values.executor.extraVolumeMounts }}{{ $kept = append $kept (trimSuffix "/" .mountPath) }}{{ end -}}
{{- range $i, $t := .Values.executor.targets -}}
{{- range $field, $folder := dict "host.folder" (dig "host" "folder" "" $t) "command.marker_folder" (dig "command" "marker_folder" "" $t) -}}
{{- if $folder -}}
{{- $good := false -}}
{{- range $kept }}{{ if or (eq $folder .) (hasPrefix (printf "%s/" .) $folder) }}{{ $good = true }}{{ end }}{{ end -}}
{{- if not $good -}}
{{- fail (printf "executor.targets[%d].%s: %s is on no volume: set executor.stateClaim and use /var/lib/shipwarden/state, or mount one with executor.extraVolumeMounts" $i $field $folder) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
