{{/* Names and labels. Arguments that are lists begin with the root context. */}}

{{- define "convergence.mesh" -}}
{{ .Files.Get "files/mesh.yaml" }}
{{- end }}

{{/* Name of a component's objects: (root, component). */}}
{{- define "convergence.name" -}}
{{ (index . 0).Release.Name }}-{{ index . 1 }}
{{- end }}

{{/* Labels by which a component's pods are found: (root, component). */}}
{{- define "convergence.selector" -}}
app.kubernetes.io/name: convergence
app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{/* Labels of a component's objects: (root, component). */}}
{{- define "convergence.labels" -}}
{{ include "convergence.selector" . }}
app.kubernetes.io/version: {{ (index . 0).Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ (index . 0).Release.Service }}
helm.sh/chart: {{ (index . 0).Chart.Name }}-{{ (index . 0).Chart.Version }}
{{- end }}

{{/* Values of a service: its entry over the defaults: (root, service). */}}
{{- define "convergence.values" -}}
{{- $root := index . 0 -}}
{{ toYaml (mustMergeOverwrite (deepCopy $root.Values.defaults) (index $root.Values.services (index . 1) | default dict)) }}
{{- end }}

{{- define "convergence.image" -}}
{{- $image := .Values.image -}}
{{ $image.repository }}{{ if $image.digest }}@{{ $image.digest }}{{ else }}:{{ $image.tag | default .Chart.AppVersion }}{{ end }}
{{- end }}

{{/* Whether tenants' files are mounted into a service ("true" or nothing): (root, its entry of files/mesh.yaml). */}}
{{- define "convergence.configs" -}}
{{- $root := index . 0 -}}
{{- $need := (index . 1).configs -}}
{{- if and (ne $root.Values.configs.type "none") (or (eq $need "always") (and (eq $need "files") $root.Values.trial.enabled)) }}true{{ end }}
{{- end }}

{{- define "convergence.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "convergence.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{/* Memory is request and limit, CPU a request only: (resources). */}}
{{- define "convergence.resources" -}}
requests: {cpu: {{ .cpu | quote }}, memory: {{ .memory | quote }}}
limits: {memory: {{ .memory | quote }}}
{{- end }}

{{/* What pods of all kinds have in common. */}}
{{- define "convergence.scheduling" -}}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- with .Values.scheduling.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.scheduling.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.scheduling.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end }}

{{/* Address of the edge that `helm test` calls; empty: no test. */}}
{{- define "convergence.testAddress" -}}
{{- if .Values.test.address }}{{ .Values.test.address }}
{{- else if .Values.trial.enabled }}http://{{ .Release.Name }}-edge:50051
{{- else if .Values.edge.route.hosts }}https://{{ first .Values.edge.route.hosts }}
{{- end }}
{{- end }}
