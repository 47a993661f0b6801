{{/* Every queue that is declared: the pools' and the extra ones, sorted. Returns JSON {items}. */}}
{{- define "stalk.queues" -}}
{{- $queues := .Values.topology.extraQueues -}}
{{- range $pool := include "stalk.pools" . | fromJson -}}
{{- $queues = concat $queues $pool.values.queues -}}
{{- end -}}
{{- toJson (dict "items" (uniq $queues | sortAlpha)) -}}
{{- end -}}

{{- define "stalk.topologyArgs" -}}
{{- $v := .Values.topology -}}
{{- $args := list "stalk" "topology" -}}
{{- if $v.declareApp }}{{ $args = append (append $args "-A") .Values.celery.app }}{{ end -}}
{{- range (include "stalk.queues" . | fromJson).items }}{{ $args = append (append $args "--queue") . }}{{ end -}}
{{- toJson (dict "items" (append (append $args "--timeout") (toString (int $v.timeoutSeconds)))) -}}
{{- end -}}

{{/* The pod template of the topology Job (list $ component). The Job's name carries its hash: a Job cannot be changed, so
     another topology is another Job, and Helm removes the old one. */}}
{{- define "stalk.topologyTemplate" -}}
{{- $root := index . 0 -}}
{{- $c := index . 1 -}}
metadata: {{- include "stalk.podMetadata" (list $root $c (include "stalk.appChecksums" $root | fromJson)) | nindent 2 }}
spec:
  restartPolicy: OnFailure
  {{- include "stalk.podSpec" (list $root $c) | nindent 2 }}
  {{- include "stalk.block" (list 2 (include "stalk.initContainers" $c)) }}
  containers:
    - name: topology
      {{- include "stalk.container" (list $root $c) | nindent 6 }}
      command: {{- toYaml (include "stalk.topologyArgs" $root | fromJson).items | nindent 8 }}
      {{- include "stalk.block" (list 6 (include "stalk.env" (list $root $c (include "stalk.connectionEnv" $root | fromJson)))) }}
      {{- include "stalk.appVolumeMounts" (list $root $c list) | nindent 6 }}
  {{- include "stalk.appVolumes" (list $root $c list) | nindent 2 }}
{{- end -}}
