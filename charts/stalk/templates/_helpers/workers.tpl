{{/* The words of `celery worker` for a pool (list $ pool), as a JSON list {items}. */}}
{{- define "stalk.workerArgs" -}}
{{- $root := index . 0 -}}
{{- $p := index . 1 -}}
{{- $v := $p.values -}}
{{- toJson (dict "items" (concat (list
      "celery" "-A" ($v.app | default $root.Values.celery.app) "worker"
      "-Q" (join "," $v.queues) "-c" (toString (int $v.concurrency)) "-P" $v.pool "-n" (printf "%s@%%h" $p.pool)
      "--without-mingle" "--without-gossip" "-l" $root.Values.celery.logLevel) ($v.extraArgs | default list))) -}}
{{- end -}}

{{/* Seconds at the end of a worker's grace period in which it gives back what still runs, and says goodbye. */}}
{{- define "stalk.goodbye" -}}
10
{{- end -}}

{{/* A pool's grace period, unless it is set: from a pool's values. */}}
{{- define "stalk.gracePeriod" -}}
{{- if .interruptible -}}
{{- add .softShutdownSeconds (include "stalk.goodbye" .) -}}
{{- else -}}
{{- add .longestTaskSeconds 30 -}}
{{- end -}}
{{- end -}}

{{/* How long running tasks may take after SIGTERM before the worker gives them back. */}}
{{- define "stalk.shutdownSeconds" -}}
{{- $longest := sub (int .values.terminationGracePeriodSeconds) (int (include "stalk.goodbye" .)) -}}
{{- .values.interruptible | ternary (int .values.softShutdownSeconds) (int $longest) -}}
{{- end -}}

{{/* The app's environment with the workers' login. Returns JSON. */}}
{{- define "stalk.workerConnectionEnv" -}}
{{- $env := include "stalk.connectionEnv" . | fromJson -}}
{{- $login := include "stalk.workerLogin" . | fromJson -}}
{{- $_ := set $env "BROKER_USER" (include "stalk.envValue" $login.username | fromJson) -}}
{{- $_ := set $env "BROKER_PASSWORD" (include "stalk.envValue" $login.password | fromJson) -}}
{{- toJson $env -}}
{{- end -}}

{{/* A worker's environment (list $ pool): that, and its time to stop. Returns JSON. */}}
{{- define "stalk.workerEnv" -}}
{{- $env := include "stalk.workerConnectionEnv" (index . 0) | fromJson -}}
{{- toJson (merge (dict "SHUTDOWN_SECONDS" (include "stalk.shutdownSeconds" (index . 1))) $env) -}}
{{- end -}}

{{/* A pool's bounds under the CPU autoscaler, which cannot go below 1. */}}
{{- define "stalk.hpaMin" -}}
{{- max 1 (int .values.autoscaling.min) -}}
{{- end -}}

{{/* Messages (queued and running) that KEDA counts for one pod. */}}
{{- define "stalk.target" -}}
{{- mul (int .values.concurrency) (int .values.autoscaling.tasksPerSlot) -}}
{{- end -}}

{{/* Does a pool's container have a CPU request, by itself or from its limit? */}}
{{- define "stalk.hasCpuRequest" -}}
{{- $resources := .resources | default dict -}}
{{- if or ($resources.requests | default dict).cpu ($resources.limits | default dict).cpu }}yes{{ end -}}
{{- end -}}

{{/* A ScaledObject's triggers for a pool (list $ pool), as a JSON list {items}. */}}
{{- define "stalk.triggers" -}}
{{- $root := index . 0 -}}
{{- $p := index . 1 -}}
{{- $a := $p.values.autoscaling -}}
{{- $broker := include "stalk.broker" $root | fromJson -}}
{{- $auth := dict "name" (include "stalk.name" (list $root "scaler")) -}}
{{- $triggers := list -}}
{{- range $p.values.queues -}}
{{- $metadata := dict "protocol" "http" "mode" "QueueLength" "queueName" . "vhostName" $broker.vhost
      "value" (include "stalk.target" $p) -}}
{{- $triggers = append $triggers (dict "type" "rabbitmq" "metadata" $metadata "authenticationRef" $auth) -}}
{{- end -}}
{{- if $a.cpuTrigger -}}
{{- $metadata := dict "value" (toString (int $a.cpuUtilization)) "containerName" "worker" -}}
{{- $triggers = append $triggers (dict "type" "cpu" "metricType" "Utilization" "metadata" $metadata) -}}
{{- end -}}
{{- toJson (dict "items" (concat $triggers ($a.extraTriggers | default list))) -}}
{{- end -}}

{{/* A ScaledObject's annotations for a pool, as JSON. */}}
{{- define "stalk.scaledObjectAnnotations" -}}
{{- $a := .values.autoscaling -}}
{{- $annotations := deepCopy ($a.annotations | default dict) -}}
{{- if $a.paused }}{{ $_ := set $annotations "autoscaling.keda.sh/paused" "true" }}{{ end -}}
{{- with include "stalk.given" (list $a "pausedReplicas" "") -}}
{{- $_ := set $annotations "autoscaling.keda.sh/paused-replicas" . -}}
{{- end -}}
{{- toJson $annotations -}}
{{- end -}}

{{/* A CPU metric of one container (list "worker" 80): sidecars do not count. */}}
{{- define "stalk.cpuMetric" -}}
- type: ContainerResource
  containerResource:
    name: cpu
    container: {{ index . 0 }}
    target:
      type: Utilization
      averageUtilization: {{ int (index . 1) }}
{{- end -}}

{{/* Is any pool scaled by KEDA? */}}
{{- define "stalk.usesKeda" -}}
{{- range $pool := include "stalk.pools" . | fromJson -}}
{{- if eq $pool.values.autoscaling.mode "keda" }}yes{{ end -}}
{{- end -}}
{{- end -}}
