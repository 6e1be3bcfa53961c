{{/* What a schema cannot say: values that need one another. Everything that is wrong is said at once. */}}
{{- define "convergence.checks" -}}
{{- $wrong := list -}}
{{- $values := .Values -}}
{{- $type := $values.configs.type -}}
{{- if gt (len .Release.Name) 40 }}
{{- $wrong = append $wrong (printf "release name: found %d characters; allowed are 40, as names of objects are made from it" (len .Release.Name)) }}
{{- end }}
{{- if and (not $values.trial.enabled) (not $values.bigquery.project) }}
{{- $wrong = append $wrong "bigquery.project: found nothing; give the id of a Google Cloud project, or trial.enabled=true" }}
{{- end }}
{{- if and (eq $type "gitSync") (not $values.configs.gitSync.repository) }}
{{- $wrong = append $wrong "configs.gitSync.repository: found nothing; give a repository, or another configs.type" }}
{{- end }}
{{- if and (eq $type "persistentVolumeClaim") (not $values.configs.persistentVolumeClaim) }}
{{- $wrong = append $wrong "configs.persistentVolumeClaim: found nothing; give the name of a claim, or another configs.type" }}
{{- end }}
{{- if and (eq $type "csi") (not $values.configs.csi.driver) }}
{{- $wrong = append $wrong "configs.csi.driver: found nothing; give the name of a CSI driver, or another configs.type" }}
{{- end }}
{{- if and $values.configs.files (ne $type "configMap") }}
{{- $wrong = append $wrong (printf "configs.files: found files with configs.type %s; allowed with configMap only" $type) }}
{{- end }}
{{- if and $values.edge.tls.enabled (not $values.edge.tls.secret) }}
{{- $wrong = append $wrong "edge.tls.secret: found nothing; give the name of a Secret of type kubernetes.io/tls, or edge.tls.enabled=false" }}
{{- end }}
{{- if $values.edge.route.enabled }}
{{- if not $values.edge.route.gateway }}
{{- $wrong = append $wrong "edge.route.gateway: found nothing; give the name of a Gateway, or edge.route.enabled=false" }}
{{- end }}
{{- if not $values.edge.route.hosts }}
{{- $wrong = append $wrong "edge.route.hosts: found nothing; give one host name at least, or edge.route.enabled=false" }}
{{- end }}
{{- if and $values.network.enabled (not $values.edge.from) }}
{{- $wrong = append $wrong "edge.from: found nothing; give the CIDRs of the proxies behind the Gateway, which nothing else lets in" }}
{{- end }}
{{- end }}
{{- if and $values.telemetry.otlp.endpoint $values.network.enabled (not $values.telemetry.otlp.cidr) }}
{{- $wrong = append $wrong "telemetry.otlp.cidr: found nothing; give the CIDR that the collector is in, which nothing else lets out to" }}
{{- end }}
{{- with $values.services.ingest.autoscaling }}
{{- if gt (int .min) (int .max) }}
{{- $wrong = append $wrong (printf "services.ingest.autoscaling: found min %d and max %d; min is at most max" (int .min) (int .max)) }}
{{- end }}
{{- end }}
{{- if $wrong }}
{{- fail (printf "\n%s" (join "\n" $wrong)) }}
{{- end }}
{{- end }}
