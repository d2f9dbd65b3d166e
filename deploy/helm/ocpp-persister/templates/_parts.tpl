{{- define "persister.name" -}}
{{ .Release.Name | trunc 50 | trimSuffix "-" }}
{{- end }}

{{- define "persister.labels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "persister.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- define "persister.settings" -}}
{{- $settings := deepCopy .Values.settings }}
{{- $_ := set $settings "spool" (merge (dict "dir" "/var/lib/ocpp-persister/spool") (get $settings "spool" | default dict)) }}
{{- $_ := set $settings "http" (merge (dict "listen" "0.0.0.0:9464") (get $settings "http" | default dict)) }}
{{- range $section, $values := $settings }}
[{{ $section }}]
{{- range $name, $value := $values }}
{{ $name }} = {{ if kindIs "float64" $value }}{{ int64 $value }}{{ else }}{{ $value }}{{ end }}
{{- end }}
{{ end }}
{{- end }}

{{- define "persister.pod" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "persister.container" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}
