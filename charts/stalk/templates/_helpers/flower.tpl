{{/* Flower with its probes whole: those that say nothing else ask the page that needs no login. Returns JSON. */}}
{{- define "stalk.flower" -}}
{{- $c := include "stalk.appComponent" (list . "flower") | fromJson -}}
{{- $page := dict "path" (printf "%s/healthcheck" (trimSuffix "/" $c.values.urlPrefix)) "port" "http" -}}
{{- range $kind, $probe := $c.values.probes | default dict -}}
{{- if and $probe (not (or $probe.httpGet $probe.exec $probe.tcpSocket $probe.grpc)) -}}
{{- $_ := set $probe "httpGet" $page -}}
{{- end -}}
{{- end -}}
{{- toJson $c -}}
{{- end -}}

{{/* The words of Flower (list $ component), as a JSON list {items}. */}}
{{- define "stalk.flowerArgs" -}}
{{- $v := (index . 1).values -}}
{{- $args := list "stalk" "flower" "-A" (index . 0).Values.celery.app "--port" (toString (int $v.port))
      (printf "--max_tasks=%d" (int $v.maxTasks)) (printf "--purge_offline_workers=%d" (int $v.purgeOfflineWorkersSeconds)) -}}
{{- with $v.urlPrefix }}{{ $args = append $args (printf "--url_prefix=%s" .) }}{{ end -}}
{{- if $v.persistence.enabled -}}
{{- $args = concat $args (list "--persistent=True" "--db=/data/flower" "--state_save_interval=60000") -}}
{{- end -}}
{{- toJson (dict "items" (concat $args ($v.extraArgs | default list))) -}}
{{- end -}}

{{/* Flower's own environment on top of the app's: its login, and the broker's management API. Returns JSON. */}}
{{- define "stalk.flowerEnv" -}}
{{- $env := include "stalk.connectionEnv" . | fromJson -}}
{{- $auth := .Values.flower.auth -}}
{{- $secret := $auth.existingSecret | default (include "stalk.credentialsName" .) -}}
{{- $_ := set $env "FLOWER_USER" $auth.username -}}
{{- $_ := set $env "FLOWER_PASSWORD" (include "stalk.fromSecret" (dict "secret" $secret "key" (include "stalk.generationKey" (list . $auth.passwordKey 0))) | fromJson) -}}
{{- toJson (merge $env (include "stalk.managementEnv" . | fromJson)) -}}
{{- end -}}
