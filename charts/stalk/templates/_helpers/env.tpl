{{/* Renders `env` and `envFrom` of a container (list $ component map): the map's values are strings, or what an `env`
     item holds beside its name. extraEnv wins: no name comes twice. */}}
{{- define "stalk.env" -}}
{{- $v := (index . 1).values -}}
{{- $items := list -}}
{{- range $name, $value := include "stalk.merge" (list (index . 2) ($v.extraEnv | default dict)) | fromJson -}}
{{- $item := ternary $value (dict "value" $value) (kindIs "map" $value) -}}
{{- $items = append $items (merge (dict "name" $name) $item) -}}
{{- end -}}
{{- with $items }}
env: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $v.extraEnvFrom }}
envFrom: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* {valueFrom: {secretKeyRef}} as JSON, from {secret, key}. */}}
{{- define "stalk.fromSecret" -}}
{{- toJson (dict "valueFrom" (dict "secretKeyRef" (dict "name" .secret "key" .key))) -}}
{{- end -}}

{{/* A login's part (text, or {secret, key}) as what an `env` item holds beside its name. Returns JSON. */}}
{{- define "stalk.envValue" -}}
{{- if .secret -}}
{{- include "stalk.fromSecret" . -}}
{{- else -}}
{{- toJson (dict "value" .text) -}}
{{- end -}}
{{- end -}}

{{/* The app's environment: where broker and results are, with what login. Returns JSON. */}}
{{- define "stalk.connectionEnv" -}}
{{- $env := dict -}}
{{- $broker := include "stalk.broker" . | fromJson -}}
{{- $redis := include "stalk.results" . | fromJson -}}
{{- $_ := set $env "BROKER_HOST" $broker.host -}}
{{- $_ := set $env "BROKER_PORT" (toString $broker.port) -}}
{{- $_ := set $env "BROKER_VHOST" $broker.vhost -}}
{{- $_ := set $env "BROKER_USER" (include "stalk.envValue" $broker.username | fromJson) -}}
{{- $_ := set $env "BROKER_PASSWORD" (include "stalk.envValue" $broker.password | fromJson) -}}
{{- if $broker.tls.enabled -}}
{{- $_ := set $env "BROKER_TLS" "true" -}}
{{- if $broker.tls.caSecret }}{{ $_ := set $env "BROKER_TLS_CA" (printf "/etc/stalk/broker-ca/%s" $broker.tls.caKey) }}{{ end -}}
{{- end -}}
{{- $_ := set $env "REDIS_HOST" $redis.host -}}
{{- $_ := set $env "REDIS_PORT" (toString $redis.port) -}}
{{- $_ := set $env "REDIS_DB" (toString $redis.db) -}}
{{- if or $redis.username.secret $redis.username.text -}}
{{- $_ := set $env "REDIS_USER" (include "stalk.envValue" $redis.username | fromJson) -}}
{{- end -}}
{{- if $redis.password.secret -}}
{{- $_ := set $env "REDIS_PASSWORD" (include "stalk.envValue" $redis.password | fromJson) -}}
{{- end -}}
{{- if $redis.tls.enabled -}}
{{- $_ := set $env "REDIS_TLS" "true" -}}
{{- if $redis.tls.caSecret }}{{ $_ := set $env "REDIS_TLS_CA" (printf "/etc/stalk/redis-ca/%s" $redis.tls.caKey) }}{{ end -}}
{{- end -}}
{{- $_ := set $env "LOG_LEVEL" .Values.celery.logLevel -}}
{{- $_ := set $env "LOG_FORMAT" .Values.celery.logFormat -}}
{{- $_ := set $env "QUEUE_DELIVERY_LIMIT" (toString (int .Values.celery.deliveryLimit)) -}}
{{- $_ := set $env "RESULT_EXPIRES_SECONDS" (toString (int .Values.celery.resultExpiresSeconds)) -}}
{{- toJson $env -}}
{{- end -}}

{{/* Where the broker's management API is, with what login; empty without one. Returns JSON. */}}
{{- define "stalk.managementEnv" -}}
{{- $env := dict -}}
{{- $m := (include "stalk.broker" . | fromJson).management -}}
{{- if $m.url -}}
{{- $_ := set $env "BROKER_MANAGEMENT_URL" $m.url -}}
{{- $_ := set $env "BROKER_MANAGEMENT_USER" (include "stalk.envValue" $m.username | fromJson) -}}
{{- $_ := set $env "BROKER_MANAGEMENT_PASSWORD" (include "stalk.envValue" $m.password | fromJson) -}}
{{- end -}}
{{- toJson $env -}}
{{- end -}}

{{/* The CA files of broker and results: [{name, secret, path}]. Returns JSON {items}. */}}
{{- define "stalk.caVolumes" -}}
{{- $broker := include "stalk.broker" . | fromJson -}}
{{- $redis := include "stalk.results" . | fromJson -}}
{{- $items := list -}}
{{- range $name, $tls := dict "broker-ca" $broker.tls "redis-ca" $redis.tls -}}
{{- if and $tls.enabled $tls.caSecret -}}
{{- $items = append $items (dict "name" $name "secret" $tls.caSecret "key" $tls.caKey) -}}
{{- end -}}
{{- end -}}
{{- toJson (dict "items" $items) -}}
{{- end -}}

{{/* Mounts and volumes of a container of the app (list $ component extra). */}}
{{- define "stalk.appVolumeMounts" -}}
{{- $mounts := index . 2 -}}
{{- range (include "stalk.caVolumes" (index . 0) | fromJson).items -}}
{{- $mounts = append $mounts (dict "name" .name "mountPath" (printf "/etc/stalk/%s" .name) "readOnly" true) -}}
{{- end -}}
{{- include "stalk.volumeMounts" (list (index . 1) $mounts) -}}
{{- end -}}

{{- define "stalk.appVolumes" -}}
{{- $volumes := index . 2 -}}
{{- range (include "stalk.caVolumes" (index . 0) | fromJson).items -}}
{{- $file := dict "key" .key "path" .key -}}
{{- $volumes = append $volumes (dict "name" .name "secret" (dict "secretName" .secret "items" (list $file))) -}}
{{- end -}}
{{- include "stalk.volumes" (list (index . 1) $volumes) -}}
{{- end -}}

{{/* What of the login is in values.yaml, so that pods restart when it changes there. Through scrypt (derivePassword): whoever
     may read pods must not be able to try passwords quickly. */}}
{{- define "stalk.appChecksums" -}}
{{- $checksums := dict -}}
{{- with (include "stalk.externalData" . | fromJson) -}}
{{- $_ := set $checksums "checksum/external" (derivePassword 1 "maximum" (toJson .) "stalk" "checksum" | sha256sum) -}}
{{- end -}}
{{- toJson $checksums -}}
{{- end -}}
