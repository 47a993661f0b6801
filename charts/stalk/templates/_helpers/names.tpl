{{/* Cuts a name to a length (list "name" 63); what is cut is told apart by a hash of the whole. */}}
{{- define "stalk.cut" -}}
{{- $name := index . 0 -}}
{{- $length := int (index . 1) -}}
{{- if le (len $name) $length -}}
{{- $name -}}
{{- else -}}
{{- printf "%s-%s" ($name | trunc (sub $length 9 | int) | trimSuffix "-") (sha256sum $name | trunc 8) -}}
{{- end -}}
{{- end -}}

{{- define "stalk.chartName" -}}
{{- include "stalk.cut" (list (default .Chart.Name .Values.nameOverride) 63) -}}
{{- end -}}

{{- define "stalk.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if .Values.fullnameOverride -}}
{{- include "stalk.cut" (list .Values.fullnameOverride 63) -}}
{{- else if contains $name .Release.Name -}}
{{- include "stalk.cut" (list .Release.Name 63) -}}
{{- else -}}
{{- include "stalk.cut" (list (printf "%s-%s" .Release.Name $name) 63) -}}
{{- end -}}
{{- end -}}

{{/* The name of a component's objects (list $ "api"). 52 fits a StatefulSet's pods and a ScaledObject's `keda-hpa-` HPA. */}}
{{- define "stalk.name" -}}
{{- include "stalk.cut" (list (printf "%s-%s" (include "stalk.fullname" (index . 0)) (index . 1)) 52) -}}
{{- end -}}
