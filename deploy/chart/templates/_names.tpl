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

{{- /* A number as Go writes it would be 5e+06, which is no integer to the server. */ -}}
{{- define "sumserve.text" -}}
{{- if kindIs "string" . }}{{ . }}{{ else }}{{ toJson . }}{{ end -}}
{{- end }}

{{- /* preStop, then what the server may take after SIGTERM (30 s for its last step), and 5 to spare. */ -}}
{{- define "sumserve.leave" -}}
{{- addf .Values.preStopSeconds .Values.settings.grace_seconds .Values.settings.drain_seconds 35 | ceil | int -}}
{{- end }}

{{- /* What no schema can say: values that contradict each other. */ -}}
{{- define "sumserve.check" -}}
{{- $own := .Values.settings -}}
{{- if gt (float64 ($own.timeout_seconds | default 60)) (addf $own.grace_seconds $own.drain_seconds) -}}
{{- fail "settings.timeout_seconds is more than settings.grace_seconds + settings.drain_seconds: requests that a pod has accepted would not be answered when it goes" -}}
{{- end -}}
{{- if and .Values.models.existingClaim .Values.models.init.image -}}
{{- fail "models.existingClaim and models.init.image are both set; bundles come from one of them" -}}
{{- end -}}
{{- if gt .Values.autoscaling.minReplicas .Values.autoscaling.maxReplicas -}}
{{- fail "autoscaling.minReplicas is more than autoscaling.maxReplicas" -}}
{{- end -}}
{{- end }}
