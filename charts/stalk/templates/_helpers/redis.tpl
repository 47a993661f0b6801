{{/* redis.conf. The password is in a file that an init container writes. */}}
{{- define "stalk.redisConf" -}}
{{- $v := .Values.redis -}}
{{- $limit := include "stalk.bytes" ((($v.resources | default dict).limits | default dict).memory) | float64 -}}
include /auth/redis.conf
bind * -::*
port 6379
dir /data
appendonly yes
maxmemory-policy noeviction
{{- if $limit }}
maxmemory {{ mulf $limit $v.maxMemory | int64 }}
{{- end }}
{{- with $v.extraConfig }}
{{ . }}
{{- end }}
{{- end -}}

{{/* Mounts and volumes of the bundled Redis (component). Return JSON {items}. */}}
{{- define "stalk.redisMounts" -}}
{{- toJson (dict "items" (list
      (dict "name" "auth" "mountPath" "/auth")
      (dict "name" "config" "mountPath" "/etc/redis")
      (dict "name" "data" "mountPath" "/data"))) -}}
{{- end -}}

{{- define "stalk.redisVolumes" -}}
{{- $volumes := list
      (dict "name" "auth" "emptyDir" (dict "medium" "Memory"))
      (dict "name" "config" "configMap" (dict "name" .name)) -}}
{{- toJson (dict "items" (concat $volumes (include "stalk.dataVolume" . | fromJson).items)) -}}
{{- end -}}

{{/* Redis's password as an environment variable of another name ($ "NAME"). Returns JSON. */}}
{{- define "stalk.redisEnv" -}}
{{- $password := (include "stalk.results" (index . 0) | fromJson).password -}}
{{- toJson (dict (index . 1) (include "stalk.envValue" $password | fromJson)) -}}
{{- end -}}

{{/* The init container that writes Redis's password (list $ component). */}}
{{- define "stalk.redisInit" -}}
{{- $command := list "stalk" "redis-config" "--output" "/auth/redis.conf" -}}
{{- $mounts := list (dict "name" "auth" "mountPath" "/auth") -}}
{{- $env := include "stalk.redisEnv" (list (index . 0) "REDIS_PASSWORD") | fromJson -}}
{{- include "stalk.toolkitInit" (list (index . 0) (index . 1) "auth" $command $env $mounts) -}}
{{- end -}}

{{- define "stalk.redisChecksums" -}}
{{- toJson (dict "checksum/config" (include "stalk.redisConf" . | sha256sum)) -}}
{{- end -}}
