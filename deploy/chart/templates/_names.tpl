{{- define "sumserve.name" -}}
{{- if contains "sumserve" .Release.Name }}{{ .Release.Name }}{{ else }}{{ .Release.Name }}-sumserve{{ end -}}
{{- end }}

{{- define "sumserve.selector" -}}
app.kubernetes.io/name: sumserve
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "sumserve.labels" -}}
{{ include "sumserve.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "sumserve.image" -}}
{{- with .Values.image -}}
{{ .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end -}}
{{- end }}
