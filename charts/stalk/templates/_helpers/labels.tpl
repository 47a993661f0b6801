{{/* All take (list $ component). */}}
{{- define "stalk.selectorLabels" -}}
{{- $root := index . 0 -}}
{{- $c := index . 1 -}}
app.kubernetes.io/name: {{ include "stalk.chartName" $root | quote }}
app.kubernetes.io/instance: {{ $root.Release.Name | quote }}
app.kubernetes.io/component: {{ $c.component }}
{{- with $c.pool }}
stalk/pool: {{ . | quote }}
{{- end }}
{{- end -}}

{{- define "stalk.labels" -}}
{{- $root := index . 0 -}}
{{ include "stalk.selectorLabels" . }}
app.kubernetes.io/part-of: stalk
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | trunc 63 | quote }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" | trunc 63 }}
{{- with include "stalk.merge" (list dict $root.Values.commonLabels) | fromJson }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* metadata's lines of an object; a third item is another name. */}}
{{- define "stalk.metadata" -}}
{{- $c := index . 1 -}}
name: {{ gt (len .) 2 | ternary (last .) $c.name | quote }}
namespace: {{ (index . 0).Release.Namespace | quote }}
labels: {{- include "stalk.labels" (list (index . 0) $c) | nindent 2 }}
{{- end -}}

{{/* A pod template's labels: nothing in them changes with the chart's version, or every upgrade would restart pods. */}}
{{- define "stalk.podLabels" -}}
{{- $root := index . 0 -}}
{{- $c := index . 1 -}}
{{ include "stalk.selectorLabels" . }}
app.kubernetes.io/part-of: stalk
{{- $common := include "stalk.merge" (list dict $root.Values.commonLabels) | fromJson }}
{{- with include "stalk.merge" (list $common ($c.values.podLabels | default dict)) | fromJson }}
{{ toYaml . }}
{{- end }}
{{- end -}}
