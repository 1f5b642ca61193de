{{- define "palisade.name" -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{- define "palisade.selector" -}}
app.kubernetes.io/name: palisade
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "palisade.labels" -}}
{{ include "palisade.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{/* palisade.toml: what the values say, and what the chart itself stands on. */}}
{{- define "palisade.toml" -}}
{{- $config := deepCopy .Values.config -}}
{{- $keys := dict "credential" "palisade.key" -}}
{{- $operators := dict "listen" (list (ternary "0.0.0.0:9464" "127.0.0.1:9464" .Values.metrics.enabled)) "drain_notice_s" (int .Values.drain.noticeSeconds) -}}
{{- $gateway := merge (dict "drain_spread_s" (int .Values.drain.spreadSeconds)) (default (dict) $config.gateway) -}}
{{- $log := merge (default (dict) $config.log) (dict "format" "json") -}}
{{- $_ := set $config "keys" $keys -}}
{{- $_ := set $config "operators" $operators -}}
{{- $_ := set $config "gateway" $gateway -}}
{{- $_ := set $config "log" $log -}}
{{- include "palisade.table" (dict "table" $config "path" (list)) -}}
{{- end -}}

{{/* A table of TOML and those within it. Not toToml: to that each number of a values file has a decimal point. */}}
{{- define "palisade.table" -}}
{{- $path := .path -}}
{{- if $path }}
[{{ join "." $path }}]
{{ end -}}
{{- range $key, $value := .table -}}
{{- if not (kindIs "map" $value) -}}
{{ $key }} = {{ include "palisade.value" $value }}
{{ end -}}
{{- end -}}
{{- range $key, $value := .table -}}
{{- if kindIs "map" $value -}}
{{ include "palisade.table" (dict "table" $value "path" (append $path $key)) }}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "palisade.value" -}}
{{- if kindIs "slice" . -}}
[{{ range $at, $one := . }}{{ if $at }}, {{ end }}{{ include "palisade.value" $one }}{{ end }}]
{{- else if kindIs "float64" . -}}
{{- if eq . (floor .) }}{{ int64 . }}{{ else }}{{ . }}{{ end -}}
{{- else -}}
{{ toJson . }}
{{- end -}}
{{- end -}}
