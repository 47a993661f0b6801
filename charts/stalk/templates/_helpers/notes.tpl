{{/* One line of the table of pools: what the autoscaler of a pool will do. */}}
{{- define "stalk.notes.pool" -}}
{{- $v := .values -}}
{{- $a := $v.autoscaling -}}
{{- $min := toString (int $a.min) -}}
{{- $max := toString (int $a.max) -}}
{{- $target := printf "%s tasks a pod" (include "stalk.target" .) -}}
{{- if eq $a.mode "hpa" -}}
{{- $min = include "stalk.hpaMin" . -}}
{{- $target = printf "%d %% CPU" (int $a.cpuUtilization) -}}
{{- else if eq $a.mode "none" -}}
{{- $min = toString (int $a.replicas) -}}
{{- $max = $min -}}
{{- $target = "-" -}}
{{- end -}}
{{- printf "  %-20s %-6s %5s %5s   %-16s %s" .pool $a.mode $min $max $target (join "," $v.queues) -}}
{{- end -}}

{{/* What is not for production, one sentence each. */}}
{{- define "stalk.notes.warnings" -}}
{{- if .Values.rabbitmq.enabled }}
- RabbitMQ is the bundled single node: fine to start with; for production run your own and set rabbitmq.enabled=false.
{{- if not .Values.rabbitmq.persistence.enabled }}
- RabbitMQ has no volume (rabbitmq.persistence.enabled=false): a restart loses every queued task.
{{- end }}
{{- end }}
{{- if .Values.redis.enabled }}
- Redis is the bundled single node: fine to start with; for production run your own and set redis.enabled=false.
{{- if not .Values.redis.persistence.enabled }}
- Redis has no volume (redis.persistence.enabled=false): a restart loses every result.
{{- end }}
{{- end }}
{{- with include "stalk.externalData" . | fromJson }}
- Passwords are in the values ({{ keys . | sortAlpha | join ", " }}): put them into a Secret of yours and name it in existingSecret.
{{- end }}
{{- if not .Values.topology.enabled }}
- topology.enabled=false: KEDA fails, and delayed tasks are lost, until a worker has declared its queue.
{{- end }}
{{- if not .Values.networkPolicy.enabled }}
- networkPolicy.enabled=false: every pod of the cluster reaches the broker and Redis.
{{- end }}
{{- include "stalk.notes.pools" . }}
{{- include "stalk.notes.exposed" . }}
{{- end -}}

{{- define "stalk.notes.pools" -}}
{{- range $name, $p := include "stalk.pools" . | fromJson }}
{{- $a := $p.values.autoscaling }}
{{- $asked := index $.Values.workers $name | dig "autoscaling" "mode" $.Values.workerDefaults.autoscaling.mode }}
{{- if and (eq $a.mode "hpa") (eq $asked "auto") }}
- Pool {{ $name }} is scaled by CPU, from 1: this cluster has no KEDA. Install it, then run helm upgrade.
{{- end }}
{{- if and (eq $a.mode "keda") $a.paused }}
- Pool {{ $name }} is paused (autoscaling.paused=true): KEDA leaves its replicas alone.
{{- end }}
{{- if and (eq $a.mode "keda") (not $a.fallback.enabled) }}
- Pool {{ $name }} has no fallback: while the broker cannot be read, its replicas stay as they are.
{{- end }}
{{- end }}
{{- end -}}

{{- define "stalk.notes.exposed" -}}
{{- range $name := list "api" "flower" }}
{{- $c := index $.Values $name }}
{{- if and $c.enabled $c.ingress.enabled (not $c.ingress.tls) }}
- The Ingress of {{ $name }} has no TLS ({{ $name }}.ingress.tls): passwords and tasks cross the network in the clear.
{{- end }}
{{- if and $c.enabled (eq $c.service.type "LoadBalancer") (not $c.service.loadBalancerSourceRanges) }}
- The load balancer of {{ $name }} is open to everybody ({{ $name }}.service.loadBalancerSourceRanges).
{{- end }}
{{- end }}
{{- end -}}
