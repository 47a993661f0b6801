{{/* The bundled Redis with its probes whole: those that say nothing else ask Redis itself. Returns JSON. */}}
{{- define "stalk.redis" -}}
{{- $c := include "stalk.component" (list . "redis") | fromJson -}}
{{- $ping := list "redis-cli" "-e" -}}
{{- if .Values.redis.tls.enabled }}{{ $ping = concat $ping (list "--tls" "--cacert" "/tls/ca.crt") }}{{ end -}}
{{- range $kind, $probe := $c.values.probes | default dict -}}
{{- if and $probe (not (or $probe.httpGet $probe.exec $probe.tcpSocket $probe.grpc)) -}}
{{- $_ := set $probe "exec" (dict "command" (append $ping "ping")) -}}
{{- end -}}
{{- end -}}
{{- toJson $c -}}
{{- end -}}

{{/* redis.conf. The password is in a file that an init container writes. */}}
{{- define "stalk.redisConf" -}}
{{- $v := .Values.redis -}}
{{- $limit := include "stalk.bytes" ((($v.resources | default dict).limits | default dict).memory) | float64 -}}
include /auth/redis.conf
bind * -::*
{{- if $v.tls.enabled }}
port 0
tls-port 6379
tls-auth-clients no
tls-cert-file /tls/tls.crt
tls-key-file /tls/tls.key
tls-ca-cert-file /tls/ca.crt
{{- else }}
port 6379
{{- end }}
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
{{- $mounts := list
      (dict "name" "auth" "mountPath" "/auth")
      (dict "name" "config" "mountPath" "/etc/redis")
      (dict "name" "data" "mountPath" "/data") -}}
{{- toJson (dict "items" (concat $mounts (include "stalk.tlsMounts" .Values.redis.tls | fromJson).items)) -}}
{{- end -}}

{{- define "stalk.redisVolumes" -}}
{{- $volumes := list
      (dict "name" "auth" "emptyDir" (dict "medium" "Memory"))
      (dict "name" "config" "configMap" (dict "name" .name)) -}}
{{- $volumes = concat $volumes (include "stalk.tlsVolumes" .values.tls | fromJson).items -}}
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
{{- $root := index . 0 -}}
{{- $secret := (include "stalk.results" $root | fromJson).password.secret -}}
{{- $others := include "stalk.otherPasswords" (list $root "REDIS" $secret $root.Values.redis.auth.passwordKey) | fromJson -}}
{{- $env := include "stalk.redisEnv" (list $root "REDIS_PASSWORD") | fromJson | merge $others -}}
{{- include "stalk.toolkitInit" (list (index . 0) (index . 1) "auth" $command $env $mounts) -}}
{{- end -}}

{{- define "stalk.redisChecksums" -}}
{{- toJson (dict "checksum/config" (include "stalk.redisConf" . | sha256sum)) -}}
{{- end -}}
