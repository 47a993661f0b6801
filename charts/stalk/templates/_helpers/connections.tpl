{{/* Where the broker is: {host, port, vhost, tls, username, password, management}, with each part of a login as {text} or
     {secret, key}. Returns JSON. */}}
{{- define "stalk.broker" -}}
{{- if .Values.rabbitmq.enabled -}}
{{- include "stalk.bundledBroker" . -}}
{{- else -}}
{{- include "stalk.externalBroker" . -}}
{{- end -}}
{{- end -}}

{{- define "stalk.bundledBroker" -}}
{{- $host := include "stalk.name" (list . "rabbitmq") -}}
{{- $auth := .Values.rabbitmq.auth -}}
{{- $login := include "stalk.bundledLogin" (list . $auth.username $auth.passwordKey) | fromJson -}}
{{- $management := include "stalk.bundledLogin" (list . $auth.scalerUsername $auth.scalerPasswordKey) | fromJson -}}
{{- $ports := include "stalk.rabbitmqPorts" . | fromJson -}}
{{- $scheme := ternary "https" "http" .Values.rabbitmq.tls.enabled -}}
{{- $_ := set $management "url" (printf "%s://%s.%s.svc:%d" $scheme $host .Release.Namespace (int $ports.management)) -}}
{{- toJson (dict
      "host" $host "port" (int $ports.amqp) "vhost" .Values.rabbitmq.vhost "tls" (include "stalk.bundledTls" .Values.rabbitmq.tls | fromJson)
      "username" $login.username "password" $login.password "management" $management) -}}
{{- end -}}

{{/* A worker's login at the broker: {username, password} as above. Where the topology Job declares, the bundled broker's
     workers have a user of few rights; else they declare themselves. Returns JSON. */}}
{{- define "stalk.workerLogin" -}}
{{- $broker := include "stalk.broker" . | fromJson -}}
{{- $auth := .Values.rabbitmq.auth -}}
{{- if and .Values.rabbitmq.enabled .Values.topology.enabled -}}
{{- include "stalk.bundledLogin" (list . $auth.workerUsername $auth.workerPasswordKey) -}}
{{- else -}}
{{- toJson (dict "username" $broker.username "password" $broker.password) -}}
{{- end -}}
{{- end -}}

{{- define "stalk.externalBroker" -}}
{{- $e := .Values.externalRabbitmq -}}
{{- $m := $e.management -}}
{{- $login := dict
      "username" (include "stalk.loginPart" (list . $e "username" "" "") | fromJson)
      "password" (include "stalk.loginPart" (list . $e "password" "rabbitmq-password") | fromJson) -}}
{{- $management := merge (dict "url" $m.url) $login -}}
{{- if or $m.username $m.usernameKey -}}
{{- $management = dict "url" $m.url
      "username" (include "stalk.loginPart" (list . $m "username" "") | fromJson)
      "password" (include "stalk.loginPart" (list . $m "password" "rabbitmq-management-password") | fromJson) -}}
{{- end -}}
{{- toJson (dict
      "host" $e.host "port" (int ($e.port | default (ternary 5671 5672 $e.tls.enabled))) "vhost" $e.vhost "tls" $e.tls
      "username" $login.username "password" $login.password "management" $management) -}}
{{- end -}}

{{/* One part of an external login (list $ map "password" "key in the rendered Secret"): {text} or {secret, key}. JSON. */}}
{{- define "stalk.loginPart" -}}
{{- $map := index . 1 -}}
{{- $part := index . 2 -}}
{{- $key := get $map (printf "%sKey" $part) -}}
{{- if and $map.existingSecret $key -}}
{{- toJson (dict "secret" $map.existingSecret "key" $key) -}}
{{- else if and (eq $part "password") (get $map $part) -}}
{{- toJson (dict "secret" (include "stalk.name" (list (index . 0) "external")) "key" (index . 3)) -}}
{{- else -}}
{{- toJson (dict "text" (get $map $part)) -}}
{{- end -}}
{{- end -}}

{{/* Where results are: {host, port, db, tls, username, password}. Returns JSON. */}}
{{- define "stalk.results" -}}
{{- if .Values.redis.enabled -}}
{{- $secret := .Values.redis.auth.existingSecret | default (include "stalk.credentialsName" .) -}}
{{- toJson (dict
      "host" (include "stalk.name" (list . "redis")) "port" 6379 "db" 0 "tls" (include "stalk.bundledTls" .Values.redis.tls | fromJson)
      "username" (dict "text" "")
      "password" (dict "secret" $secret "key" (include "stalk.generationKey" (list . .Values.redis.auth.passwordKey 0)))) -}}
{{- else -}}
{{- $e := .Values.externalRedis -}}
{{- toJson (dict
      "host" $e.host "port" (int $e.port) "db" (int $e.db) "tls" $e.tls
      "username" (include "stalk.loginPart" (list . $e "username" "") | fromJson)
      "password" (include "stalk.loginPart" (list . $e "password" "redis-password") | fromJson)) -}}
{{- end -}}
{{- end -}}

{{/* The passwords written into values.yaml, by their key in the rendered Secret. Returns JSON. */}}
{{- define "stalk.externalData" -}}
{{- $data := dict -}}
{{- $mq := .Values.externalRabbitmq -}}
{{- if not .Values.rabbitmq.enabled -}}
{{- if and $mq.password (not $mq.existingSecret) }}{{ $_ := set $data "rabbitmq-password" $mq.password }}{{ end -}}
{{- if and $mq.management.password (not $mq.management.existingSecret) -}}
{{- $_ := set $data "rabbitmq-management-password" $mq.management.password -}}
{{- end -}}
{{- end -}}
{{- if and (not .Values.redis.enabled) .Values.externalRedis.password (not .Values.externalRedis.existingSecret) -}}
{{- $_ := set $data "redis-password" .Values.externalRedis.password -}}
{{- end -}}
{{- toJson $data -}}
{{- end -}}

{{- define "stalk.credentialsName" -}}
{{- include "stalk.name" (list . "credentials") -}}
{{- end -}}

{{/* The keys that the credentials Job makes: those that no existing secret gives. Returns JSON {keys}. */}}
{{- define "stalk.generatedKeys" -}}
{{- $keys := list -}}
{{- $mq := .Values.rabbitmq -}}
{{- if and $mq.enabled (not $mq.auth.existingSecret) -}}
{{- $keys = append (append $keys $mq.auth.passwordKey) $mq.auth.scalerPasswordKey -}}
{{- if .Values.topology.enabled }}{{ $keys = append $keys $mq.auth.workerPasswordKey }}{{ end -}}
{{- end -}}
{{- if and .Values.redis.enabled (not .Values.redis.auth.existingSecret) -}}
{{- $keys = append $keys .Values.redis.auth.passwordKey -}}
{{- end -}}
{{- if and .Values.flower.enabled (not .Values.flower.auth.existingSecret) -}}
{{- $keys = append $keys .Values.flower.auth.passwordKey -}}
{{- end -}}
{{- $generation := list -}}
{{- range uniq $keys }}{{ $generation = append $generation (include "stalk.generationKey" (list $ . 0)) }}{{ end -}}
{{- toJson (dict "keys" $generation) -}}
{{- end -}}

{{/* The bundled broker's consumer_timeout in seconds: no task of any pool may reach it. */}}
{{- define "stalk.consumerTimeout" -}}
{{- $seconds := 1800 -}}
{{- range $pool := include "stalk.pools" . | fromJson -}}
{{- $seconds = max $seconds (add (int $pool.values.longestTaskSeconds) 300) -}}
{{- end -}}
{{- $seconds -}}
{{- end -}}
