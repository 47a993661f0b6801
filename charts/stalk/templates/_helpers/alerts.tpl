{{/* Alerts. Each is told for this release alone: its monitors put namespace and stalk_release on all that they read. None
     takes workers at zero for a fault. docs/runbooks has a page for each; tests/chart/test_alerts.py lets each one fire. */}}

{{/* The alerts that are wanted, whole: with the release's labels and the page of each. Returns JSON {items}. */}}
{{- define "stalk.alerts" -}}
{{- $rules := .Values.metrics.rules -}}
{{- $found := list -}}
{{- range $part := list "queues" "pools" "service" "tasks" "rabbitmq" "volumes" "targets" -}}
{{- range $alert := (include (printf "stalk.alerts.%s" $part) $ | fromYaml).alerts -}}
{{- if not (has $alert.alert $rules.disabled) -}}
{{- $page := printf "%s/%s.md" (trimSuffix "/" $rules.runbookUrl) $alert.alert -}}
{{- $_ := set $alert "annotations" (merge (dict "runbook_url" $page) $alert.annotations) -}}
{{- $own := dict "namespace" $.Release.Namespace "stalk_release" $.Release.Name -}}
{{- $_ := set $alert "labels" (merge $own $alert.labels (include "stalk.merge" (list dict $rules.labels) | fromJson)) -}}
{{- $found = append $found $alert -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toJson (dict "items" $found) -}}
{{- end -}}

{{/* The labels of all that this release's monitors read. */}}
{{- define "stalk.matchers" -}}
namespace={{ .Release.Namespace | quote }},stalk_release={{ .Release.Name | quote }}
{{- end -}}

{{/* A PromQL matcher for any of some values (list "queue" values "suffix"): each taken as it is, not as a pattern. */}}
{{- define "stalk.anyOf" -}}
{{- $patterns := list -}}
{{- range index . 1 }}{{ $patterns = append $patterns (regexQuoteMeta (printf "%s%s" . (index $ 2))) }}{{ end -}}
{{- index . 0 }}=~{{ join "|" $patterns | quote }}
{{- end -}}

{{/* RabbitMQ's own number of some queues (list $ "messages_ready" queues), or of their dead-letter queues with a fourth item.
     An own broker may be read with or without /metrics/detailed: its names differ by one word. */}}
{{- define "stalk.queueMetric" -}}
{{- $root := index . 0 -}}
{{- $queues := include "stalk.anyOf" (list "queue" (index . 2) (gt (len .) 3 | ternary ".dead-letters" "")) -}}
{{- if $root.Values.rabbitmq.enabled -}}
rabbitmq_detailed_queue_{{ index . 1 }}{ {{- include "stalk.matchers" $root }},{{ $queues -}} }
{{- else -}}
{__name__=~"rabbitmq(_detailed)?_queue_{{ index . 1 }}",vhost={{ $root.Values.externalRabbitmq.vhost | quote }}
{{- include "stalk.externalMatchers" $root }},{{ $queues -}} }
{{- end -}}
{{- end -}}

{{- define "stalk.externalMatchers" -}}
{{- range $label, $value := .Values.externalRabbitmq.metricsLabels }}{{ if $value }},{{ $label }}={{ $value | quote }}{{ end }}{{ end -}}
{{- end -}}

{{/* The queues that a pool works on, sorted. Returns JSON {items}. */}}
{{- define "stalk.pooledQueues" -}}
{{- $queues := list -}}
{{- range $pool := include "stalk.pools" . | fromJson }}{{ $queues = concat $queues $pool.values.queues }}{{ end -}}
{{- toJson (dict "items" (uniq $queues | sortAlpha)) -}}
{{- end -}}

{{- define "stalk.alerts.queues" -}}
{{- $rules := .Values.metrics.rules -}}
{{- $pooled := (include "stalk.pooledQueues" . | fromJson).items -}}
{{- $all := (include "stalk.queues" . | fromJson).items -}}
alerts:
{{- if $pooled }}
  - alert: StalkQueueWithoutWorkers
    # For as long as a node and a pod may take to come: until then no worker is what zero looks like.
    expr: |-
      max by (queue) ({{ include "stalk.queueMetric" (list . "messages_ready" $pooled) }}) > 0
        and max by (queue) ({{ include "stalk.queueMetric" (list . "consumers" $pooled) }}) == 0
    for: {{ int $rules.workersStartSeconds }}s
    labels: {severity: critical}
    annotations:
      summary: Tasks wait in {{`{{ $labels.queue }}`}}, and no worker takes them.
      description: "{{`{{ $value }}`}} tasks are ready, and no worker has come within {{ int $rules.workersStartSeconds }} s."
{{- end }}
{{- if $all }}
  - alert: StalkDeadLetters
    expr: |-
      max by (queue) ({{ include "stalk.queueMetric" (list . "messages" $all "dead") }}) > 0
    for: 1m
    labels: {severity: warning}
    annotations:
      summary: RabbitMQ gave up on tasks; they are in {{`{{ $labels.queue }}`}}.
      description: "{{`{{ $value }}`}} tasks were delivered {{ int .Values.celery.deliveryLimit }} times, or could not be read."
{{- end }}
{{- if and $all (include "stalk.hasExporter" .) }}
  - alert: StalkWaitTooLong
    expr: |-
      histogram_quantile(0.95, sum by (queue, le) (rate(stalk_task_wait_seconds_bucket{
      {{- include "stalk.matchers" . }},{{ include "stalk.anyOf" (list "queue" $all "") -}} }[10m]))) > {{ int $rules.waitSeconds }}
    for: 10m
    labels: {severity: warning}
    annotations:
      summary: Tasks in {{`{{ $labels.queue }}`}} wait long for a worker.
      description: One in twenty waited {{`{{ $value | humanizeDuration }}`}} or longer; {{ int $rules.waitSeconds }} s are allowed.
{{- end }}
{{- end -}}

{{/* The most pods that a pool may have. */}}
{{- define "stalk.mostPods" -}}
{{- $a := .values.autoscaling -}}
{{- int (ternary $a.replicas $a.max (eq $a.mode "none")) -}}
{{- end -}}

{{/* PromQL: a queue of a pool (list $ pool) has all the consumers that it can have, so the pool has all of its pods. A queue
     may be in several pools, and RabbitMQ counts their workers together: then all of them are at their limits. */}}
{{- define "stalk.atLimit" -}}
{{- $root := index . 0 -}}
{{- $pools := include "stalk.pools" $root | fromJson -}}
{{- $queues := dict -}}
{{- range $queue := (index . 1).values.queues -}}
{{- $most := 0 -}}
{{- range $pool := $pools -}}
{{- if has $queue $pool.values.queues }}{{ $most = add $most (include "stalk.mostPods" $pool) }}{{ end -}}
{{- end -}}
{{- $limit := toString $most -}}
{{- $_ := set $queues $limit (append (get $queues $limit | default list) $queue) -}}
{{- end -}}
{{- $found := list -}}
{{- range $limit, $names := $queues -}}
{{- $found = append $found (printf "max(%s) >= %s" (include "stalk.queueMetric" (list $root "consumers" $names)) $limit) -}}
{{- end -}}
{{- join " or " $found -}}
{{- end -}}

{{- define "stalk.alerts.pools" -}}
{{- $scaled := list -}}
alerts:
{{- range $name, $p := include "stalk.pools" . | fromJson }}
{{- $a := $p.values.autoscaling }}
{{- if eq $a.mode "keda" }}{{ $scaled = append $scaled $p.name }}{{ end }}
{{- $most := include "stalk.mostPods" $p }}
{{- if int $most }}
{{- $ready := include "stalk.queueMetric" (list $ "messages_ready" $p.values.queues) }}
  - alert: StalkBacklogGrowing
    # A worker is one consumer of each of its queues, so this needs no other source to know that the pool is at its limit.
    expr: |-
      sum(max by (queue) ({{ $ready }})) > 0
        and sum(delta({{ $ready }}[15m])) > 0
        and ({{ include "stalk.atLimit" (list $ $p) }})
    for: 15m
    labels: {severity: warning, pool: {{ $name | quote }}}
    annotations:
      summary: Pool {{ $name }} is at its limit of {{ $most }} workers, and its backlog grows.
      description: "{{`{{ $value }}`}} tasks wait, more than a quarter of an hour ago."
{{- end }}
{{- end }}
{{- if $scaled }}
{{- $objects := include "stalk.anyOf" (list "scaledObject" $scaled "") }}
  - alert: StalkScalerFailing
    # The operator's own label `namespace` becomes exported_namespace, unless its monitor honours labels.
    expr: |-
      sum by (scaledObject) (
        increase(keda_scaled_object_errors_total{namespace={{ .Release.Namespace | quote }},{{ $objects }}}[5m])
        or increase(keda_scaled_object_errors_total{exported_namespace={{ .Release.Namespace | quote }},{{ $objects }}}[5m])
      ) > 0
    for: 5m
    labels: {severity: critical}
    annotations:
      summary: KEDA cannot scale {{`{{ $labels.scaledObject }}`}}.
      description: KEDA has had errors for five minutes; replicas stay as they are, or go to the fallback.
{{- end }}
{{- end -}}

{{- define "stalk.alerts.service" -}}
{{- $own := include "stalk.matchers" . -}}
alerts:
{{- if .Values.api.enabled }}
  - alert: StalkTasksRefused
    expr: sum by (dependency) (increase(stalk_tasks_refused_total{ {{- $own -}} }[5m])) > 0
    for: 2m
    labels: {severity: warning}
    annotations:
      summary: The API refuses tasks, for {{`{{ $labels.dependency }}`}} is away.
      description: About {{`{{ $value | humanize }}`}} requests in five minutes were answered with 503.
{{- end }}
{{- if include "stalk.hasExporter" . }}
  - alert: StalkBrokerDown
    expr: max(stalk_dependency_up{ {{- $own }},dependency="broker"}) == 0
    for: 2m
    labels: {severity: critical}
    annotations:
      summary: RabbitMQ lets nobody in.
      description: A login has failed for two minutes. No task is accepted, none starts.
  - alert: StalkResultsDown
    expr: max(stalk_dependency_up{ {{- $own }},dependency="results"}) == 0
    for: 2m
    labels: {severity: critical}
    annotations:
      summary: Redis lets nobody in.
      description: A login has failed for two minutes. Tasks that have ended wait to store their result.
{{- end }}
{{- end -}}

{{- define "stalk.alerts.tasks" -}}
alerts:
{{- if .Values.flower.enabled }}
{{- $failed := include "stalk.taskEvents" (list . "task-failed") }}
  - alert: StalkTaskFailures
    # Five at least: one failure of one task is no rate.
    expr: |-
      sum by (task) ({{ $failed }})
        / sum by (task) ({{ include "stalk.taskEvents" (list . "task-failed|task-succeeded") }}) > {{ .Values.metrics.rules.failureRatio }}
        and sum by (task) ({{ $failed }}) >= 5
    for: 5m
    labels: {severity: warning}
    annotations:
      summary: Task {{`{{ $labels.task }}`}} fails often.
      description: "{{`{{ $value | humanizePercentage }}`}} of the tasks that ended in the last five minutes have failed."
{{- end }}
{{- end -}}

{{/* What Flower counted in the last five minutes (list $ "task-failed"). It counts by worker, and a worker that has just come
     begins at 1, which `increase` does not see; so what was not there before counts whole. */}}
{{- define "stalk.taskEvents" -}}
{{- $events := printf "flower_events_total{%s,type=~%q}" (include "stalk.matchers" (index . 0)) (index . 1) -}}
clamp_min({{ $events }} - {{ $events }} offset 5m, 0) or {{ $events }}
{{- end -}}

{{- define "stalk.alerts.rabbitmq" -}}
{{- $matchers := ternary (include "stalk.matchers" .) (include "stalk.externalMatchers" . | trimPrefix ",") .Values.rabbitmq.enabled -}}
alerts:
{{- if $matchers }}
  - alert: StalkRabbitmqAlarm
    expr: |-
      label_replace(max(rabbitmq_alarms_memory_used_watermark{ {{- $matchers -}} }), "alarm", "memory", "", "") > 0
        or label_replace(max(rabbitmq_alarms_free_disk_space_watermark{ {{- $matchers -}} }), "alarm", "disk", "", "") > 0
    for: 1m
    labels: {severity: critical}
    annotations:
      summary: RabbitMQ takes no messages, as it is short of {{`{{ $labels.alarm }}`}}.
      description: Every publisher is blocked until the alarm is over; workers go on.
{{- end }}
{{- end -}}

{{- define "stalk.alerts.volumes" -}}
{{- $claims := list -}}
{{- range $name := list "rabbitmq" "redis" -}}
{{- $c := include "stalk.component" (list $ $name) | fromJson -}}
{{- if and $c.values.enabled $c.values.persistence.enabled -}}
{{- $claims = append $claims ($c.values.persistence.existingClaim | default (printf "data-%s-0" $c.name)) -}}
{{- end -}}
{{- end -}}
{{- range $name := list "flower" "beat" -}}
{{- $c := include "stalk.component" (list $ $name) | fromJson -}}
{{- if and $c.values.enabled $c.values.persistence.enabled -}}
{{- $claims = append $claims ($c.values.persistence.existingClaim | default $c.name) -}}
{{- end -}}
{{- end -}}
alerts:
{{- if $claims }}
{{- $volumes := printf "{namespace=%q,%s}" .Release.Namespace (include "stalk.anyOf" (list "persistentvolumeclaim" $claims "")) }}
  - alert: StalkVolumeFilling
    # Above what RabbitMQ keeps free by default (256MB of 2Gi): its alarm blocks publishers.
    expr: |-
      kubelet_volume_stats_available_bytes{{ $volumes }}
        / kubelet_volume_stats_capacity_bytes{{ $volumes }} < 0.2
    for: 10m
    labels: {severity: warning}
    annotations:
      summary: Volume {{`{{ $labels.persistentvolumeclaim }}`}} fills up.
      description: "{{`{{ $value | humanizePercentage }}`}} of it are free."
{{- end }}
{{- end -}}

{{/* What tells the others: without it they are silent. The API is left out, as yours may have no /metrics.
     RabbitMQ is read twice, and only /metrics/detailed has the queues: each of the two has an `up` of its own. */}}
{{- define "stalk.alerts.targets" -}}
{{- $targets := list -}}
{{- if include "stalk.hasExporter" . }}{{ $targets = append $targets (dict "name" "exporter") }}{{ end -}}
{{- if .Values.flower.enabled }}{{ $targets = append $targets (dict "name" "flower") }}{{ end -}}
{{- if .Values.rabbitmq.enabled -}}
{{- $targets = append $targets (dict "name" "rabbitmq" "matcher" "metrics_path!=\"/metrics/detailed\"") -}}
{{- $targets = append $targets (dict "name" "rabbitmq" "matcher" "metrics_path=\"/metrics/detailed\"" "path" "/metrics/detailed") -}}
{{- end -}}
alerts:
{{- range $targets }}
  - alert: StalkTargetDown
    expr: absent(up{ {{- include "stalk.matchers" $ }},service={{ include "stalk.name" (list $ .name) | quote }}{{ with .matcher }},{{ . }}{{ end }}} == 1)
    for: 10m
    labels: {severity: warning, component: {{ .name }}{{ with .path }}, metrics_path: {{ . }}{{ end }}}
    annotations:
      summary: Prometheus cannot read {{ .name }}{{ with .path }}, its {{ . }}{{ end }}.
      description: The alerts that come from it are silent meanwhile.
{{- end }}
{{- end -}}
