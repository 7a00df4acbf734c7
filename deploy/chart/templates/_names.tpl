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

{{- /* Quantities as texts: a number, too, arrives as it was written. */ -}}
{{- define "sumserve.resources" -}}
{{- $texts := dict -}}
{{- range $kind, $own := . -}}
{{- $quantities := dict -}}
{{- range $name, $value := $own -}}
{{- $_ := set $quantities $name (include "sumserve.text" $value) -}}
{{- end -}}
{{- $_ := set $texts $kind $quantities -}}
{{- end -}}
{{- toYaml $texts -}}
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
{{- $monitor := .Values.serviceMonitor -}}
{{- if and (ne .Values.autoscaling.kind "none") (not $monitor.enabled) -}}
{{- fail "autoscaling.kind is set without serviceMonitor.enabled: Prometheus would know nothing to count replicas by" -}}
{{- end -}}
{{- if and $monitor.enabled .Values.keysSecret (not $monitor.keySecret) -}}
{{- fail "keysSecret and serviceMonitor.enabled are set without serviceMonitor.keySecret: Prometheus would be answered 401" -}}
{{- end -}}
{{- if and $own.otel_endpoint .Values.networkPolicy.enabled (not .Values.networkPolicy.egress) -}}
{{- fail "settings.otel_endpoint is set while networkPolicy.egress lets nothing out: no trace would arrive" -}}
{{- end -}}
{{- end }}
