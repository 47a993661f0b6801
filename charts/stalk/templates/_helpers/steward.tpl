{{/* Is there a steward? Only where a pool may have two pods is there one to choose. */}}
{{- define "stalk.hasSteward" -}}
{{- $most := 0 -}}
{{- range $pool := include "stalk.pools" . | fromJson -}}
{{- $a := $pool.values.autoscaling -}}
{{- $most = max $most (int (ternary $a.replicas $a.max (eq $a.mode "none"))) -}}
{{- end -}}
{{- if and .Values.steward.enabled (gt $most 1) }}yes{{ end -}}
{{- end -}}

{{/* The steward as a component: it runs the toolkit's image. Returns JSON. */}}
{{- define "stalk.steward" -}}
{{- $c := include "stalk.component" (list . "steward") | fromJson -}}
{{- $_ := set $c.values "image" .Values.toolkit.image -}}
{{- toJson $c -}}
{{- end -}}

{{/* The words of the steward, as a JSON list {items}: the pods of every pool, as a label selector. */}}
{{- define "stalk.stewardArgs" -}}
{{- $labels := include "stalk.selectorLabels" (list . (dict "component" "worker")) | fromYaml -}}
{{- $pairs := list -}}
{{- range $label, $value := $labels }}{{ $pairs = append $pairs (printf "%s=%s" $label $value) }}{{ end -}}
{{- toJson (dict "items" (list "stalk" "steward" "--selector" (join "," $pairs))) -}}
{{- end -}}

{{/* Of the workers' environment what the steward needs: the broker, and how to log. Returns JSON. */}}
{{- define "stalk.stewardEnv" -}}
{{- $env := dict -}}
{{- range $name, $value := include "stalk.workerConnectionEnv" . | fromJson -}}
{{- if or (hasPrefix "BROKER_" $name) (hasPrefix "LOG_" $name) }}{{ $_ := set $env $name $value }}{{ end -}}
{{- end -}}
{{- toJson $env -}}
{{- end -}}
