{{/* Is the doctor a part of `helm test`? Only with an account of its own: its rights are nothing for `default`. */}}
{{- define "stalk.hasDoctor" -}}
{{- if and .Values.test.doctor.enabled (include "stalk.podDefaults" . | fromJson).serviceAccount.create }}yes{{ end -}}
{{- end -}}

{{/* The words of the doctor in `helm test`, as a JSON list {items}. A warning is told, and is no failure. */}}
{{- define "stalk.doctorArgs" -}}
{{- $args := list "stalk" "doctor" "--in-cluster" "--release" .Release.Name "--fail-on" "error"
      "--wait" (toString (int .Values.test.doctor.waitSeconds)) -}}
{{- range (include "stalk.pooledQueues" . | fromJson).items }}{{ $args = append (append $args "--queue") . }}{{ end -}}
{{- if .Values.api.enabled -}}
{{- $api := include "stalk.component" (list . "api") | fromJson -}}
{{- $args = append (append $args "--url") (printf "http://%s:%d" $api.name (int $api.values.service.port)) -}}
{{- end -}}
{{- toJson (dict "items" $args) -}}
{{- end -}}

{{/* It sees the servers as the API does, and queue lengths as KEDA does. Returns JSON. */}}
{{- define "stalk.doctorEnv" -}}
{{- $management := include "stalk.managementEnv" . | fromJson -}}
{{- toJson (merge $management (include "stalk.connectionEnv" . | fromJson)) -}}
{{- end -}}
