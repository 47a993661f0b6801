{{/* TLS of the bundled servers. Their files are in /tls. */}}

{{/* A bundled server's `tls` as clients see it: {enabled, caSecret, caKey}. Returns JSON. */}}
{{- define "stalk.bundledTls" -}}
{{- toJson (dict "enabled" .enabled "caSecret" .existingSecret "caKey" .caKey) -}}
{{- end -}}

{{- define "stalk.rabbitmqPorts" -}}
{{- ternary (dict "amqp" 5671 "management" 15671) (dict "amqp" 5672 "management" 15672) .Values.rabbitmq.tls.enabled | toJson -}}
{{- end -}}

{{/* The names that a bundled server's certificate has to have (list $ "rabbitmq"). Returns JSON {items}. */}}
{{- define "stalk.tlsNames" -}}
{{- $name := include "stalk.name" . -}}
{{- $namespace := (index . 0).Release.Namespace -}}
{{- toJson (dict "items" (list $name (printf "%s.%s.svc" $name $namespace))) -}}
{{- end -}}

{{/* A bundled server's files (`tls` of its values): mount and volume, none without TLS. Return JSON {items}. */}}
{{- define "stalk.tlsMounts" -}}
{{- $mounts := list -}}
{{- if .enabled }}{{ $mounts = list (dict "name" "tls" "mountPath" "/tls" "readOnly" true) }}{{ end -}}
{{- toJson (dict "items" $mounts) -}}
{{- end -}}

{{- define "stalk.tlsVolumes" -}}
{{- $volumes := list -}}
{{- if .enabled -}}
{{- $items := list -}}
{{- range $file, $key := dict "tls.crt" .certKey "tls.key" .keyKey "ca.crt" .caKey -}}
{{- $items = append $items (dict "key" $key "path" $file) -}}
{{- end -}}
{{- $volumes = list (dict "name" "tls" "secret" (dict "secretName" .existingSecret "defaultMode" 0440 "items" $items)) -}}
{{- end -}}
{{- toJson (dict "items" $volumes) -}}
{{- end -}}
