{{/* The dashboard, under a title and a uid of the release's own: Grafana takes no second one of the same. What it is about is
     known here, so no series has to tell: without exporter, Flower and RabbitMQ of its own a release has none. */}}
{{- define "stalk.dashboard" -}}
{{- $whose := printf "%s/%s" .Release.Namespace .Release.Name -}}
{{- $own := dict "title" (printf "Stalk: %s" $whose) "uid" (printf "stalk-%s" (sha256sum $whose | trunc 16)) -}}
{{- $dashboard := merge $own (.Files.Get "dashboards/stalk.json" | fromJson) -}}
{{- $known := dict "namespace" (list .Release.Namespace) "release" (list .Release.Name) "queue" (include "stalk.queues" . | fromJson).items -}}
{{- range $variable := $dashboard.templating.list -}}
{{- with get $known $variable.name -}}
{{- range list "datasource" "definition" "refresh" "sort" }}{{ $_ := unset $variable . }}{{ end -}}
{{- $_ := set $variable "type" "custom" -}}
{{- $_ := set $variable "query" (join "," .) -}}
{{- if not $variable.multi }}{{ $_ := set $variable "current" (dict "text" (first .) "value" (first .)) }}{{ end -}}
{{- end -}}
{{- end -}}
{{- toPrettyJson $dashboard -}}
{{- end -}}
