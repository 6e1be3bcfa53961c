{{/* Texts of a trial by path: the chart's own, and those of the values over them. YAML of a map. */}}
{{- define "convergence.texts" -}}
{{- $texts := dict -}}
{{- range $path, $bytes := .Files.Glob "files/trial/**" -}}
{{- $_ := set $texts (trimPrefix "files/trial/" $path) (toString $bytes) -}}
{{- end -}}
{{ toYaml (mustMergeOverwrite $texts (deepCopy .Values.configs.files)) }}
{{- end }}

{{/* The volume of tenants' files. */}}
{{- define "convergence.configsVolume" -}}
{{- $type := .Values.configs.type -}}
- name: configs
{{- if eq $type "gitSync" }}
  emptyDir: {sizeLimit: 1Gi}
{{- with .Values.configs.gitSync.sshSecret }}
- name: git
  secret: {secretName: {{ . }}, defaultMode: 0440}
{{- end }}
{{- else if eq $type "persistentVolumeClaim" }}
  persistentVolumeClaim: {claimName: {{ .Values.configs.persistentVolumeClaim }}, readOnly: true}
{{- else if eq $type "csi" }}
  csi:
    driver: {{ .Values.configs.csi.driver }}
    readOnly: true
    {{- with .Values.configs.csi.attributes }}
    volumeAttributes:
      {{- toYaml . | nindent 6 }}
    {{- end }}
{{- else }}
  configMap:
    name: {{ include "convergence.name" (list . "configs") }}
    items:
      {{- range $path, $_ := include "convergence.texts" . | fromYaml }}
      - {key: {{ $path | replace "/" "--" }}, path: {{ $path }}}
      {{- end }}
{{- end }}
{{- end }}

{{/* The side container that keeps a clone up to date: started before the service, ended after it. */}}
{{- define "convergence.gitSync" -}}
{{- $git := .Values.configs.gitSync -}}
- name: git-sync
  image: {{ $git.image }}
  restartPolicy: Always
  args:
    - --repo={{ $git.repository }}
    - --ref={{ $git.ref }}
    - --period={{ $git.period }}
    - --root=/etc/convergence/configs
    - --link=current
    - --http-bind=:9091
    {{- if $git.sshSecret }}
    - --ssh-key-file=/etc/git-secret/ssh
    - --ssh-known-hosts-file=/etc/git-secret/known_hosts
    {{- end }}
  ports:
    - {name: git-sync, containerPort: 9091}
  startupProbe:
    httpGet: {path: /, port: git-sync}
    periodSeconds: 1
    failureThreshold: 120
  securityContext:
    {{- include "convergence.containerSecurity" . | nindent 4 }}
  resources:
    {{- include "convergence.resources" (dict "cpu" "20m" "memory" "128Mi") | nindent 4 }}
  volumeMounts:
    - {name: configs, mountPath: /etc/convergence/configs}
    - {name: tmp, mountPath: /tmp}
    {{- if $git.sshSecret }}
    - {name: git, mountPath: /etc/git-secret, readOnly: true}
    {{- end }}
{{- end }}
