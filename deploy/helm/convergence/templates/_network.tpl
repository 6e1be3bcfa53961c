{{/* Pods of a component as a peer: (root, component). */}}
{{- define "convergence.peer" -}}
- podSelector:
    matchLabels:
      {{- include "convergence.selector" . | nindent 6 }}
{{- end }}

{{/* Ports as a list of a policy: (ports). */}}
{{- define "convergence.tcp" -}}
ports:
  {{- range . }}
  - {protocol: TCP, port: {{ . | int }}}
  {{- end }}
{{- end }}

{{/* Addresses as peers; none are every public address: (cidrs, mesh). */}}
{{- define "convergence.public" -}}
{{- range index . 0 }}
- ipBlock: {cidr: {{ . }}}
{{- else }}
- ipBlock:
    cidr: 0.0.0.0/0
    except: {{ (index . 1).private | toJson }}
{{- end }}
{{- end }}

{{/* Port at which a component serves calls from inside: (component, mesh). */}}
{{- define "convergence.inside" -}}
{{- if eq (index . 0) "edge" }}{{ (index . 1).ports.edge }}{{ else }}{{ (index . 1).ports.grpc }}{{ end }}
{{- end }}

{{/* What one call of files/mesh.yaml lets out: (root, mesh, callee). */}}
{{- define "convergence.egress" -}}
{{- $root := index . 0 -}}
{{- $mesh := index . 1 -}}
{{- $callee := index . 2 -}}
{{- $network := $root.Values.network -}}
{{- if eq $callee "warehouse" }}
{{- if $root.Values.trial.enabled }}
- to:
    {{- include "convergence.peer" (list $root "bigquery") | nindent 4 }}
  {{- include "convergence.tcp" (list $mesh.ports.rest $mesh.ports.storage) | nindent 2 }}
{{- else }}
- to:
    {{- include "convergence.public" (list $network.googleApis.cidrs $mesh) | nindent 4 }}
  {{- include "convergence.tcp" (list 443) | nindent 2 }}
{{- range $network.metadataServer }}
- to:
    - ipBlock: {cidr: {{ .cidr }}}
  {{- include "convergence.tcp" .ports | nindent 2 }}
{{- end }}
{{- end }}
{{- else if eq $callee "kubernetes" }}
- to:
    {{- range $network.kubernetesApi.cidrs }}
    - ipBlock: {cidr: {{ . }}}
    {{- else }}
    - ipBlock: {cidr: 0.0.0.0/0}
    {{- end }}
  {{- include "convergence.tcp" $network.kubernetesApi.ports | nindent 2 }}
{{- else if eq $callee "sources" }}
- to:
    {{- include "convergence.public" (list list $mesh) | nindent 4 }}
  {{- include "convergence.tcp" $network.sources.ports | nindent 2 }}
{{- range $network.sources.extra }}
- to:
    - ipBlock: {cidr: {{ .cidr }}}
  {{- include "convergence.tcp" .ports | nindent 2 }}
{{- end }}
{{- else if eq $callee "git" }}
- to:
    {{- include "convergence.public" (list $network.git.cidrs $mesh) | nindent 4 }}
  {{- include "convergence.tcp" $network.git.ports | nindent 2 }}
{{- else }}
- to:
    {{- include "convergence.peer" (list $root $callee) | nindent 4 }}
  {{- include "convergence.tcp" (list (include "convergence.inside" (list $callee $mesh))) | nindent 2 }}
{{- end }}
{{- end }}

{{/* Names, of which every pod needs some: (root). */}}
{{- define "convergence.dns" -}}
{{- $dns := .Values.network.dns -}}
- to:
    - namespaceSelector:
        matchLabels: {kubernetes.io/metadata.name: {{ $dns.namespace }}}
      podSelector:
        matchLabels:
          {{- toYaml $dns.podLabels | nindent 10 }}
    {{- range $dns.cidrs }}
    - ipBlock: {cidr: {{ . }}}
    {{- end }}
  ports:
    - {protocol: UDP, port: 53}
    - {protocol: TCP, port: 53}
{{- end }}

{{/* Who may call a component: (root, mesh, every component that runs, component). */}}
{{- define "convergence.ingress" -}}
{{- $root := index . 0 -}}
{{- $mesh := index . 1 -}}
{{- $all := index . 2 -}}
{{- $component := index . 3 -}}
{{- $entry := index $all $component -}}
{{- $inside := list (include "convergence.inside" (list $component $mesh)) -}}
{{- $callers := list -}}
{{- range $caller, $other := $all -}}
{{- if or (has $component $other.calls) (and (eq $component "bigquery") (has "warehouse" $other.calls)) -}}
{{- $callers = append $callers $caller -}}
{{- end -}}
{{- end -}}
{{- if $callers }}
- from:
    {{- range $callers }}
    {{- include "convergence.peer" (list $root .) | nindent 4 }}
    {{- end }}
  {{- include "convergence.tcp" (ternary (list $mesh.ports.rest $mesh.ports.storage) $inside (eq $component "bigquery")) | nindent 2 }}
{{- end }}
{{- if and $root.Values.edge.from (or $entry.routes (eq $component "edge")) }}
- from:
    {{- range $root.Values.edge.from }}
    - ipBlock: {cidr: {{ . }}}
    {{- end }}
  {{- $ports := ternary (list $mesh.ports.tls) $inside (and (hasKey $entry "routes") $root.Values.edge.tls.enabled) }}
  {{- if and $entry.routes $root.Values.edge.route.enabled $root.Values.edge.route.gke }}
  {{- /* The load balancer's health check. */}}
  {{- $ports = append $ports $mesh.ports.admin }}
  {{- end }}
  {{- include "convergence.tcp" $ports | nindent 2 }}
{{- end }}
{{- with $root.Values.network.scrapers }}
{{- if and .namespaceLabels (hasKey $mesh.services $component) }}
- from:
    - namespaceSelector:
        matchLabels:
          {{- toYaml .namespaceLabels | nindent 10 }}
      {{- with .podLabels }}
      podSelector:
        matchLabels:
          {{- toYaml . | nindent 10 }}
      {{- end }}
  {{- include "convergence.tcp" (list $mesh.ports.admin) | nindent 2 }}
{{- end }}
{{- end }}
{{- end }}

{{/* Whom a component may call: the same arguments. */}}
{{- define "convergence.calls" -}}
{{- $root := index . 0 -}}
{{- $mesh := index . 1 -}}
{{- $component := index . 3 -}}
{{- $entry := index (index . 2) $component -}}
{{- if $entry.calls }}
{{- include "convergence.dns" $root }}
{{- end }}
{{- range $callee := $entry.calls }}
{{- if eq $callee "git" }}
{{- if and (eq $root.Values.configs.type "gitSync") (eq (include "convergence.configs" (list $root $entry)) "true") }}
{{- include "convergence.egress" (list $root $mesh $callee) }}
{{- end }}
{{- else if and (eq $component "test") (not $root.Values.trial.enabled) }}
{{- range $root.Values.test.edgeCidrs }}
- to:
    - ipBlock: {cidr: {{ . }}}
  {{- include "convergence.tcp" (list 443) | nindent 2 }}
{{- end }}
{{- else }}
{{- include "convergence.egress" (list $root $mesh $callee) }}
{{- end }}
{{- end }}
{{- with $root.Values.telemetry.otlp }}
{{- if and .endpoint (hasKey $mesh.services $component) }}
- to:
    - ipBlock: {cidr: {{ .cidr }}}
  {{- include "convergence.tcp" (list (splitList ":" .endpoint | last)) | nindent 2 }}
{{- end }}
{{- end }}
{{- end }}
