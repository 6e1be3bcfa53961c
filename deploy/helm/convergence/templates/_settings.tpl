{{/*
The settings that the chart computes for a service: (root, service, its merged values, its entry of files/mesh.yaml).
What stands in `settings` of its values comes after them; the schema lets through only what is not computed here.
*/}}
{{- define "convergence.settings" -}}
{{- $root := index . 0 -}}
{{- $service := index . 1 -}}
{{- $values := index . 2 -}}
{{- $entry := index . 3 -}}
{{- $at := printf "%s-%%s" $root.Release.Name -}}
{{- $prefix := printf "CONVERGENCE_%s_" (upper $service) -}}
{{- $trial := $root.Values.trial.enabled -}}
{{- $folder := eq (include "convergence.configs" (list $root $entry)) "true" -}}
{{- $own := dict
  "LISTEN" "0.0.0.0:50051"
  "ADMIN_LISTEN" "0.0.0.0:9090"
  "DRAIN_SECONDS" "0"
  "GRACE_SECONDS" (toString $values.drain.graceSeconds)
  "BIGQUERY_PROJECT" (ternary "local" $root.Values.bigquery.project $trial)
  "BIGQUERY_LOCATION" $root.Values.bigquery.location
-}}
{{- if $trial }}
{{- $_ := set $own "BIGQUERY_ENDPOINT" (printf "http://%s:9050" (printf $at "bigquery")) }}
{{- $_ := set $own "BIGQUERY_STORAGE_ENDPOINT" (printf "%s:9060" (printf $at "bigquery")) }}
{{- end }}
{{- with $root.Values.telemetry.otlp.endpoint }}
{{- $_ := set $own "OTLP_ENDPOINT" . }}
{{- end }}
{{- if $entry.routes }}
{{- if $root.Values.edge.tls.enabled }}
{{- $_ := set $own "LISTEN" "0.0.0.0:50051,tls://0.0.0.0:50443/etc/convergence/tls" }}
{{- end }}
{{- with $root.Values.edge.from }}
{{- $_ := set $own "TRUSTED_PROXIES" (join "," .) }}
{{- end }}
{{- end }}
{{- if $folder }}
{{- $_ := set $own "CONFIGS" (include "convergence.configsPath" $root) }}
{{- end }}
{{- if has "auth" $entry.calls }}
{{- $_ := set $own "AUTH" (printf "%s:50051" (printf $at "auth")) }}
{{- end }}
{{- if eq $service "auth" }}
{{- $_ := set $own "SIGNING_KEY" (printf "kubernetes://$(POD_NAMESPACE)/%s" (printf $at "signing-key")) }}
{{- $_ := set $own "ORCHESTRATOR_CREDENTIAL" (printf "kubernetes://$(POD_NAMESPACE)/%s" (printf $at "orchestrator")) }}
{{- else if eq $service "orchestrator" }}
{{- $_ := set $own "QUALITY" (printf "%s:50051" (printf $at "quality")) }}
{{- $_ := set $own "WORKERS" (printf "kubernetes://$(POD_NAMESPACE)/%s" (printf $at "ingest")) }}
{{- $_ := set $own "LEASE" (printf "kubernetes://$(POD_NAMESPACE)/%s?pod=$(POD_NAME)" (printf $at "orchestrator")) }}
{{- $_ := set $own "CREDENTIAL" "/var/run/secrets/convergence/token" }}
{{- $_ := set $own "STREAMS_END_WITH_SERVER" (toString $trial) }}
{{- if $trial }}
{{- $_ := set $own "STREAMS_PER_HOUR" "0" }}
{{- end }}
{{- else if eq $service "ingest" }}
{{- $_ := set $own "LOCAL_FILES" (toString $trial) }}
{{- if not $trial }}
{{- $_ := set $own "SECRET_MANAGER_PROJECT" ($root.Values.secretManager.project | default $root.Values.bigquery.project) }}
{{- end }}
{{- end }}
- name: POD_NAME
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
- name: POD_NAMESPACE
  valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
- name: HOME
  value: /tmp
{{- if eq $service "ingest" }}
- name: POLARS_MAX_THREADS
  valueFrom: {resourceFieldRef: {containerName: ingest, resource: requests.cpu, divisor: "1"}}
{{- end }}
{{- range $name, $value := mustMergeOverwrite $own $values.settings }}
- name: {{ $prefix }}{{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- end }}

{{/*
Folder of the tenants' folders inside of a container. git-sync and the kubelet both replace a link when files change, so that a reader sees
one version whole: the path leads through that link.
*/}}
{{- define "convergence.configsPath" -}}
{{- $link := get (dict "gitSync" "/current" "configMap" "/..data") .Values.configs.type -}}
/etc/convergence/configs{{ $link }}{{ with .Values.configs.path }}/{{ . }}{{ end }}
{{- end }}
