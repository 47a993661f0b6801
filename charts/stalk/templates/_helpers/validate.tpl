{{/* Values that cannot work together, each with its path, the reason, and a line to paste. All are told at once. */}}
{{- define "stalk.validate" -}}
{{- $problems := list -}}
{{- range $part := list "broker" "results" "labels" "exposed" "api" "pools" -}}
{{- $problems = append $problems (include (printf "stalk.validate.%s" $part) $) -}}
{{- end -}}
{{- with join "" $problems | trim }}{{ fail (printf "values that cannot work:\n\n%s\n" .) }}{{ end -}}
{{- end -}}

{{/* One problem (list path why paste), or one that nothing can be pasted for (list path why). */}}
{{- define "stalk.problem" -}}
{{- printf "%s: %s" (index . 0) (index . 1) -}}
{{- if gt (len .) 2 }}{{ printf " Paste:\n    %s" (index . 2) }}{{ end -}}
{{- print "\n\n" -}}
{{- end -}}

{{- define "stalk.validate.broker" -}}
{{- include "stalk.validate.tls" (list . "rabbitmq") -}}
{{- $e := .Values.externalRabbitmq -}}
{{- if .Values.rabbitmq.enabled -}}
{{- if $e.host -}}
{{- include "stalk.problem" (list "externalRabbitmq.host" "is set, and so is rabbitmq.enabled: one broker is used."
      "rabbitmq: {enabled: false}") -}}
{{- end -}}
{{- if eq .Values.rabbitmq.auth.username .Values.rabbitmq.auth.scalerUsername -}}
{{- include "stalk.problem" (list "rabbitmq.auth.scalerUsername" "is the app's own user; the scaler's may read queue lengths and no more."
      "rabbitmq: {auth: {scalerUsername: stalk-monitor}}") -}}
{{- end -}}
{{- if has .Values.rabbitmq.auth.workerUsername (list .Values.rabbitmq.auth.username .Values.rabbitmq.auth.scalerUsername) -}}
{{- include "stalk.problem" (list "rabbitmq.auth.workerUsername" "is the app's own user, or the scaler's; a worker's has rights of its own."
      "rabbitmq: {auth: {workerUsername: stalk-worker}}") -}}
{{- end -}}
{{- else -}}
{{- include "stalk.validate.login" (list "externalRabbitmq" $e "rabbitmq.enabled: false needs the host of your broker." "rabbitmq.example.org") -}}
{{- if not (or $e.username (and $e.existingSecret $e.usernameKey)) -}}
{{- include "stalk.problem" (list "externalRabbitmq.username" "is empty, and usernameKey names no key of existingSecret."
      "externalRabbitmq: {username: stalk}") -}}
{{- end -}}
{{- if not (or $e.password $e.existingSecret) -}}
{{- include "stalk.problem" (list "externalRabbitmq.existingSecret" "is empty, and so is password."
      "externalRabbitmq: {existingSecret: my-rabbitmq, passwordKey: password}") -}}
{{- end -}}
{{- include "stalk.validate.management" . -}}
{{- end -}}
{{- end -}}

{{- define "stalk.validate.management" -}}
{{- $m := .Values.externalRabbitmq.management -}}
{{- if and (include "stalk.usesKeda" .) (not $m.url) -}}
{{- include "stalk.problem" (list "externalRabbitmq.management.url" "is empty: KEDA reads queue lengths from the broker's management API."
      "externalRabbitmq: {management: {url: \"https://rabbitmq.example.org:15671\"}}") -}}
{{- end -}}
{{- if and (or $m.password $m.existingSecret) (not (or $m.username (and $m.existingSecret $m.usernameKey))) -}}
{{- include "stalk.problem" (list "externalRabbitmq.management.username" "is empty, though a password is given for it."
      "externalRabbitmq: {management: {username: monitor}}") -}}
{{- end -}}
{{- if and (or $m.username $m.usernameKey) (not (or $m.password $m.existingSecret)) -}}
{{- include "stalk.problem" (list "externalRabbitmq.management.existingSecret" "is empty, and so is password, though a user is named."
      "externalRabbitmq: {management: {existingSecret: my-rabbitmq-monitor, passwordKey: password}}") -}}
{{- end -}}
{{- if and $m.password $m.existingSecret -}}
{{- include "stalk.problem" (list "externalRabbitmq.management.password" "is set, and so is existingSecret: one of them is used."
      "externalRabbitmq: {management: {password: \"\"}}") -}}
{{- end -}}
{{- end -}}

{{/* What is the same for both external servers (list path map why-a-host example). */}}
{{- define "stalk.validate.login" -}}
{{- $path := index . 0 -}}
{{- $e := index . 1 -}}
{{- if not $e.host -}}
{{- include "stalk.problem" (list (printf "%s.host" $path) (printf "is empty: %s" (index . 2))
      (printf "%s: {host: %s}" $path (index . 3))) -}}
{{- end -}}
{{- if and $e.password $e.existingSecret -}}
{{- include "stalk.problem" (list (printf "%s.password" $path) "is set, and so is existingSecret: one of them is used."
      (printf "%s: {password: \"\"}" $path)) -}}
{{- end -}}
{{- if and $e.tls.caSecret (not $e.tls.enabled) -}}
{{- include "stalk.problem" (list (printf "%s.tls.enabled" $path) "is false, though caSecret names a CA: passwords would go in the clear."
      (printf "%s: {tls: {enabled: true}}" $path)) -}}
{{- end -}}
{{- end -}}

{{/* A bundled server's certificate (list $ "rabbitmq"). */}}
{{- define "stalk.validate.tls" -}}
{{- $server := index . 1 -}}
{{- $v := index (index . 0).Values $server -}}
{{- if and $v.enabled $v.tls.enabled (not $v.tls.existingSecret) -}}
{{- include "stalk.problem" (list (printf "%s.tls.existingSecret" $server) (printf "is empty: TLS needs a Secret with a certificate for the names %s, its key and its CA." (join " and " (include "stalk.tlsNames" . | fromJson).items))
      (printf "%s: {tls: {existingSecret: my-%s-tls}}" $server $server)) -}}
{{- end -}}
{{- if and $v.tls.existingSecret (not $v.tls.enabled) -}}
{{- include "stalk.problem" (list (printf "%s.tls.enabled" $server) "is false, though existingSecret names a certificate: passwords would go in the clear."
      (printf "%s: {tls: {enabled: true}}" $server)) -}}
{{- end -}}
{{- end -}}

{{- define "stalk.validate.results" -}}
{{- include "stalk.validate.tls" (list . "redis") -}}
{{- $e := .Values.externalRedis -}}
{{- if and .Values.redis.enabled $e.host -}}
{{- include "stalk.problem" (list "externalRedis.host" "is set, and so is redis.enabled: one Redis is used."
      "redis: {enabled: false}") -}}
{{- else if not .Values.redis.enabled -}}
{{- include "stalk.validate.login" (list "externalRedis" $e "redis.enabled: false needs the host of your Redis." "redis.example.org") -}}
{{- if and $e.usernameKey (not $e.existingSecret) -}}
{{- include "stalk.problem" (list "externalRedis.existingSecret" "is empty, though usernameKey names a key of it."
      "externalRedis: {existingSecret: my-redis}") -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Labels that select pods belong to the chart. */}}
{{- define "stalk.validate.labels" -}}
{{- $own := list "app.kubernetes.io/name" "app.kubernetes.io/instance" "app.kubernetes.io/component" "stalk/pool"
      "app.kubernetes.io/part-of" "app.kubernetes.io/managed-by" "app.kubernetes.io/version" "helm.sh/chart" -}}
{{- $places := dict "commonLabels" .Values.commonLabels "metrics.labels" .Values.metrics.labels
      "metrics.dashboard.labels" .Values.metrics.dashboard.labels
      "podDefaults.podLabels" .Values.podDefaults.podLabels -}}
{{- range $component := list "api" "beat" "flower" "rabbitmq" "redis" "steward" "topology" -}}
{{- $_ := set $places (printf "%s.podLabels" $component) (index $.Values $component).podLabels -}}
{{- end -}}
{{- range $name, $pool := include "stalk.pools" . | fromJson -}}
{{- $_ := set $places (printf "workers.%s.podLabels" $name) $pool.values.podLabels -}}
{{- end -}}
{{- range $place, $labels := $places -}}
{{- range $label := $own -}}
{{- if get ($labels | default dict) $label -}}
{{- include "stalk.problem" (list (printf "%s.%s" $place $label) "is a label that the chart sets itself: take it out.") -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "stalk.validate.exposed" -}}
{{- range $name := list "api" "flower" -}}
{{- $c := index $.Values $name -}}
{{- if and $c.ingress.enabled $c.httpRoute.enabled -}}
{{- include "stalk.problem" (list (printf "%s.httpRoute.enabled" $name) "is true, and so is ingress.enabled: one way in is enough."
      (printf "%s: {ingress: {enabled: false}}" $name)) -}}
{{- end -}}
{{- if and $c.httpRoute.enabled (not $c.httpRoute.parentRefs) -}}
{{- include "stalk.problem" (list (printf "%s.httpRoute.parentRefs" $name) "is empty: an HTTPRoute belongs to a Gateway."
      (printf "%s: {httpRoute: {parentRefs: [{name: my-gateway}]}}" $name)) -}}
{{- end -}}
{{- if and $c.service.nodePort (eq $c.service.type "ClusterIP") -}}
{{- include "stalk.problem" (list (printf "%s.service.nodePort" $name) "is set, but service.type is ClusterIP, which has none."
      (printf "%s: {service: {type: NodePort}}" $name)) -}}
{{- end -}}
{{- if and $c.service.loadBalancerSourceRanges (ne $c.service.type "LoadBalancer") -}}
{{- include "stalk.problem" (list (printf "%s.service.loadBalancerSourceRanges" $name) (printf "limits nothing: service.type is %s." $c.service.type)
      (printf "%s: {service: {type: LoadBalancer}}" $name)) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "stalk.validate.api" -}}
{{- $c := .Values.api -}}
{{- if and $c.enabled $c.autoscaling.enabled -}}
{{- if not (include "stalk.hasCpuRequest" $c) -}}
{{- include "stalk.problem" (list "api.resources.requests.cpu" "is missing: api.autoscaling measures CPU as a part of it."
      "api: {resources: {requests: {cpu: 100m}}}") -}}
{{- end -}}
{{- if gt (int $c.autoscaling.min) (int $c.autoscaling.max) -}}
{{- include "stalk.problem" (list "api.autoscaling.min" (printf "%d is more than max, %d." (int $c.autoscaling.min) (int $c.autoscaling.max))
      (printf "api: {autoscaling: {max: %d}}" (int $c.autoscaling.min))) -}}
{{- end -}}
{{- end -}}
{{- if le (int $c.terminationGracePeriodSeconds) (int $c.drainSeconds) -}}
{{- include "stalk.problem" (list "api.terminationGracePeriodSeconds" (printf "%d leaves no time after drainSeconds, %d, to finish requests." (int $c.terminationGracePeriodSeconds) (int $c.drainSeconds))
      (printf "api: {terminationGracePeriodSeconds: %d}" (add $c.drainSeconds 40))) -}}
{{- end -}}
{{- end -}}

{{- define "stalk.validate.pools" -}}
{{- range $name, $pool := include "stalk.pools" . | fromJson -}}
{{- include "stalk.validate.pool" (list $ $pool) -}}
{{- include "stalk.validate.times" (list $ $pool) -}}
{{- end -}}
{{- end -}}

{{/* One pool (list $ pool): its queues, its autoscaler. */}}
{{- define "stalk.validate.pool" -}}
{{- $p := index . 1 -}}
{{- $v := $p.values -}}
{{- $a := $v.autoscaling -}}
{{- $at := printf "workers.%s" $p.pool -}}
{{- if not $v.queues -}}
{{- include "stalk.problem" (list (printf "%s.queues" $at) "is empty: a pool works on at least one queue."
      (printf "workers: {%s: {queues: [%s]}}" $p.pool $p.pool)) -}}
{{- end -}}
{{- if and (eq $v.pool "solo") (gt (int $v.concurrency) 1) -}}
{{- include "stalk.problem" (list (printf "%s.concurrency" $at) (printf "%d cannot be with pool: solo, which runs one task at a time." (int $v.concurrency))
      (printf "workers: {%s: {concurrency: 1}}" $p.pool)) -}}
{{- end -}}
{{- if and (ne $a.mode "none") (gt (int $a.min) (int $a.max)) -}}
{{- include "stalk.problem" (list (printf "%s.autoscaling.min" $at) (printf "%d is more than max, %d." (int $a.min) (int $a.max))
      (printf "workers: {%s: {autoscaling: {max: %d}}}" $p.pool (int $a.min))) -}}
{{- end -}}
{{- if and (or (eq $a.mode "hpa") (and (eq $a.mode "keda") $a.cpuTrigger)) (not (include "stalk.hasCpuRequest" $v)) -}}
{{- include "stalk.problem" (list (printf "%s.resources.requests.cpu" $at) "is missing: the autoscaler measures CPU as a part of it."
      (printf "workers: {%s: {resources: {requests: {cpu: 100m}}}}" $p.pool)) -}}
{{- end -}}
{{- end -}}

{{/* How many seconds old the liveness probe of a pool (its values) lets a heartbeat be; empty where it does not say. */}}
{{- define "stalk.livenessAge" -}}
{{- $before := "" -}}
{{- $liveness := (.probes | default dict).liveness | default dict -}}
{{- range ($liveness.exec | default dict).command -}}
{{- if eq $before "--max-age" }}{{ . }}{{ end -}}
{{- $before = toString . -}}
{{- end -}}
{{- end -}}

{{/* One pool (list $ pool): the times that follow from its longest task. */}}
{{- define "stalk.validate.times" -}}
{{- $p := index . 1 -}}
{{- $v := $p.values -}}
{{- $at := printf "workers.%s" $p.pool -}}
{{- $longest := int $v.longestTaskSeconds -}}
{{- $goodbye := int (include "stalk.goodbye" .) -}}
{{- $name := ternary "softShutdownSeconds" "longestTaskSeconds" $v.interruptible -}}
{{- $needed := ternary (int $v.softShutdownSeconds) $longest $v.interruptible -}}
{{- if lt (int $v.terminationGracePeriodSeconds) (add $needed $goodbye | int) -}}
{{- include "stalk.problem" (list (printf "%s.terminationGracePeriodSeconds" $at) (printf "%d is too short for %s, %d, and %d s to say goodbye: Kubernetes would kill the task." (int $v.terminationGracePeriodSeconds) $name $needed $goodbye)
      (printf "workers: {%s: {terminationGracePeriodSeconds: %s}}" $p.pool (include "stalk.gracePeriod" $v))) -}}
{{- end -}}
{{- if and (eq $v.autoscaling.mode "keda") (le (int $v.autoscaling.cooldownPeriod) $longest) -}}
{{- include "stalk.problem" (list (printf "%s.autoscaling.cooldownPeriod" $at) (printf "%d is not longer than longestTaskSeconds, %d: workers would go while a task may still run." (int $v.autoscaling.cooldownPeriod) $longest)
      (printf "workers: {%s: {autoscaling: {cooldownPeriod: %d}}}" $p.pool (add $longest 60))) -}}
{{- end -}}
{{- $age := include "stalk.livenessAge" $v | int -}}
{{- if and (eq $v.pool "solo") $age (gt $longest $age) -}}
{{- include "stalk.problem" (list (printf "%s.pool" $at) (printf "solo sends no heartbeat while it runs a task: one of longestTaskSeconds, %d, would be killed by probes.liveness, which waits %d s." $longest $age)
      (printf "workers: {%s: {pool: threads, concurrency: 1}}" $p.pool)) -}}
{{- end -}}
{{- $values := (index . 0).Values -}}
{{- $timeout := int $values.externalRabbitmq.consumerTimeoutSeconds -}}
{{- if and (not $values.rabbitmq.enabled) (gt (add $longest 60 | int) $timeout) -}}
{{- include "stalk.problem" (list "externalRabbitmq.consumerTimeoutSeconds" (printf "%d is too short for %s.longestTaskSeconds, %d, and 60 s: the broker would take the task away and run it again. Raise consumer_timeout in the broker's rabbitmq.conf to %d000, and say so here." $timeout $at $longest (add $longest 300))
      (printf "externalRabbitmq: {consumerTimeoutSeconds: %d}" (add $longest 300))) -}}
{{- end -}}
{{- end -}}
