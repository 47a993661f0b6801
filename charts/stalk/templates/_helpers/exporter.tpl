{{/* Is there an exporter? */}}
{{- define "stalk.hasExporter" -}}
{{- if and .Values.metrics.enabled .Values.metrics.exporter.enabled }}yes{{ end -}}
{{- end -}}

{{/* The words of the exporter, as a JSON list {items}. */}}
{{- define "stalk.exporterArgs" -}}
{{- $args := list "stalk" "exporter" "--port" (toString (int .Values.metrics.exporter.port)) -}}
{{- range (include "stalk.queues" . | fromJson).items }}{{ $args = append (append $args "--queue") . }}{{ end -}}
{{- toJson (dict "items" $args) -}}
{{- end -}}

{{/* It may not look at broker and Redis when it is probed: what is wrong with them no restart mends. Returns JSON. */}}
{{- define "stalk.exporterProbes" -}}
{{- $port := dict "port" "metrics" -}}
{{- toJson (dict "values" (dict "probes" (dict
      "startup" (dict "tcpSocket" $port "periodSeconds" 2 "failureThreshold" 60)
      "liveness" (dict "tcpSocket" $port "periodSeconds" 20 "timeoutSeconds" 5 "failureThreshold" 5)
      "readiness" (dict "tcpSocket" $port "periodSeconds" 10 "timeoutSeconds" 5)))) -}}
{{- end -}}
