{{/* The dashboard, under a title and a uid of the release's own: Grafana takes no second one of the same. */}}
{{- define "stalk.dashboard" -}}
{{- $whose := printf "%s/%s" .Release.Namespace .Release.Name -}}
{{- $own := dict "title" (printf "Stalk: %s" $whose) "uid" (printf "stalk-%s" (sha256sum $whose | trunc 16)) -}}
{{- merge $own (.Files.Get "dashboards/stalk.json" | fromJson) | toPrettyJson -}}
{{- end -}}
