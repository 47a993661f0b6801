{{/* Merges maps (list base over): key by key, lists and scalars replaced, null removes. Returns JSON. With an empty base it
     is a copy without nulls. */}}
{{- define "stalk.merge" -}}
{{- $out := deepCopy (index . 0) -}}
{{- range $key, $value := index . 1 -}}
{{- if kindIs "invalid" $value -}}
{{- $_ := unset $out $key -}}
{{- else if kindIs "map" $value -}}
{{- $base := ternary (get $out $key) dict (kindIs "map" (get $out $key)) -}}
{{- $_ := set $out $key (include "stalk.merge" (list $base $value) | fromJson) -}}
{{- else -}}
{{- $_ := set $out $key $value -}}
{{- end -}}
{{- end -}}
{{- toJson $out -}}
{{- end -}}

{{/* A component (list $ "api"): {name, component, values}, its values over podDefaults; made once a render, as many ask.
     Returns JSON. */}}
{{- define "stalk.component" -}}
{{- $root := index . 0 -}}
{{- $component := index . 1 -}}
{{- $memo := printf "stalk.component.%s" $component -}}
{{- if not (hasKey $root.Values $memo) -}}
{{- $own := index $root.Values $component | default dict -}}
{{- $values := include "stalk.merge" (list (include "stalk.podDefaults" $root | fromJson) $own) | fromJson -}}
{{- include "stalk.need" (list $component $values "serviceAccount" "pdb" "networkPolicy") -}}
{{- $_ := set $root.Values $memo (toJson (dict "name" (include "stalk.name" (list $root $component)) "component" $component "values" $values)) -}}
{{- end -}}
{{- get $root.Values $memo -}}
{{- end -}}

{{/* A component that runs the app's image: the app's image and environment lie under its own. Returns JSON. */}}
{{- define "stalk.appComponent" -}}
{{- $root := index . 0 -}}
{{- $c := include "stalk.component" . | fromJson -}}
{{- $_ := set $c "values" (include "stalk.withApp" (list $root $c.values) | fromJson) -}}
{{- toJson $c -}}
{{- end -}}

{{- define "stalk.podDefaults" -}}
{{- if not (hasKey .Values "stalk.podDefaults") -}}
{{- $_ := set .Values "stalk.podDefaults" (include "stalk.merge" (list dict .Values.podDefaults)) -}}
{{- end -}}
{{- get .Values "stalk.podDefaults" -}}
{{- end -}}

{{/* Fails when a merged map lacks a key (list path map "key" …): null removes it, and nothing can be in its place. */}}
{{- define "stalk.need" -}}
{{- $path := index . 0 -}}
{{- $map := index . 1 -}}
{{- range $key := slice . 2 -}}
{{- if not (hasKey $map $key) -}}
{{- fail (printf "%s.%s: is null, here or in the defaults, and cannot do without a value. Take the null out." $path $key) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "stalk.withApp" -}}
{{- $root := index . 0 -}}
{{- $app := dict "image" $root.Values.image "extraEnv" $root.Values.extraEnv "extraEnvFrom" $root.Values.extraEnvFrom -}}
{{- include "stalk.merge" (list $app (index . 1)) -}}
{{- end -}}

{{/* A component that runs the toolkit's image, named for its job (list $ "credentials"). Returns JSON. */}}
{{- define "stalk.toolkitComponent" -}}
{{- $root := index . 0 -}}
{{- $values := include "stalk.merge" (list (include "stalk.podDefaults" $root | fromJson) $root.Values.toolkit) | fromJson -}}
{{- $name := include "stalk.name" (list $root (index . 1)) -}}
{{- toJson (dict "name" $name "component" (index . 1) "values" $values) -}}
{{- end -}}

{{/* The one place where a pool becomes whole (list $ "default"): podDefaults, the app, workerDefaults, the pool, and
     what follows from it. Returns JSON {name, component, pool, values}. */}}
{{- define "stalk.pool" -}}
{{- $root := index . 0 -}}
{{- $pool := index . 1 -}}
{{- $values := include "stalk.withApp" (list $root (include "stalk.podDefaults" $root | fromJson)) | fromJson -}}
{{- $values = include "stalk.merge" (list $values $root.Values.workerDefaults) | fromJson -}}
{{- $values = include "stalk.merge" (list $values (index $root.Values.workers $pool)) | fromJson -}}
{{- $at := printf "workers.%s" $pool -}}
{{- include "stalk.need" (list $at $values "enabled" "queues" "concurrency" "pool" "longestTaskSeconds" "interruptible"
      "softShutdownSeconds" "strategy" "image"
      "serviceAccount" "pdb" "networkPolicy" "autoscaling") -}}
{{- include "stalk.need" (list (printf "%s.autoscaling" $at) $values.autoscaling "mode" "min" "max" "replicas"
      "tasksPerSlot" "cpuUtilization" "pollingInterval" "initialCooldownPeriod" "fallback") -}}
{{- if $values.autoscaling.fallback.enabled -}}
{{- include "stalk.need" (list (printf "%s.autoscaling.fallback" $at) $values.autoscaling.fallback "failureThreshold" "replicas") -}}
{{- end -}}
{{- $grace := include "stalk.given" (list $values "terminationGracePeriodSeconds" (include "stalk.gracePeriod" $values)) -}}
{{- $_ := set $values "terminationGracePeriodSeconds" (int $grace) -}}
{{- $cooldown := max (add (int $grace) 30) (add (int $values.longestTaskSeconds) 60) -}}
{{- $cooldown = include "stalk.given" (list $values.autoscaling "cooldownPeriod" $cooldown) -}}
{{- $_ := set $values.autoscaling "cooldownPeriod" (int $cooldown) -}}
{{- $_ := set $values.autoscaling "mode" (include "stalk.mode" (list $root $values.autoscaling.mode)) -}}
{{- $name := include "stalk.name" (list $root (printf "worker-%s" $pool)) -}}
{{- toJson (dict "name" $name "component" "worker" "pool" $pool "values" $values) -}}
{{- end -}}

{{/* The value of a key (list map "key" otherwise) unless it is missing or null; 0 is a value. */}}
{{- define "stalk.given" -}}
{{- $value := get (index . 0) (index . 1) -}}
{{- if or (not (hasKey (index . 0) (index . 1))) (kindIs "invalid" $value) -}}
{{- index . 2 -}}
{{- else if kindIs "float64" $value -}}
{{- int64 $value -}}
{{- else -}}
{{- $value -}}
{{- end -}}
{{- end -}}

{{/* Every pool that is on, by name, made whole: once a render, as many ask. Returns JSON. */}}
{{- define "stalk.pools" -}}
{{- if not (hasKey .Values "stalk.pools") -}}
{{- $pools := dict -}}
{{- range $name, $pool := .Values.workers -}}
{{- if not (kindIs "invalid" $pool) -}}
{{- $whole := include "stalk.pool" (list $ $name) | fromJson -}}
{{- if $whole.values.enabled -}}
{{- $_ := set $pools $name $whole -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $_ := set .Values "stalk.pools" (toJson $pools) -}}
{{- end -}}
{{- get .Values "stalk.pools" -}}
{{- end -}}

{{/* keda, hpa or none, with auto resolved (list $ "auto"). */}}
{{- define "stalk.mode" -}}
{{- if ne (index . 1) "auto" -}}
{{- index . 1 -}}
{{- else if (index . 0).Capabilities.APIVersions.Has "keda.sh/v1alpha1/ScaledObject" -}}
keda
{{- else -}}
hpa
{{- end -}}
{{- end -}}
