{{/* The bundled broker's environment. Nothing here leans on an image's entrypoint script. Returns JSON. */}}
{{- define "stalk.rabbitmqEnv" -}}
{{- toJson (dict
      "HOME" "/tmp"
      "LANG" "C.UTF-8"
      "ERL_EPMD_ADDRESS" "127.0.0.1"
      "RABBITMQ_NODENAME" "rabbit@localhost"
      "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS" "-kernel inet_dist_use_interface {127,0,0,1}"
      "RABBITMQ_CONFIG_FILE" "/etc/rabbitmq/rabbitmq.conf"
      "RABBITMQ_ADVANCED_CONFIG_FILE" "/etc/rabbitmq/advanced.config"
      "RABBITMQ_ENABLED_PLUGINS_FILE" "/etc/rabbitmq/enabled_plugins"
      "RABBITMQ_MNESIA_BASE" "/var/lib/rabbitmq/mnesia"
      "RABBITMQ_LOG_BASE" "/tmp"
      "RABBITMQ_LOGS" "-") -}}
{{- end -}}

{{/* What `stalk rabbitmq-definitions` reads. Returns JSON. */}}
{{- define "stalk.definitionsEnv" -}}
{{- $broker := include "stalk.bundledBroker" . | fromJson -}}
{{- $auth := .Values.rabbitmq.auth -}}
{{- $logins := dict "RABBITMQ" (list $broker $auth.username $auth.passwordKey)
      "RABBITMQ_SCALER" (list $broker.management $auth.scalerUsername $auth.scalerPasswordKey) -}}
{{- $env := dict "RABBITMQ_VHOST" $broker.vhost -}}
{{- if .Values.topology.enabled -}}
{{- $worker := include "stalk.workerLogin" . | fromJson -}}
{{- $_ := set $logins "RABBITMQ_WORKER" (list $worker $auth.workerUsername $auth.workerPasswordKey) -}}
{{- range $right, $patterns := $auth.workerRights -}}
{{- with $patterns }}{{ $_ := set $env (printf "RABBITMQ_WORKER_%s" (upper $right)) (join "|" .) }}{{ end -}}
{{- end -}}
{{- end -}}
{{- range $prefix, $about := $logins -}}
{{- $login := index $about 0 -}}
{{- $env = include "stalk.otherPasswords" (list $ $prefix $login.password.secret (index $about 2)) | fromJson | merge $env -}}
{{- $_ := set $env (printf "%s_OTHER_USER" $prefix) (dict "value" (include "stalk.generationUser" (list $ (index $about 1) 1))) -}}
{{- $_ := set $env (printf "%s_USER" $prefix) (include "stalk.envValue" $login.username | fromJson) -}}
{{- $_ := set $env (printf "%s_PASSWORD" $prefix) (include "stalk.envValue" $login.password | fromJson) -}}
{{- end -}}
{{- toJson $env -}}
{{- end -}}

{{- define "stalk.rabbitmqChecksums" -}}
{{- $config := printf "%s\n%s" (include "stalk.rabbitmqConf" .) (include "stalk.rabbitmqAdvanced" .) -}}
{{- toJson (dict "checksum/config" (sha256sum $config)) -}}
{{- end -}}

{{/* rabbitmq.conf. Users come with the definitions, which an init container writes: no password is in a ConfigMap. */}}
{{- define "stalk.rabbitmqConf" -}}
{{- $v := .Values.rabbitmq -}}
{{- $limit := include "stalk.bytes" ((($v.resources | default dict).limits | default dict).memory) | float64 -}}
{{- if $v.tls.enabled -}}
listeners.tcp = none
listeners.ssl.default = 5671
ssl_options.certfile = /tls/tls.crt
ssl_options.keyfile = /tls/tls.key
ssl_options.cacertfile = /tls/ca.crt
management.ssl.port = 15671
management.ssl.certfile = /tls/tls.crt
management.ssl.keyfile = /tls/tls.key
management.ssl.cacertfile = /tls/ca.crt
{{- else -}}
listeners.tcp.default = 5672
management.tcp.port = 15672
{{- end }}
load_definitions = /definitions/definitions.json
loopback_users = none
log.console = true
log.console.level = info
# milliseconds; above the longest task of every pool
consumer_timeout = {{ mul (int (include "stalk.consumerTimeout" .)) 1000 }}
disk_free_limit.absolute = {{ $v.diskFreeLimit }}
{{- if $limit }}
vm_memory_high_watermark.absolute = {{ mulf $limit $v.memoryHighWatermark | int64 }}
{{- end }}
{{- with $v.extraConfig }}
{{ . }}
{{- end }}
{{- end -}}

{{/* advanced.config: how often queue lengths are counted. Left alone, what KEDA reads is up to 10 s old. */}}
{{- define "stalk.rabbitmqAdvanced" -}}
{{- $seconds := int .Values.rabbitmq.statisticsSeconds -}}
[
  {rabbit, [{collect_statistics_interval, {{ mul $seconds 1000 }}}, {quorum_tick_interval, {{ mul $seconds 1000 }}}]},
  {rabbitmq_management_agent, [{sample_retention_policies, [
    {global, [{600, 5}, {3600, 60}]}, {basic, [{ {{- mul $seconds 60 }}, {{ $seconds }}}, {600, 5}]}, {detailed, [{600, 5}]}
  ]}]}
].
{{- end -}}

{{/* Mounts and volumes of the bundled broker (component). Return JSON {items}. */}}
{{- define "stalk.rabbitmqMounts" -}}
{{- $mounts := list
      (dict "name" "definitions" "mountPath" "/definitions")
      (dict "name" "config" "mountPath" "/etc/rabbitmq")
      (dict "name" "data" "mountPath" "/var/lib/rabbitmq") -}}
{{- toJson (dict "items" (concat $mounts (include "stalk.tlsMounts" .Values.rabbitmq.tls | fromJson).items)) -}}
{{- end -}}

{{- define "stalk.rabbitmqVolumes" -}}
{{- $volumes := list
      (dict "name" "definitions" "emptyDir" (dict "medium" "Memory"))
      (dict "name" "config" "configMap" (dict "name" .name)) -}}
{{- $volumes = concat $volumes (include "stalk.tlsVolumes" .values.tls | fromJson).items -}}
{{- toJson (dict "items" (concat $volumes (include "stalk.dataVolume" . | fromJson).items)) -}}
{{- end -}}

{{/* The init container that writes RabbitMQ's users (list $ component). */}}
{{- define "stalk.rabbitmqInit" -}}
{{- $command := list "stalk" "rabbitmq-definitions" "--output" "/definitions/definitions.json" -}}
{{- $mounts := list (dict "name" "definitions" "mountPath" "/definitions") -}}
{{- $env := include "stalk.definitionsEnv" (index . 0) | fromJson -}}
{{- include "stalk.toolkitInit" (list (index . 0) (index . 1) "definitions" $command $env $mounts) -}}
{{- end -}}
