{{/* The pools that may have two pods: only there is one to choose. Returns a JSON list {items}. */}}
{{- define "stalk.stewardPools" -}}
{{- $pools := list -}}
{{- range $pool := include "stalk.pools" . | fromJson -}}
{{- $a := $pool.values.autoscaling -}}
{{- if gt (int (ternary $a.replicas $a.max (eq $a.mode "none"))) 1 }}{{ $pools = append $pools $pool.pool }}{{ end -}}
{{- end -}}
{{- toJson (dict "items" $pools) -}}
{{- end -}}

{{/* Is there a steward? */}}
{{- define "stalk.hasSteward" -}}
{{- if and .Values.steward.enabled (include "stalk.stewardPools" . | fromJson).items }}yes{{ end -}}
{{- end -}}

{{/* The steward as a component: it runs the toolkit's image. Returns JSON. */}}
{{- define "stalk.steward" -}}
{{- $c := include "stalk.component" (list . "steward") | fromJson -}}
{{- $_ := set $c.values "image" .Values.toolkit.image -}}
{{- toJson $c -}}
{{- end -}}

{{/* The words of the steward, as a JSON list {items}: the pods of those pools, as a label selector. */}}
{{- define "stalk.stewardArgs" -}}
{{- $labels := include "stalk.selectorLabels" (list . (dict "component" "worker")) | fromYaml -}}
{{- $pairs := list -}}
{{- range $label, $value := $labels }}{{ $pairs = append $pairs (printf "%s=%s" $label $value) }}{{ end -}}
{{- $pairs = append $pairs (printf "stalk/pool in (%s)" (join "," (include "stalk.stewardPools" . | fromJson).items)) -}}
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
