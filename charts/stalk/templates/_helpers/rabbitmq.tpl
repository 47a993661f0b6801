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
{{- toJson (dict
      "RABBITMQ_VHOST" $broker.vhost
      "RABBITMQ_USER" (include "stalk.envValue" $broker.username | fromJson)
      "RABBITMQ_PASSWORD" (include "stalk.envValue" $broker.password | fromJson)
      "RABBITMQ_SCALER_USER" (include "stalk.envValue" $broker.management.username | fromJson)
      "RABBITMQ_SCALER_PASSWORD" (include "stalk.envValue" $broker.management.password | fromJson)) -}}
{{- end -}}

{{- define "stalk.rabbitmqChecksums" -}}
{{- $config := printf "%s\n%s" (include "stalk.rabbitmqConf" .) (include "stalk.rabbitmqAdvanced" .) -}}
{{- toJson (dict "checksum/config" (sha256sum $config)) -}}
{{- end -}}

{{/* rabbitmq.conf. Users come with the definitions, which an init container writes: no password is in a ConfigMap. */}}
{{- define "stalk.rabbitmqConf" -}}
{{- $v := .Values.rabbitmq -}}
{{- $limit := include "stalk.bytes" ((($v.resources | default dict).limits | default dict).memory) | float64 -}}
listeners.tcp.default = 5672
management.tcp.port = 15672
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
{{- toJson (dict "items" (list
      (dict "name" "definitions" "mountPath" "/definitions")
      (dict "name" "config" "mountPath" "/etc/rabbitmq")
      (dict "name" "data" "mountPath" "/var/lib/rabbitmq"))) -}}
{{- end -}}

{{- define "stalk.rabbitmqVolumes" -}}
{{- $volumes := list
      (dict "name" "definitions" "emptyDir" (dict "medium" "Memory"))
      (dict "name" "config" "configMap" (dict "name" .name)) -}}
{{- toJson (dict "items" (concat $volumes (include "stalk.dataVolume" . | fromJson).items)) -}}
{{- end -}}

{{/* The init container that writes RabbitMQ's users (list $ component). */}}
{{- define "stalk.rabbitmqInit" -}}
{{- $command := list "stalk" "rabbitmq-definitions" "--output" "/definitions/definitions.json" -}}
{{- $mounts := list (dict "name" "definitions" "mountPath" "/definitions") -}}
{{- $env := include "stalk.definitionsEnv" (index . 0) | fromJson -}}
{{- include "stalk.toolkitInit" (list (index . 0) (index . 1) "definitions" $command $env $mounts) -}}
{{- end -}}
